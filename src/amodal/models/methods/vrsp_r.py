"""VRSP-R, this project's own method: VRSP over grown regions, with boxes that are fitted to the masks.

VRSP (`amodal.models.methods.vrsp`) looks at what the detected box holds: a box that is too small cuts the object off,
and a mask that knows better cannot say so. Here (measured in `docs/results`)

* a region is its box, grown, in training and at inference;
* the detection's box becomes the one around its amodal mask, and what then coincides is suppressed;
* masks are learned by their overlap too, beside the cells' cross-entropy;
* the refined masks are corrected together, at their own resolution;
* scores are the detector's own: masks are made of what is left after suppression alone, which takes half the time.
"""

from collections.abc import Callable
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F

from amodal.models.branch import LazyMasks, RegionMasks, moved
from amodal.models.config import VRSPConfig, VRSPRConfig
from amodal.models.joint_masks import JointMasks
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.methods.vrsp import VRSP
from amodal.models.reclassification import Reclassifier
from amodal.models.regions import BatchTruth, RegionPooler, Regions, RegionTruth
from amodal.models.vrsp_losses import Passes
from amodal.prior.shape_prior import ShapePrior

PASSES = ("coarse_amodal", "coarse_visible", "refined_amodal", "refined_visible")
"""VRSP's passes, each named after the true mask that it learns."""


class VRSPR(VRSP):
    """VRSP's heads and losses over grown regions.

    Args:
        pool: As for VRSP, and so are `heads`, `reclassifier` (which teaches the features, and leaves the score alone)
            and `prior`.
        config: VRSP's settings, of which the re-scoring is off, and this method's own.
    """

    def __init__(
        self,
        pool: RegionPooler,
        heads: tuple[MaskHead, MaskHead],
        reclassifier: Reclassifier | None,
        prior: ShapePrior | None,
        config: tuple[VRSPConfig, VRSPRConfig],
    ) -> None:
        plain = replace(config[0], prior_rescoring=False, reclassification_rescoring=False)
        super().__init__(pool, heads, reclassifier, prior, plain)
        self.own = config[1]
        width = self.own.joint_width
        self.joint = JointMasks(heads[0].in_channels, width) if width else None

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """VRSP's, over the grown regions, and the masks' overlap."""
        return super().losses(features, regions.grown(self.own.growth), truth)

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Refined masks over fitted boxes."""
        grown = regions.grown(self.own.growth)
        return fitted(super().predict(features, grown), grown.boxes, regions.boxes)

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """Masks over fitted boxes, of what is kept."""
        grown = regions.grown(self.own.growth)
        lazy = super().on_demand(features, grown, scores)

        def masks(which: Int64[Tensor, " M"], *, coarse: bool) -> RegionMasks:
            return fitted(lazy.masks(which, coarse=coarse), grown.boxes[which], regions.boxes[which])

        return replace(lazy, masks=masks)

    def final_masks(self, features: Callable[[], Tensor], amodal: Tensor, visible: Tensor) -> tuple[Tensor, Tensor]:
        """The refined masks, corrected together."""
        return (amodal, visible) if self.joint is None else self.joint(features(), amodal, visible)

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As VRSP's; the masks lie over the given boxes."""
        grown = regions.grown(self.own.growth)
        found = super().complete(features, grown, moved(visible.float(), regions.boxes, grown.boxes) > 0.5)
        assert found.amodal is not None
        amodal = moved(found.amodal, grown.boxes, regions.boxes)
        return RegionMasks(amodal=amodal, visible=visible.to(amodal.dtype))

    def further_losses(
        self, features: Tensor, labels: Tensor, passes: Passes, truth: RegionTruth, small_truth: RegionTruth | None
    ) -> dict[str, Tensor]:
        """VRSP's, those of the masks corrected together, and how little all of them overlap with the true ones."""
        losses = super().further_losses(features, labels, passes, truth, small_truth)
        found = {name: getattr(passes, name).own_class(labels) for name in PASSES}
        if self.joint is not None:
            amodal, visible = self.joint(features, found["refined_amodal"], found["refined_visible"])
            found |= {"joint_amodal": amodal, "joint_visible": visible}
            losses["loss_joint_amodal"] = mask_loss(amodal, truth.amodal, truth.exact)
            losses["loss_joint_visible"] = mask_loss(visible, truth.visible)
        if self.own.overlap_weight:
            for name, logits in found.items():
                kind = name.split("_")[1]
                loss = overlap_loss(logits, getattr(truth, kind), truth.exact if kind == "amodal" else None)
                losses[f"loss_{name}_overlap"] = self.own.overlap_weight * loss
        return losses


def fitted(found: RegionMasks, over: Float[Tensor, "R 4"], boxes: Float[Tensor, "R 4"]) -> RegionMasks:
    """Masks over grown regions as masks over boxes that are tight around the amodal ones.

    Args:
        found: Masks over `over`.
        over: The grown regions.
        boxes: What they were grown from; of an empty amodal mask this box stays.
    """
    assert found.amodal is not None
    wanted = tight(found.amodal, over, boxes)
    side = 2 * found.amodal.shape[-1]  # finer, so that moving a mask blurs it little
    return replace(replace(found, boxes=over).over(wanted, side), boxes=wanted)


def tight(
    masks: Float[Tensor, "R S S"], over: Float[Tensor, "R 4"], boxes: Float[Tensor, "R 4"]
) -> Float[Tensor, "R 4"]:
    """Boxes around masks over regions, to a fraction of a cell: where the outermost row or column crosses a half."""
    side = masks.shape[-1]
    ends = []
    for across in (masks.amax(1), masks.amax(2)):  # the most of each column, then of each row
        padded = F.pad(across, (1, 1))
        cells = torch.arange(side + 1, device=masks.device, dtype=masks.dtype)
        before, after = padded[:, :-1], padded[:, 1:]  # of each border between two cells' centres
        places = cells - 0.5 + (0.5 - before) / torch.where(after == before, 1.0, after - before)
        rises, falls = (before <= 0.5) & (after > 0.5), (before > 0.5) & (after <= 0.5)
        ends.append(
            (
                torch.where(rises, places, float(side)).amin(1).clamp(min=0),
                torch.where(falls, places, 0.0).amax(1).clamp(max=side),
            )
        )
    (left, right), (top, bottom) = ends
    corners = torch.stack([left, top, right, bottom], 1) / side
    lengths = (over[:, 2:] - over[:, :2]).repeat(1, 2)
    found = over[:, :2].repeat(1, 2) + corners * lengths
    return torch.where((right > left)[:, None] & (bottom > top)[:, None], found, boxes)


def overlap_loss(
    logits: Float[Tensor, "R S S"], truth: Bool[Tensor, "R S S"], counts: Bool[Tensor, " R"] | None = None
) -> Float[Tensor, ""]:
    """1 - Dice, the mean over regions; 0 (with a gradient) for no region.

    Args:
        logits: Masks before the sigmoid.
        truth: The masks to learn.
        counts: Whether each region counts; the mean is over all of them even so, as in `losses.mask_loss`.
    """
    if logits.numel() == 0:
        return logits.sum() * 0
    found, wanted = logits.float().sigmoid().flatten(1), truth.flatten(1).float()
    both = (found * wanted).sum(1)
    missed = 1 - (2 * both + 1) / (found.sum(1) + wanted.sum(1) + 1)
    return (missed if counts is None else missed * counts).mean()
