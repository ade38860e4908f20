"""VRSP-R, this project's own method: one network over a grown region, both masks at once, refined by known shapes.

What it keeps of VRSP (`amodal.models.vrsp`): a coarse amodal mask asks the shape prior, whose nearest shapes refine it.
What it changes, each by measurement (`docs/results`):

* both masks come from one network that sees the region at three scales, and knows the class from the start;
* a region is grown before it is looked at: a box that is too small no longer cuts the mask off, and the detection's
  box becomes the one around its mask;
* masks are learned by their overlap too, beside the cells' cross-entropy.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.models.branch import LazyMasks, MaskBranch, RegionMasks, moved
from amodal.models.config import VRSPConfig, VRSPRConfig
from amodal.models.losses import mask_loss, own_class
from amodal.models.mask_head import MaskHead
from amodal.models.reclassification import Reclassifier
from amodal.models.regions import BatchTruth, RegionPooler, Regions, RegionTruth
from amodal.models.vrsp import VRSP
from amodal.models.vrsp_losses import Passes
from amodal.prior.shape_prior import ShapePrior

MASKS = ("amodal", "visible")


@dataclass(frozen=True)
class RegionLogits:
    """Both masks' logits over the grown regions: [:, 0] amodal, [:, 1] visible."""

    coarse: Float[Tensor, "R 2 28 28"]
    refined: Float[Tensor, "R 2 28 28"]


