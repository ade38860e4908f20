"""VRSP-R, this project's own method: coarse masks, known shapes, and a second look at the picture.

VRSP (`amodal.models.methods.vrsp`) refines masks from the features of the first pass, within the detected box. Of a
small object these features are coarse, and a box that is too small cuts the object off. Here (see `docs/results`)

* a region is its box, grown, in training and at inference;
* two heads make coarse masks of the features, and the prior knows the shapes nearest to the amodal one, as in VRSP;
* told of both, a network of its own looks at the picture again, at the masks' scale, and draws both masks;
* masks are learned by their overlap too, beside the cells' cross-entropy;
* the detection's box becomes the one around its amodal mask, and what then coincides is suppressed;
* it names the object too, and the score is the mean of what both find, times how sure the masks are;
* masks are made of what is left after suppression alone, and little is looked at twice that hardly counts.
"""

from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F
from torchvision.ops import box_iou

from amodal.models.branch import LazyMasks, MaskBranch, RegionMasks, moved
from amodal.models.config import VRSPConfig, VRSPRConfig
from amodal.models.layout import quick_layout
from amodal.models.losses import mask_loss
from amodal.models.mask_head import MaskHead
from amodal.models.regions import IMAGE, BatchTruth, RegionPooler, Regions, RegionTruth
from amodal.models.second_look import STRIDE, SecondLook, cut_out
from amodal.models.semantics import SEMANTICS
from amodal.prior.shape_prior import ShapePrior

Masks = tuple[Float[Tensor, "R 28 28"], Float[Tensor, "R 28 28"]]
"""Logits of regions' amodal and visible masks."""
SURE = 100.0
"""The logit of a mask that is known."""


