import copy
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from amodal.annotations import Category
from amodal.errors import UserError
from amodal.prior import shape_prior
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.shape_prior import ShapePrior

COUNTS = (6, 0, 2)


@pytest.fixture
def prior() -> ShapePrior:
    torch.manual_seed(0)
    autoencoder = MaskAutoencoder(3)
    with torch.no_grad():
        classes = [autoencoder.encode(blobs(count)[:, None]) for count in COUNTS]
    categories = [Category(1, "cup"), Category(4, "dog"), Category(9, "pear")]
    return ShapePrior(autoencoder, CodeBook.from_classes(classes), categories, {"seed": 0})


def blobs(count: int) -> torch.Tensor:
    return torch.nn.functional.interpolate(torch.randn(count, 1, 4, 4), (28, 28), mode="bilinear")[:, 0].sigmoid()


def by_hand(prior: ShapePrior, query: torch.Tensor, index: int, k: int) -> torch.Tensor:
    with torch.no_grad():
        embedding = prior.autoencoder.encode(query[None, None])
        codes = prior.codebook.codes[index, : COUNTS[index]]
        order = (codes - embedding).square().sum(1).argsort()[:k]
        found = prior.autoencoder.decode(codes[order])[:, 0]
        own = prior.autoencoder.decode(embedding)[:, 0]
    return torch.cat([found, own.expand(k - len(found), -1, -1)])


def test_lookup_decodes_the_nearest_and_fills_up_with_the_reconstruction(prior: ShapePrior) -> None:
    query, classes = blobs(5), torch.tensor([2, 0, 1, 0, 0])
    expected = torch.stack([by_hand(prior, q, int(c), 4) for q, c in zip(query, classes, strict=True)])
    torch.testing.assert_close(prior.lookup(query, classes, 4), expected, atol=1e-5, rtol=0)


def test_kept_masks_are_those_decoded_anew(prior: ShapePrior, monkeypatch: pytest.MonkeyPatch) -> None:
    query, classes = blobs(7), torch.tensor([0, 0, 2, 0, 1, 2, 0])
    kept = torch.stack([prior.lookup(query, classes, 3) for _ in range(2)])
    monkeypatch.setattr(shape_prior, "CACHE_BYTES", 0)
    anew = prior.lookup(query, classes, 3)
    torch.testing.assert_close(kept, anew.expand_as(kept), atol=1e-5, rtol=0)


@pytest.mark.parametrize("room", [0, shape_prior.CACHE_BYTES])
def test_averages_are_those_of_the_shapes(prior: ShapePrior, monkeypatch: pytest.MonkeyPatch, room: int) -> None:
    monkeypatch.setattr(shape_prior, "CACHE_BYTES", room)
    query, classes = blobs(7), torch.tensor([0, 0, 2, 0, 1, 2, 0])
    expected = prior.lookup(query, classes, 3).unflatten(3, (14, 2)).unflatten(2, (14, 2)).mean((3, 5))
    torch.testing.assert_close(prior.averages(query, classes, 3), expected)


def test_logits_of_any_precision_are_embedded_in_single_precision(prior: ShapePrior) -> None:
    query, classes = torch.randn(3, 28, 28).bfloat16(), torch.tensor([0, 0, 2])
    with torch.autocast("cpu", torch.bfloat16):
        mixed = prior.lookup(query, classes, 2)
    assert mixed.dtype == torch.float32
    torch.testing.assert_close(mixed, prior.lookup(query.float(), classes, 2))


def test_no_gradient_passes_through_the_prior(prior: ShapePrior) -> None:
    query = blobs(2).requires_grad_()
    assert not prior.lookup(query, torch.tensor([0, 1]), 2).requires_grad
    assert not any(parameter.requires_grad for parameter in prior.parameters())


def test_masks_kept_from_inference_mode_serve_in_training(prior: ShapePrior) -> None:
    query, classes = blobs(4), torch.tensor([0, 0, 2, 1])
    with torch.inference_mode():
        first = prior.lookup(query[:2], classes[:2], 1)
    weight = torch.ones((), requires_grad=True)
    (prior.lookup(query, classes, 3) * weight).sum().backward()
    assert weight.grad is not None and float(weight.grad) > 0
    torch.testing.assert_close(prior.lookup(query[:2], classes[:2], 1), first.clone())


