import pytest
import torch

from amodal.errors import UserError
from amodal.prior.autoencoder import MaskAutoencoder


@pytest.mark.parametrize(("num_convs", "size"), [(2, 392), (3, 128)])
def test_sizes_of_embeddings_and_masks(num_convs: int, size: int) -> None:
    autoencoder = MaskAutoencoder(num_convs)
    masks = torch.rand(5, 1, 28, 28)
    embeddings = autoencoder.encode(masks)
    assert embeddings.shape == (5, size) == (5, autoencoder.embedding_size)
    assert bool((embeddings >= 0).all())
    rebuilt = autoencoder.decode(embeddings)
    assert rebuilt.shape == masks.shape
    assert bool(((rebuilt > 0) & (rebuilt < 1)).all())
    torch.testing.assert_close(autoencoder(masks), rebuilt)


def test_no_masks_give_no_embeddings() -> None:
    autoencoder = MaskAutoencoder()
    assert autoencoder.encode(torch.zeros(0, 1, 28, 28)).shape == (0, 128)
    assert autoencoder.decode(torch.zeros(0, 128)).shape == (0, 1, 28, 28)


def test_a_mask_is_embedded_alone_as_in_a_batch() -> None:
    autoencoder, masks = MaskAutoencoder(), torch.rand(4, 1, 28, 28)
    torch.testing.assert_close(autoencoder.encode(masks[2:3]), autoencoder.encode(masks)[2:3])


def test_depth_must_be_two_or_three() -> None:
    with pytest.raises(UserError, match="2 or 3 convolutions each way, not 4"):
        MaskAutoencoder(4)


@pytest.mark.parametrize(("num_convs", "channels"), [(2, 8), (3, 4)])
def test_sizes_are_read_from_the_tensors(num_convs: int, channels: int) -> None:
    original = MaskAutoencoder(num_convs, channels)
    copy = MaskAutoencoder.from_tensors(original.state_dict())
    masks = torch.rand(2, 1, 28, 28)
    torch.testing.assert_close(copy(masks), original(masks), atol=0, rtol=0)


def test_tensors_of_something_else_are_refused() -> None:
    tensors = MaskAutoencoder(2).state_dict()
    with pytest.raises(UserError, match="0 encoder convolutions"):
        MaskAutoencoder.from_tensors({"weight": torch.zeros(1)})
    with pytest.raises(UserError, match=r"no mask auto-encoder.*output\.bias"):
        MaskAutoencoder.from_tensors({name: t for name, t in tensors.items() if name != "output.bias"})
