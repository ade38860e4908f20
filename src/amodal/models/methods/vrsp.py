"""VRSP, the method of this project: amodal masks from the visible region and a shape prior.

Xiao et al., "Amodal Segmentation Based on Visible Region Segmentation and Shape Prior", AAAI 2021. Two mask heads are
used twice: on the region's features for coarse masks, then on the features that the other mask lets through
(`VRSP.figure`). Where the paper and its authors' code differ, `amodal.models.semantics` has both. At inference,
`amodal.models.refinement` computes each mask only where it is asked for.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import cache, partial

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from amodal import masks
from amodal.models.branch import LazyMasks, MaskBranch, RegionMasks
from amodal.models.config import VRSPConfig
from amodal.models.layout import quick_layout
from amodal.models.losses import attend, mask_loss
from amodal.models.mask_head import HeadOutput, MaskHead
from amodal.models.reclassification import Reclassifier, reclassification_loss
from amodal.models.refinement import CachedRows, EagerRows, Indices, Refinement, Rows
from amodal.models.regions import BatchTruth, RegionPooler, Regions, RegionTruth
from amodal.models.semantics import SEMANTICS
from amodal.models.vrsp_losses import Passes, head_matching, refined_losses
from amodal.prior.shape_prior import ShapePrior

GUIDES = {
    "self": ("coarse_visible", "coarse_amodal"),
    "visible": ("coarse_visible", "refined_visible"),
    "cross": ("coarse_amodal", "coarse_visible"),
    "ours": ("coarse_amodal", "refined_visible"),
}
"""Which masks guide the refined visible and the refined amodal one (paper, Table 3)."""


class VRSP(MaskBranch):
    """Coarse masks, visible by amodal attention, amodal by visible attention and shape prior.

    Args:
        pool: Region features at 14 x 14.
        amodal_head: f_a, used for the coarse and the refined amodal mask.
        visible_head: f_v, likewise.
        reclassifier: Classifies again from the visible region; None switches it off.
        prior: Known shapes; None if neither refinement nor re-scoring uses them.
        config: The switches and numbers.
    """

    learns_visible_alone = True

    def __init__(
        self,
        pool: RegionPooler,
        heads: tuple[MaskHead, MaskHead],
        reclassifier: Reclassifier | None,
        prior: ShapePrior | None,
        config: VRSPConfig,
    ) -> None:
        super().__init__()
        self.pool, self.reclassifier, self.prior, self.config = pool, reclassifier, prior, config
        self.amodal_head, self.visible_head = heads
        self.fuse = fusion(heads[0].in_channels, config.num_shapes) if config.prior_refinement else None
        self.guides = GUIDES[config.attention]
        self.semantics = SEMANTICS[config.semantics]
        self.matching_target = config.matching_target or self.semantics.matching_target
        reclassifies = reclassifier is not None and config.reclassification_rescoring
        switched = (("reclassification", reclassifies), ("prior", config.prior_rescoring))
        self.factor_names = tuple(name for name, is_on in switched if is_on)

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """The paper's equation 6 without the detector's terms, over the positive regions."""
        pooled = quick_layout(self.pool(features, regions))
        fine = truth.crop(regions, 2 * pooled.shape[-1])
        guided = self.config.guided_pass or (self.config.feature_matching and self.matching_target == "guided")
        coarse = truth.crop(regions, pooled.shape[-1]) if guided else None
        return self.region_losses(pooled, regions.labels, fine, coarse)

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Refined masks, and the factors of the score."""
        refinement = Refinement(self, lambda which: self.pool(features, regions[which]), regions.labels, EagerRows)
        everything = torch.arange(regions.labels.shape[0], device=regions.boxes.device)
        factors = tuple(factor(everything) for factor in refinement.factors())
        return replace(refinement.probabilities(everything, coarse=False), factors=factors)

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """Masks and factors of candidates on demand: re-classification comes first, then the shape prior."""
        refinement = Refinement(self, lambda which: self.pool(features, regions[which]), regions.labels, CachedRows)
        stages = refinement.factors()
        known = scores.new_ones((len(stages), len(scores)))

        def corrected(stage: int, factor: Rows, which: Tensor) -> Tensor:
            known[stage, which] = factor(which)
            return self.rescored(scores[which], tuple(known[:, which]))

        corrections = [partial(corrected, stage, factor) for stage, factor in enumerate(stages)]
        return LazyMasks(self.rescored(scores, ()), corrections, refinement.probabilities)

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As `predict`, where the visible masks are known: they guide the amodal head in place of its own guess."""
        pooled = self.pool(features, regions)
        shapes = None
        if self.fuse is not None:
            shapes = self.known_shapes(self.amodal_head.own_class(pooled, regions.labels), regions.labels)
        attention = F.avg_pool2d(visible[:, None].to(pooled.dtype), 2)
        amodal = self.amodal_head.own_class(self.fused(pooled, attention, shapes), regions.labels)
        return RegionMasks(amodal=amodal.sigmoid(), visible=visible.to(pooled.dtype))

    def figure(
        self, features: Rows, mask: Callable[[str, Indices], Tensor], shapes: Callable[[Indices], Tensor | None]
    ) -> dict[str, tuple[MaskHead, Rows]]:
        """The paper's figure 2, left to right: which head makes each mask, and from what.

        Args:
            features: Region features (M, C, 14, 14) at indices of regions.
            mask: Own-class logits (M, 28, 28) of a mask that stands further left, by its name and indices.
            shapes: What `known_shapes` finds for the coarse amodal mask, at indices; None where no shapes are fused.
        """
        guide_of_visible, guide_of_amodal = self.guides

        def through_amodal(which: Indices) -> Tensor:
            return features(which) * attend(mask(guide_of_visible, which))

        def through_visible(which: Indices) -> Tensor:
            known = None if self.fuse is None else shapes(which)  # else nobody needs the coarse mask
            return self.fused(features(which), attend(mask(guide_of_amodal, which)), known)

        return {
            "coarse_amodal": (self.amodal_head, features),
            "coarse_visible": (self.visible_head, features),
            "refined_visible": (self.visible_head, through_amodal),
            "refined_amodal": (self.amodal_head, through_visible),
        }

    def passes(self, features: Float[Tensor, "R C 14 14"], labels: Int64[Tensor, " R"]) -> Passes:
        """Figure 2 for training: the masks, the inner features, the known shapes."""
        everything = torch.arange(labels.shape[0], device=labels.device)
        found: dict[str, HeadOutput] = {}

        def mask(name: str, _: Indices) -> Tensor:
            return found[name].own_class(labels)

        @cache
        def shapes() -> Tensor | None:
            return self.known_shapes(mask("coarse_amodal", everything), labels)

        for name, (head, attended) in self.figure(lambda _: features, mask, lambda _: shapes()).items():
            found[name] = head(attended(everything))
        return Passes(**found, shapes=shapes())

    def known_shapes(
        self, coarse: Float[Tensor, "R 28 28"], labels: Int64[Tensor, " R"]
    ) -> Float[Tensor, "R k 14 14"] | None:
        """The k shapes of each region's class nearest to its coarse amodal mask, averaged to the features' grid.

        Args:
            coarse: Own-class logits.
            labels: From 1.
        """
        if self.fuse is None or self.prior is None:
            return None
        query = self.semantics.look_up(coarse.detach())
        return self.prior.averages(query, labels - 1, self.config.num_shapes)

    def fused(self, features: Tensor, attention: Tensor, shapes: Tensor | None) -> Float[Tensor, "R C 14 14"]:
        """The amodal head's input: attended features, with the known shapes convolved in."""
        attended = features * attention if self.config.visible_attention else features
        if self.fuse is None or shapes is None:
            return attended
        shapes = shapes.to(attended.dtype)
        if attended.is_contiguous(memory_format=torch.channels_last):
            shapes = shapes.contiguous(memory_format=torch.channels_last)  # or the result would lose that layout
        return self.fuse(torch.cat([attended, shapes], 1))

    def reclassification_factor(self, features: Tensor, visible: Tensor, labels: Tensor) -> Float[Tensor, " R"]:
        """The score's factor from the class of the visible region; `visible` are the visible masks' logits."""
        assert self.reclassifier is not None
        logits = self.reclassifier(features * self.visible_gate(visible))
        own = logits.float().softmax(1)[torch.arange(labels.shape[0], device=labels.device), labels - 1]
        return self.semantics.reclassification_factor(own)

    def prior_factor(self, amodal: Float[Tensor, "R 28 28"], labels: Int64[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The score's factor from the distance of the amodal mask, given as logits, to the nearest known shape."""
        assert self.prior is not None
        return self.semantics.prior_factor(self.prior.distance(amodal > 0, labels - 1), self.config.alpha)

    def rescored(self, scores: Float[Tensor, " R"], factors: tuple[Tensor, ...]) -> Float[Tensor, " R"]:
        """The final score, or without factors the most it can become: as if every factor were 1."""
        return self.semantics.fuse(scores, factors or [torch.ones_like(scores)] * len(self.factor_names))

    def visible_gate(self, visible: Float[Tensor, "R 28 28"]) -> Float[Tensor, "R 1 14 14"]:
        """What re-classification sees the features through: the refined visible mask, given as logits, detached."""
        return F.avg_pool2d(self.semantics.look_up(visible.detach()[:, None]), 2)

    def region_losses(
        self, features: Tensor, labels: Tensor, truth: RegionTruth, small_truth: RegionTruth | None
    ) -> dict[str, Tensor]:
        """The losses from region features; `truth` at 28 x 28, `small_truth` at 14 x 14 where it guides a pass."""
        passes = self.passes(features, labels)
        coarse_amodal, coarse_visible = (
            output.own_class(labels) for output in (passes.coarse_amodal, passes.coarse_visible)
        )
        losses = {
            "loss_coarse_amodal": mask_loss(coarse_amodal, truth.amodal, truth.exact),
            "loss_coarse_visible": mask_loss(coarse_visible, truth.visible),
        }
        # A refined mask counts as much as the mask that guided it was right: early guidance would teach nonsense.
        weights = masks.ious(coarse_amodal > 0, truth.amodal), masks.ious(coarse_visible > 0, truth.visible)
        losses |= refined_losses(passes, labels, truth, weights)
        if self.reclassifier is not None:
            losses["loss_reclassification"] = self.config.reclassification_weight * self.reclassification(
                features, labels, passes, truth
            )
        return losses | self.further_losses(features, labels, passes, truth, small_truth)

    def reclassification(
        self, features: Tensor, labels: Tensor, passes: Passes, truth: RegionTruth
    ) -> Float[Tensor, ""]:
        """Equation 2 before lambda."""
        assert self.reclassifier is not None
        visible = passes.refined_visible.own_class(labels)
        return reclassification_loss(
            self.reclassifier(features * self.visible_gate(visible)),
            self.reclassifier(features * F.avg_pool2d(truth.visible[:, None].to(features.dtype), 2)),
            labels,
            masks.ious(visible > 0, truth.visible),
        )

    def further_losses(
        self, features: Tensor, labels: Tensor, passes: Passes, truth: RegionTruth, small_truth: RegionTruth | None
    ) -> dict[str, Tensor]:
        """The pass that the true masks guide, where there is one, and feature matching (equation 3)."""
        losses, guided = {}, None
        if small_truth is not None:
            guided = (
                self.amodal_head(self.fused(features, small_truth.visible[:, None], passes.shapes)),
                self.visible_head(features * small_truth.amodal[:, None]),
            )
        if guided is not None and self.config.guided_pass:
            # Guided by its own mask, as an object that is not known whole would be, the visible head learns nothing.
            losses["loss_guided_amodal"] = mask_loss(guided[0].own_class(labels), truth.amodal, truth.exact)
            losses["loss_guided_visible"] = mask_loss(guided[1].own_class(labels), truth.visible, truth.exact)
        if self.config.feature_matching:
            if not self.config.matching_reaches_trunk:
                passes = self.passes(features.detach(), labels)
            targets = passes.refined_amodal, passes.refined_visible
            if self.matching_target == "guided":
                assert guided is not None
                targets = guided
            if self.matching_target != "refined":
                targets = tuple(output.detached() for output in targets)
            losses["loss_matching_amodal"] = head_matching(passes.coarse_amodal, targets[0])
            losses["loss_matching_visible"] = head_matching(passes.coarse_visible, targets[1])
        return losses


def fusion(channels: int, num_shapes: int) -> nn.Conv2d:
    """The 3x3 convolution of features and shapes, which begins by letting the features through as they are.

    The heads are shared with the coarse pass: from a random fusion the refined pass would first have to learn
    to undo it.
    """
    fuse = nn.Conv2d(channels + num_shapes, channels, 3, padding=1)
    with torch.no_grad():
        nn.init.dirac_(fuse.weight)
        nn.init.normal_(fuse.weight[:, channels:], std=0.01)
        nn.init.zeros_(fuse.bias)  # type: ignore[arg-type]
    return fuse
