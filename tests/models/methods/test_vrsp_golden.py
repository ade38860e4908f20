"""The authors' own numbers for small heads, met to 1e-4 with `reference` semantics."""

import numpy as np
import pytest
import torch
from torch import Tensor

from amodal.models.config import VRSPConfig
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.methods import vrsp as method
from amodal.models.methods.vrsp import VRSP
from amodal.models.reclassification import Reclassifier
from amodal.models.refinement import CachedRows, EagerRows, Refinement
from amodal.models.regions import RegionPooler, RegionTruth
from amodal.models.semantics import PAPER, REFERENCE
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.released import our_name
from amodal.prior.shape_prior import ShapePrior
from tests.own_class import own_class
from tests.places import GOLDEN

CLOSE = {"rtol": 0, "atol": 1e-4}


@pytest.fixture(params=["vrsp_head_3conv", "vrsp_head_2conv"])
def golden(request) -> dict[str, Tensor]:
    with np.load(GOLDEN / f"{request.param}.npz") as arrays:
        return {name: torch.as_tensor(arrays[name]) for name in arrays.files}


@pytest.fixture
def branch(golden) -> VRSP:
    classes, shapes, alpha = int(golden["num_classes"]), int(golden["k"]), float(golden["alpha"])
    heads = _head(golden, "amodal"), _head(golden, "visible")
    reclassifier = Reclassifier(16 * 14 * 14, 32, classes)
    names = {"first": "fc1", "second": "fc2", "classify": "recls"}
    reclassifier.load_state_dict(
        {f"{ours}.{p}": golden[f"reclass.{theirs}.{p}"] for ours, theirs in names.items() for p in ("weight", "bias")}
    )
    prefix = "head.recon_net."
    released = {k.removeprefix(prefix): v for k, v in golden.items() if k.startswith(prefix)}
    autoencoder = MaskAutoencoder.from_tensors({our_name(k): v for k, v in released.items()})
    prior = ShapePrior(autoencoder, CodeBook.from_classes([golden[f"codebook.{c}"] for c in range(classes)]))
    config = VRSPConfig(semantics="reference", num_shapes=shapes, alpha=alpha)
    model = VRSP(RegionPooler(14), heads, reclassifier, prior, config)
    assert model.fuse is not None
    model.fuse.load_state_dict({p: golden[f"head.fuse_layer.{p}"] for p in ("weight", "bias")})
    return model.eval()


def _head(golden, kind: str) -> MaskHead:
    head = MaskHead(16, 16, 4, int(golden["num_classes"]))
    names = {f"convs.{i}": f"{kind}_mask_fcn{i + 1}" for i in range(4)}
    names |= {"deconv": f"{kind}_deconv", "predictor": f"{kind}_predictor"}
    head.load_state_dict({f"{o}.{p}": golden[f"head.{t}.{p}"] for o, t in names.items() for p in ("weight", "bias")})
    return head


def _truth(golden, side: int) -> RegionTruth:
    return RegionTruth(golden[f"gt_amodal_{side}"], golden[f"gt_visible_{side}"])


def test_every_pass_through_the_heads(golden, branch):
    labels = golden["labels"] + 1
    with torch.no_grad():
        passes = branch.passes(golden["features"], labels)
        truth = _truth(golden, 14)
        guided_amodal = branch.amodal_head(branch.fused(golden["features"], truth.visible[:, None], passes.shapes))
        guided_visible = branch.visible_head(golden["features"] * truth.amodal[:, None])
    found = {
        "coarse_amodal_logits": passes.coarse_amodal,
        "coarse_visible_logits": passes.coarse_visible,
        "refined_amodal_logits": passes.refined_amodal,
        "refined_visible_logits": passes.refined_visible,
        "gt_attention_amodal_logits": guided_amodal,
        "gt_attention_visible_logits": guided_visible,
    }
    for name, output in found.items():
        torch.testing.assert_close(output.logits, golden[name], msg=lambda m, name=name: f"{name}: {m}", **CLOSE)


def test_known_shapes_are_the_nearest_of_the_class(golden, branch):
    labels = golden["labels"] + 1
    query = own_class(golden["coarse_amodal_logits"], labels)
    shapes = branch.prior.lookup(query, labels - 1, int(golden["k"]))
    torch.testing.assert_close(shapes, golden["shape_prior_masks"], **CLOSE)
    embedding = branch.prior.autoencoder.encode(query[:, None])
    torch.testing.assert_close(embedding, golden["coarse_amodal_embedding"], **CLOSE)