class VRSPR(MaskBranch):
    """Coarse masks, the shapes nearest to them, and the picture itself, over grown regions.

    Args:
        pool: Region features at 14 x 14.
        heads: Of the coarse amodal and of the coarse visible mask.
        look: The second look; None leaves the coarse masks as they are.
        prior: Known shapes; None if they are not used.
        config: VRSP's settings, of which those of the shape prior are used, and this method's own.
    """

    learns_visible_alone = True

    def __init__(
        self,
        pool: RegionPooler,
        heads: tuple[MaskHead, MaskHead],
        look: SecondLook | None,
        prior: ShapePrior | None,
        config: tuple[VRSPConfig, VRSPRConfig],
    ) -> None:
        super().__init__()
        self.pool, self.look, self.prior = pool, look, prior
        self.amodal_head, self.visible_head = heads
        self.num_shapes, self.own = config[0].num_shapes, config[1]
        self.looks_from = 0.0 if look is None else self.own.look_threshold
        self.as_query = SEMANTICS[config[0].semantics].look_up

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """Those of the coarse masks in all regions; of the drawn ones in the best region of each object."""
        grown = regions.grown(self.own.growth)
        pooled = quick_layout(self.pool(features, grown))
        masks = truth.crop(grown, 2 * pooled.shape[-1])
        coarse = self.amodal_head(pooled).own_class(grown.labels), self.visible_head(pooled).own_class(grown.labels)
        losses = self._losses("coarse", coarse, masks)
        if self.look is None:
            return losses
        which = best_of_each_object(regions, truth)
        exact = None if masks.exact is None else masks.exact[which]
        masks = RegionTruth(masks.amodal[which], masks.visible[which], exact)
        known = coarse[0][which].detach(), coarse[1][which].detach()
        amodal, visible, deep = self._looked(self.look, features, grown[which], known)
        losses |= self._losses("drawn", (amodal, visible), masks)
        if self.own.class_weight:
            logits = self.look.classified(deep, masks.visible)
            losses["loss_drawn_class"] = self.own.class_weight * class_loss(logits, grown.labels[which])
        return losses

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Masks over fitted boxes."""
        return self._masks(features, regions, coarse=False)

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """Masks over fitted boxes, of what is kept."""
        regions = replace(regions, scores=scores)

        def masks(which: Int64[Tensor, " M"], *, coarse: bool) -> RegionMasks:
            return self._masks(features, regions[which], coarse=coarse)

        return LazyMasks(self.rescored(scores, ()), (), masks)

    def rescored(self, scores: Float[Tensor, " R"], factors: tuple[Tensor, ...]) -> Float[Tensor, " R"]:
        """The geometric mean of the detector's probability of the class and the second look's, times the masks' own.

        A mean, so that what both are half sure of is no quarter. Without factors: the most that it can become.
        """
        if self.look is not None and self.own.class_weight:
            scores = (scores * factors[0] if factors else scores).sqrt()
        return scores * factors[-1] if factors and self.own.mask_rescoring else scores

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As `predict`, where the visible masks are known: the second look is told them. Over the given boxes."""
        grown = regions.grown(self.own.growth)
        known = SURE * (2 * moved(visible.float(), regions.boxes, grown.boxes) - 1)
        first = self.amodal_head.own_class(self.pool(features, grown), grown.labels)
        amodal, _, factors = self._drawn(features, grown, (first, known))
        amodal = amodal.sigmoid()
        factors += self._sureness(amodal)
        amodal = moved(amodal, grown.boxes, regions.boxes)
        return RegionMasks(amodal=amodal, visible=visible.to(amodal.dtype), factors=factors)

    def _masks(self, features: dict[str, Tensor], regions: Regions, *, coarse: bool) -> RegionMasks:
        grown = regions.grown(self.own.growth)
        first = self._coarse(features, grown)
        amodal, visible, factors = self._drawn(features, grown, first)
        amodal, visible = amodal.sigmoid(), visible.sigmoid()
        found = RegionMasks(amodal, visible, factors=factors + self._sureness(amodal, visible))
        if coarse:
            found = replace(found, coarse_amodal=first[0].sigmoid(), coarse_visible=first[1].sigmoid())
        return fitted(found, grown.boxes, regions.boxes)

    def _sureness(self, *probabilities: Float[Tensor, "R 28 28"]) -> tuple[Tensor, ...]:
        """The factor of the score that the masks give, where they give one."""
        if not self.own.mask_rescoring:
            return ()
        return (torch.stack([sureness(one) for one in probabilities]).prod(0),)

    def _coarse(self, features: dict[str, Tensor], regions: Regions) -> Masks:
        """What the heads make of the pyramid's features."""
        pooled, labels = self.pool(features, regions), regions.labels
        return self.amodal_head.own_class(pooled, labels), self.visible_head.own_class(pooled, labels)

    def _drawn(
        self, features: dict[str, Tensor], regions: Regions, coarse: Masks
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """The final masks, coarse where the score is too low for a second look, and the factor of the score."""
        if self.look is None:
            return *coarse, ()
        if regions.scores is None:
            return self._named(self.look, features, regions, coarse)
        is_looked_at = regions.scores >= self.looks_from
        which, rest = torch.where(is_looked_at)[0], torch.where(~is_looked_at)[0]
        amodal, visible, factors = self._named(
            self.look, features, regions[which], (coarse[0][which], coarse[1][which])
        )
        back = torch.cat([which, rest]).argsort()  # by sorting, since an exported graph cannot write into a tensor
        by_chance = torch.full_like(regions.scores[rest], 1 / self.look.num_classes)
        return (
            torch.cat([amodal, coarse[0][rest]])[back],
            torch.cat([visible, coarse[1][rest]])[back],
            tuple(torch.cat([factor, by_chance])[back] for factor in factors),
        )

    def _named(
        self, look: SecondLook, features: dict[str, Tensor], regions: Regions, coarse: Masks
    ) -> tuple[Tensor, Tensor, tuple[Tensor, ...]]:
        """Masks that were looked at, and the probabilities of their classes."""
        amodal, visible, deep = self._looked(look, features, regions, coarse)
        if not self.own.class_weight:
            return amodal, visible, ()
        probabilities = look.classified(deep, visible.sigmoid()).float().softmax(1)
        return amodal, visible, (probabilities.gather(1, regions.labels[:, None] - 1)[:, 0],)

    def _looked(
        self, look: SecondLook, features: dict[str, Tensor], regions: Regions, coarse: Masks
    ) -> tuple[Tensor, Tensor, Tensor]:
        """What the second look makes of the picture, the coarse masks and the shapes nearest to them."""
        shapes = None
        if self.prior is not None:
            shapes = self.prior.averages(self.as_query(coarse[0]), regions.labels - 1, self.num_shapes)
        shown = cut_out(features[IMAGE], regions, 2 * STRIDE * self.pool.side)
        return look(shown, coarse, shapes, regions.labels)

    def _losses(self, name: str, found: Masks, truth: RegionTruth) -> dict[str, Tensor]:
        """Cross-entropy and overlap of a pair of masks."""
        losses = {}
        for kind, logits, wanted, counts in (
            ("amodal", found[0], truth.amodal, truth.exact),
            ("visible", found[1], truth.visible, None),
        ):
            losses[f"loss_{name}_{kind}"] = mask_loss(logits, wanted, counts)
            if self.own.overlap_weight:
                overlap = overlap_loss(logits, wanted, counts)
                losses[f"loss_{name}_{kind}_overlap"] = self.own.overlap_weight * overlap
        return losses


def class_loss(logits: Float[Tensor, "R K"], labels: Int64[Tensor, " R"]) -> Float[Tensor, ""]:
    """Cross-entropy, the mean over regions; 0 (with a gradient) for no region. Labels count from 1."""
    return F.cross_entropy(logits.float(), labels - 1) if len(labels) else logits.sum() * 0


def sureness(probabilities: Float[Tensor, "R S S"]) -> Float[Tensor, " R"]:
    """The mean probability of the cells that a mask claims, in (0.5, 1]; 0 for one that claims none.

    A mask that is right is sure of its cells: its mean tells of its IoU what the class does not know
    (Wang et al., "SOLO: Segmenting Objects by Locations", ECCV 2020, re-score so).
    """
    claimed = probabilities > 0.5
    return (probabilities * claimed).sum((1, 2)) / claimed.sum((1, 2)).clamp(min=1)


def best_of_each_object(regions: Regions, truth: BatchTruth) -> Int64[Tensor, " N"]:
    """The region of each object that overlaps it most, as the refined boxes of detections do.

    Most proposals lie askew: learning from any one of an object's regions costs a point of AP (`docs/results`).
    """
    assert regions.owners is not None
    counts = torch.tensor([0, *(len(target["boxes"]) for target in truth.targets)]).cumsum(0).to(regions.images)
    objects = counts[regions.images] + regions.owners
    scales = truth.scales.repeat(1, 2)
    boxes = torch.cat([target["boxes"] * scale for target, scale in zip(truth.targets, scales, strict=True)])
    best_first = (
        box_iou(regions.boxes, boxes.to(regions.boxes)[objects]).diagonal().argsort(descending=True, stable=True)
    )
    places = torch.arange(len(regions), device=objects.device)
    first = places.new_full((int(counts[-1]),), len(regions)).scatter_reduce(0, objects[best_first], places, "amin")
    return best_first[first[first < len(regions)]].sort().values


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