def test_no_regions(prior: ShapePrior) -> None:
    nothing, classes = torch.zeros(0, 28, 28), torch.zeros(0, dtype=torch.int64)
    assert prior.lookup(nothing, classes, 16).shape == (0, 16, 28, 28)
    assert prior.distance(nothing, classes).shape == (0,)


def test_distance_is_the_share_of_pixels_that_differ(prior: ShapePrior) -> None:
    masks = blobs(3)
    nearest = torch.stack([by_hand(prior, (m > 0.5).float(), c, 1)[0] for m, c in zip(masks, (0, 1, 2), strict=True)])
    expected = ((masks > 0.5) != (nearest > 0.5)).float().mean((1, 2))
    classes = torch.tensor([0, 1, 2])
    torch.testing.assert_close(prior.distance(masks, classes), expected)
    torch.testing.assert_close(prior.distance(masks > 0.5, classes), expected)


def test_all_shapes_of_a_class(prior: ShapePrior) -> None:
    assert [len(prior.shapes(index)) for index in range(3)] == list(COUNTS)
    with torch.no_grad():
        expected = prior.autoencoder.decode(prior.codebook.codes[2, :2])[:, 0]
    torch.testing.assert_close(prior.shapes(2), expected)


def test_saved_and_read_again(prior: ShapePrior, tmp_path: Path) -> None:
    prior.save(tmp_path / "new" / "prior.safetensors")
    again = ShapePrior.load(tmp_path / "new" / "prior.safetensors")
    assert (again.categories, again.details) == (prior.categories, prior.details)
    query, classes = blobs(4), torch.tensor([0, 1, 2, 0])
    torch.testing.assert_close(again.lookup(query, classes, 5), prior.lookup(query, classes, 5), atol=0, rtol=0)


def test_sizes_are_read_from_a_checkpoints_tensors(prior: ShapePrior) -> None:
    again = ShapePrior.from_tensors(prior.state_dict())
    assert again.num_classes == 3
    query, classes = blobs(2), torch.tensor([0, 2])
    torch.testing.assert_close(again.distance(query, classes), prior.distance(query, classes), atol=0, rtol=0)
    with pytest.raises(UserError, match="no code book"):
        ShapePrior.from_tensors({"weight": torch.zeros(1)})


def test_masks_of_older_weights_are_forgotten(prior: ShapePrior) -> None:
    query, classes = blobs(2), torch.tensor([0, 2])
    other = copy.deepcopy(prior)
    prior.lookup(query, classes, 2)
    with torch.no_grad():
        other.autoencoder.output.bias += 3
    prior.load_state_dict(other.state_dict())
    torch.testing.assert_close(prior.lookup(query, classes, 2), other.lookup(query, classes, 2), atol=0, rtol=0)


def test_parts_of_different_priors_are_refused() -> None:
    with pytest.raises(UserError, match="have 392 numbers, the code book's 128"):
        ShapePrior(MaskAutoencoder(2), CodeBook(torch.zeros(1, 1, 128), torch.tensor([1])))


def test_other_files_are_refused(prior: ShapePrior, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"prior\.safetensors: no such file.*amodal prior fit"):
        ShapePrior.load(tmp_path / "prior.safetensors")
    file = tmp_path / "other.safetensors"
    save_file({"weight": torch.zeros(1)}, file)
    with pytest.raises(UserError, match=r"other\.safetensors: is not a shape prior"):
        ShapePrior.load(file)
    file.write_bytes(b"no tensors at all")
    with pytest.raises(UserError, match=r"other\.safetensors: cannot be read"):
        ShapePrior.load(file)
    save_file({"weight": torch.zeros(1)}, file, {"kind": shape_prior.KIND})
    with pytest.raises(UserError, match=r"other\.safetensors: cannot be read.*about"):
        ShapePrior.load(file)
    tensors = {name: value.contiguous() for name, value in prior.state_dict().items() if name != "codebook.codes"}
    save_file(tensors, file, {"kind": shape_prior.KIND, "about": '{"categories": [], "details": {}}'})
    with pytest.raises(UserError, match=r"other\.safetensors: these tensors hold no code book"):
        ShapePrior.load(file)