def test_losses(golden, branch):
    labels = golden["labels"] + 1
    with torch.no_grad():
        losses = branch.region_losses(golden["features"], labels, _truth(golden, 28), _truth(golden, 14))
    expected = {
        "loss_coarse_amodal": golden["loss_coarse_amodal"],
        "loss_coarse_visible": golden["loss_coarse_visible"],
        "loss_guided_amodal": golden["loss_gt_attention_amodal"],
        "loss_guided_visible": golden["loss_gt_attention_visible"],
        "loss_reclassification": 0.25 * golden["loss_reclassification_unscaled"],
    }
    for name, value in expected.items():
        torch.testing.assert_close(losses[name], value, msg=lambda m, name=name: f"{name}: {m}", **CLOSE)
    matching = losses["loss_matching_amodal"] + losses["loss_matching_visible"]
    torch.testing.assert_close(matching, golden["loss_feature_matching"], **CLOSE)


def test_refined_losses_with_the_given_weights(golden, branch):
    """The given weights carry the authors' slip (all channels at once), so they are fed in, not computed."""
    labels = golden["labels"] + 1
    with torch.no_grad():
        passes = branch.passes(golden["features"], labels)
        weights = golden["weight_from_amodal"], golden["weight_from_visible"]
        losses = method.refined_losses(passes, labels, _truth(golden, 28), weights)
    torch.testing.assert_close(losses["loss_refined_amodal"], golden["loss_refined_amodal"], **CLOSE)
    torch.testing.assert_close(losses["loss_refined_visible"], golden["loss_refined_visible"], **CLOSE)


def test_the_weights_that_we_compute_are_of_the_own_channel(golden):
    labels = golden["labels"] + 1
    own = own_class(golden["coarse_visible_logits"], labels)
    unweighted = mask_loss(own, golden["gt_visible_28"])
    torch.testing.assert_close(unweighted, golden["loss_coarse_visible"], **CLOSE)


def test_reclassification_logits(golden, branch):
    labels = golden["labels"] + 1
    with torch.no_grad():
        passes = branch.passes(golden["features"], labels)
        seen = own_class(passes.refined_visible.logits, labels)
        logits = branch.reclassifier(golden["features"] * branch.visible_gate(seen))
    torch.testing.assert_close(logits, golden["reclass_logits"], **CLOSE)


@pytest.mark.parametrize("keep", [CachedRows, EagerRows])
def test_the_masks_of_inference_are_those_of_training(golden, branch, keep):
    labels = golden["labels"] + 1
    with torch.no_grad():
        refinement = Refinement(branch, lambda which: golden["features"][which], labels, keep)
        for name, masks in refinement.masks.items():
            expected = own_class(golden[f"{name}_logits"], labels)
            torch.testing.assert_close(masks(torch.arange(len(labels))), expected, **CLOSE)


@pytest.mark.parametrize("keep", [CachedRows, EagerRows])
def test_distance_to_the_nearest_shape_and_the_final_score(golden, branch, keep):
    labels = golden["labels"] + 1
    refined = own_class(golden["refined_amodal_logits"], labels) > 0
    distances = branch.prior.distance(refined, labels - 1)
    torch.testing.assert_close(distances, golden["prior_l1_distance"], **CLOSE)
    nearest = branch.prior.lookup(refined.float(), labels - 1, 1)
    torch.testing.assert_close(nearest, golden["prior_nearest_mask"], **CLOSE)

    with torch.no_grad():
        refinement = Refinement(branch, lambda which: golden["features"][which], labels, keep)
        everything = torch.arange(len(labels))
        factors = [factor(everything) for factor in refinement.factors()]
    if int(golden["ae_convs"]) == 2:  # the authors' KINS run re-scores by the prior alone
        factors = factors[1:]
    scores = REFERENCE.fuse(golden["class_scores"], factors)
    torch.testing.assert_close(scores, golden["rescored_reference"], **CLOSE)


def test_the_prior_factor_is_one_at_no_distance_and_zero_beyond_alpha_minus_one():
    distances = torch.tensor([0.0, 1.0])
    torch.testing.assert_close(REFERENCE.prior_factor(distances, 2.0), torch.tensor([1.0, 0.0]))
    torch.testing.assert_close(PAPER.prior_factor(distances, 2.0), torch.tensor([1.0, 0.0]))