def conv(inside: int, outside: int, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution, normalised in groups of 8 channels."""
    layer = nn.Conv2d(inside, outside, 3, stride, 1, bias=False)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    return nn.Sequential(layer, nn.GroupNorm(max(1, outside // 8), outside), nn.ReLU(inplace=True))


def up(inside: int, outside: int) -> nn.Sequential:
    """A deconvolution to twice the side."""
    layer = nn.ConvTranspose2d(inside, outside, 2, 2)
    nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    return nn.Sequential(layer, nn.ReLU(inplace=True))


class RegionNet(nn.Module):
    """Region features (R, C, 28, 28) -> both masks, coarse and refined: the region at 28, 14 and 7 cells a side."""

    def __init__(self, in_channels: int, width: int, num_classes: int, config: VRSPRConfig) -> None:
        super().__init__()
        self.config = config
        self.stem = nn.Sequential(nn.Conv2d(in_channels, width, 1), nn.ReLU(inplace=True))
        self.into14 = conv(in_channels, width)
        self.at14 = conv(width, width)
        self.into7 = conv(width, 2 * width, 2)
        self.name = nn.Embedding(num_classes, 2 * width)
        self.at7 = nn.Sequential(conv(2 * width, 2 * width), conv(2 * width, 2 * width))
        self.to14 = up(2 * width, width)
        self.joined = conv(width, width)
        self.coarse = nn.Sequential(up(width, width), nn.Conv2d(width, 2, 1))
        extra = 2 + (config.num_shapes if config.shapes else 0)
        self.fuse = nn.Sequential(conv(width + extra, width), conv(width, width))
        self.to28 = up(width, width)
        self.finish = nn.Sequential(conv(width, width), nn.Conv2d(width, 2, 1))
        for part in (self.coarse[-1], self.finish[-1]):
            nn.init.normal_(part.weight, std=0.001)  # type: ignore[arg-type]
            nn.init.zeros_(part.bias)  # type: ignore[arg-type]

    def look(
        self, features: Float[Tensor, "R C 28 28"], labels: Int64[Tensor, " R"]
    ) -> tuple[Float[Tensor, "R W 28 28"], Float[Tensor, "R W 14 14"], Float[Tensor, "R 2 28 28"]]:
        """Inner features at two sides, and the coarse masks' logits."""
        fine = self.stem(features)
        cells = F.avg_pool2d(features, 2)
        at14 = self.at14(self.into14(cells))
        at7 = self.into7(at14)
        at7 = at7 + self.name.weight[labels - 1][:, :, None, None]
        context = self.joined(at14 + self.to14(self.at7(at7)))
        return fine, context, self.coarse(context)

    def refine(self, fine: Tensor, context: Tensor, guides: list[Tensor]) -> Float[Tensor, "R 2 28 28"]:
        """What the guides change of the coarse logits."""
        return self.finish(fine + self.to28(self.fuse(torch.cat([context, *guides], 1)) + context))


class NetVRSPR(MaskBranch):
    """A network for both masks, and what it asks of the shape prior."""

    def __init__(self, pool: RegionPooler, net: RegionNet, prior: ShapePrior | None, config: VRSPRConfig) -> None:
        super().__init__()
        self.pool, self.net, self.prior, self.config = pool, net, prior, config

    def forward(self, features: Tensor, labels: Tensor, visible: Tensor | None = None) -> RegionLogits:
        """Coarse and refined logits; a known visible mask takes the place of the coarse one."""
        fine, context, coarse = self.net.look(features, labels)
        guesses = coarse.detach().sigmoid()
        if visible is not None:
            guesses = torch.stack([guesses[:, 0], visible], 1)
        guides = [F.avg_pool2d(guesses, 2)]
        if self.prior is not None and self.config.shapes:
            guides.append(F.avg_pool2d(self.prior.lookup(guesses[:, 0], labels - 1, self.config.num_shapes), 2))
        if self.config.attends:
            context = context * (0.5 + 0.5 * guides[0][:, 1:])
        refined = coarse.detach() + self.net.refine(fine, context, guides)
        return RegionLogits(coarse, refined)

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """Cross-entropy and overlap of coarse and refined masks."""
        grown = regions.grown(self.config.growth)
        logits = self(self.pool(features, grown), regions.labels)
        crops = truth.crop(grown, logits.refined.shape[-1])
        losses = {}
        for stage in ("coarse", "refined"):
            for index, name in enumerate(MASKS):
                found, wanted = getattr(logits, stage)[:, index], getattr(crops, name)
                losses[f"loss_{stage}_{name}"] = mask_loss(found, wanted)
                if self.config.overlap_weight:
                    losses[f"loss_{stage}_{name}_overlap"] = self.config.overlap_weight * overlap_loss(found, wanted)
        return losses

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Refined masks over fitted boxes."""
        return replace(self._masks(features, regions), coarse_amodal=None, coarse_visible=None)

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """Masks of what is kept."""

        def masks(which: Int64[Tensor, " M"], *, coarse: bool) -> RegionMasks:
            return (self._masks if coarse else self.predict)(features, regions[which])

        return LazyMasks(scores, (), masks)

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As `predict`, where the visible masks are known; the masks lie over the given boxes."""
        grown = regions.grown(self.config.growth)
        known = moved(visible.float(), regions.boxes, grown.boxes)
        logits = self(self.pool(features, grown), regions.labels, known)
        amodal = moved(logits.refined[:, 0].sigmoid(), grown.boxes, regions.boxes)
        return RegionMasks(amodal=amodal, visible=visible.to(amodal.dtype))

    def _masks(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        grown = regions.grown(self.config.growth)
        logits = self(self.pool(features, grown), regions.labels)
        found = RegionMasks(*logits.refined.sigmoid().unbind(1), *logits.coarse.sigmoid().unbind(1))
        return fitted(found, grown.boxes, regions.boxes, refit=self.config.refit)


class VRSPR(VRSP):
    """VRSP over grown regions, whose boxes are fitted anew to the amodal masks.

    Args:
        pool: As for VRSP, and so are `heads`, `reclassifier`, `prior`.
        config: VRSP's settings, and this method's own.
    """

    def __init__(
        self,
        pool: RegionPooler,
        heads: tuple[MaskHead, MaskHead],
        reclassifier: Reclassifier | None,
        prior: ShapePrior | None,
        config: tuple[VRSPConfig, VRSPRConfig],
    ) -> None:
        super().__init__(pool, heads, reclassifier, prior, config[0])
        self.own = config[1]

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """VRSP's, over the grown regions."""
        return super().losses(features, regions.grown(self.own.growth), truth)

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Refined masks over fitted boxes, and the factors of the score."""
        found = self._look(features, regions)
        for _ in range(self.own.looks - 1):
            found = self._look_again(features, regions, found)
        return found

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """As VRSP's, over the grown regions; only what is kept is fitted."""
        grown = regions.grown(self.own.growth)
        lazy = super().on_demand(features, grown, scores)

        def masks(which: Int64[Tensor, " M"], *, coarse: bool) -> RegionMasks:
            found = lazy.masks(which, coarse=coarse)
            found = fitted(found, grown.boxes[which], regions.boxes[which], refit=self.own.refit)
            for _ in range(self.own.looks - 1):
                found = self._look_again(features, regions[which], found)
            return found

        return replace(lazy, masks=masks)

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As VRSP's; the masks lie over the given boxes."""
        grown = regions.grown(self.own.growth)
        known = moved(visible.float(), regions.boxes, grown.boxes) > 0.5
        found = super().complete(features, grown, known)
        assert found.amodal is not None
        amodal = moved(found.amodal, grown.boxes, regions.boxes)
        return RegionMasks(amodal=amodal, visible=visible.to(amodal.dtype))

    def further_losses(
        self, features: Tensor, labels: Tensor, passes: Passes, truth: RegionTruth, small_truth: RegionTruth | None
    ) -> dict[str, Tensor]:
        """VRSP's, and how little the masks overlap with the true ones."""
        losses = super().further_losses(features, labels, passes, truth, small_truth)
        if self.own.overlap_weight:
            for stage in ("coarse", "refined"):
                for name in MASKS:
                    logits = own_class(getattr(passes, f"{stage}_{name}").logits, labels)
                    overlap = overlap_loss(logits, getattr(truth, name))
                    losses[f"loss_{stage}_{name}_overlap"] = self.own.overlap_weight * overlap
        return losses

    def _look(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        grown = regions.grown(self.own.growth)
        return fitted(super().predict(features, grown), grown.boxes, regions.boxes, refit=self.own.refit)

    def _look_again(self, features: dict[str, Tensor], regions: Regions, found: RegionMasks) -> RegionMasks:
        """From the fitted boxes: what they were found by keeps its score."""
        assert found.boxes is not None
        return replace(self._look(features, replace(regions, boxes=found.boxes)), factors=found.factors)


def fitted(found: RegionMasks, over: Float[Tensor, "R 4"], boxes: Float[Tensor, "R 4"], *, refit: bool) -> RegionMasks:
    """Masks over grown regions as masks over the boxes of the objects.

    Args:
        found: Masks over `over`.
        over: The grown regions.
        boxes: The boxes that they were grown from.
        refit: Over boxes that are tight around the amodal masks, in place of `boxes`; an empty mask keeps its own.
    """
    assert found.amodal is not None
    wanted = tight(found.amodal, over, boxes) if refit else boxes
    side = 2 * found.amodal.shape[-1]  # finer, so that moving a mask twice blurs it little
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


def overlap_loss(logits: Float[Tensor, "R S S"], truth: Bool[Tensor, "R S S"]) -> Float[Tensor, ""]:
    """1 - Dice, the mean over regions; 0 (with a gradient) for no region."""
    if logits.numel() == 0:
        return logits.sum() * 0
    found, wanted = logits.float().sigmoid().flatten(1), truth.flatten(1).float()
    both = (found * wanted).sum(1)
    return (1 - (2 * both + 1) / (found.sum(1) + wanted.sum(1) + 1)).mean()
