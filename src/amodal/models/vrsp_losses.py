"""VRSP's losses as functions of its passes: equations 1 and 3 of the paper."""

from dataclasses import dataclass

from jaxtyping import Float, Int64
from torch import Tensor

from amodal.models.losses import mask_loss, matching_loss
from amodal.models.mask_head import HeadOutput
from amodal.models.regions import RegionTruth

MATCHING_WEIGHTS = (0.01, 0.05)
"""Feature matching's weights of the last convolution and of the deconvolution (paper, lambda_4 and lambda_5)."""


@dataclass(frozen=True)
class Passes:
    """Every pass through the two heads. `shapes` is what the prior knows of the coarse masks, averaged to 14 x 14."""

    coarse_amodal: HeadOutput
    coarse_visible: HeadOutput
    refined_amodal: HeadOutput
    refined_visible: HeadOutput
    shapes: Float[Tensor, "R k 14 14"] | None


def head_matching(coarse: HeadOutput, target: HeadOutput) -> Float[Tensor, ""]:
    """Equation 3 for one head: how unlike its inner features are in two passes."""
    return MATCHING_WEIGHTS[0] * matching_loss(coarse.convolved, target.convolved) + MATCHING_WEIGHTS[
        1
    ] * matching_loss(coarse.cells, target.cells)


def refined_losses(
    passes: Passes,
    labels: Int64[Tensor, " R"],
    truth: RegionTruth,
    weights: tuple[Float[Tensor, "R ..."], Float[Tensor, "R ..."]],
) -> dict[str, Float[Tensor, ""]]:
    """Equation 1 and its amodal twin, weighted by region.

    Args:
        passes: All passes.
        labels: From 1.
        truth: At 28 x 28.
        weights: IoU of the coarse amodal mask (for the visible loss) and of the coarse visible one (for the amodal).
    """
    of_amodal, of_visible = weights
    if truth.exact is not None:
        of_visible = of_visible * truth.exact
    return {
        "loss_refined_amodal": mask_loss(passes.refined_amodal.own_class(labels), truth.amodal, of_visible),
        "loss_refined_visible": mask_loss(passes.refined_visible.own_class(labels), truth.visible, of_amodal),
    }
