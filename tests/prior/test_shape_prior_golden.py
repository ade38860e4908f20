"""The shape prior against the authors' own numbers: every array of theirs that it has a part in, to 1e-4."""

import numpy as np
import pytest
import torch
from torch import Tensor

from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.released import load_autoencoder, our_name
from amodal.prior.shape_prior import ShapePrior
from tests.places import GOLDEN, SHARED

RELEASED = SHARED / "reference" / "golden"


def close(ours: Tensor, theirs: Tensor) -> None:
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=0)


@pytest.mark.parametrize(("name", "size"), [("d2sa", 128), ("kins", 392), ("cocoa", 128)])
def test_released_autoencoders_give_the_authors_embeddings_and_reconstructions(name: str, size: int) -> None:
    file = RELEASED / f"{name}_recon_net.pth"
    if not file.is_file():
        pytest.skip(f"the authors' {file.name} is not here")
    autoencoder = load_autoencoder(file)
    with np.load(GOLDEN / "released_autoencoders.npz") as arrays, torch.no_grad():
        masks = torch.from_numpy(arrays["masks"])
        assert autoencoder.embedding_size == size
        close(autoencoder.encode(masks), torch.from_numpy(arrays[f"{name}_embedding"]))
        close(autoencoder(masks), torch.from_numpy(arrays[f"{name}_reconstruction"]))


@pytest.fixture(params=["2conv", "3conv"], scope="module")
def arrays(request: pytest.FixtureRequest) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"vrsp_head_{request.param}.npz") as file:
        return {name: torch.as_tensor(file[name]) for name in file}


@pytest.fixture(scope="module")
def prior(arrays: dict[str, Tensor]) -> ShapePrior:
    prefix = "head.recon_net."
    tensors = {our_name(k.removeprefix(prefix)): v for k, v in arrays.items() if k.startswith(prefix)}
    classes = [arrays[f"codebook.{index}"] for index in range(int(arrays["num_classes"]))]
    return ShapePrior(MaskAutoencoder.from_tensors(tensors), CodeBook.from_classes(classes))


def own_class(arrays: dict[str, Tensor], name: str) -> Tensor:
    return arrays[name][torch.arange(len(arrays["labels"])), arrays["labels"]]


def test_the_coarse_masks_raw_logits_are_embedded(arrays: dict[str, Tensor], prior: ShapePrior) -> None:
    query = own_class(arrays, "coarse_amodal_logits")
    close(prior.autoencoder.encode(query[:, None]), arrays["coarse_amodal_embedding"])


def test_shapes_for_refinement(arrays: dict[str, Tensor], prior: ShapePrior) -> None:
    query = own_class(arrays, "coarse_amodal_logits")
    close(prior.lookup(query, arrays["labels"], int(arrays["k"])), arrays["shape_prior_masks"])


def test_rescoring_compares_binary_masks(arrays: dict[str, Tensor], prior: ShapePrior) -> None:
    refined = own_class(arrays, "refined_amodal_logits").sigmoid()
    close(prior.lookup((refined > 0.5).float(), arrays["labels"], 1), arrays["prior_nearest_mask"])
    close(prior.distance(refined, arrays["labels"]), arrays["prior_l1_distance"])
    close(prior.distance(refined > 0.5, arrays["labels"]), arrays["prior_l1_distance"])
