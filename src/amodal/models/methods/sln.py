"""SLN (Zhang et al., ACM MM 2019): masks by depth level, visible on top, each hidden layer beneath.

One object's pixels have levels: 1 where it is visible, 1 + n where it lies beneath n others; deeper ones share the
last level. The amodal mask is the union of the levels, the visible mask is level 1. Masks are class-agnostic. A dense
head on the pyramid predicts how many objects lie on each pixel and gives every region that context of the whole image.
"""

from collections.abc import Callable

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from amodal import masks
from amodal.instances import Target
from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.config import SLNConfig
from amodal.models.losses import mask_loss
from amodal.models.regions import STRIDES, BatchTruth, RegionPooler, Regions

SIDE = 16
"""Cells across a region's features; level maps have twice as many."""


class OverlapHead(nn.Module):
    """The finest pyramid level -> context (B, c, h, w) and logits of 0, 1, ... or at least L objects on a pixel."""

    def __init__(self, in_channels: int, config: SLNConfig) -> None:
        super().__init__()
        self.context = nn.Sequential(
            nn.Conv2d(in_channels, in_channels, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(in_channels, config.context_channels, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.count = nn.Conv2d(config.context_channels, config.levels + 1, 1)

    def forward(self, finest: Float[Tensor, "B C h w"]) -> tuple[Float[Tensor, "B c h w"], Float[Tensor, "B L+1 h w"]]:
        """Context features and count logits."""
        context = self.context(finest)
        return context, self.count(context)


class LevelHead(nn.Module):
    """Region features with context -> logits of each level at twice the side."""

    def __init__(self, in_channels: int, width: int, levels: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for channels in (in_channels, width, width, width):
            layers += [nn.Conv2d(channels, width, 3, padding=1, bias=False), nn.BatchNorm2d(width), nn.ReLU(True)]
        self.convs = nn.Sequential(*layers)
        self.deconv = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.predictor = nn.Conv2d(width, levels, 1)

    def forward(self, features: Float[Tensor, "R C 16 16"]) -> Float[Tensor, "R L 32 32"]:
        """Logits; no region gives an empty tensor that every weight still takes part in."""
        if len(features) == 0:  # batch norm has no statistics of nothing
            nothing = sum((weight.sum() * 0 for weight in self.parameters()), features.sum() * 0)
            return nothing + features.new_zeros((0, self.predictor.out_channels, 2 * SIDE, 2 * SIDE))
        return self.predictor(self.deconv(self.convs(features)).relu())


def any_level(logits: Float[Tensor, "R L S S"]) -> Float[Tensor, "R S S"]:
    """Logits of a cell being on at least one level, levels independent: 1 - prod(1 - p)."""
    off = F.softplus(logits).sum(1).clamp(min=1e-30)  # -log prod(1 - p)
    return off + torch.log(-torch.expm1(-off))


UNIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sum": lambda logits: logits.sum(1),
    "any": any_level,
    "logsumexp": lambda logits: logits.logsumexp(1),
}
"""Amodal logits (R, S, S) from the levels' (R, L, S, S), as `SLNConfig.union` names them."""


class SLN(MaskBranch):
    """Level maps of each region, with the image's overlap map as context."""

    def __init__(self, pool: RegionPooler, in_channels: int, width: int, config: SLNConfig) -> None:
        super().__init__()
        if config.levels < 2:
            raise ValueError("with one level SLN is Mask R-CNN: it takes at least 2")
        self.levels, self.union = config.levels, UNIONS[config.union]
        self.pool = pool
        self.overlap = OverlapHead(in_channels, config)
        self.head = LevelHead(in_channels + config.context_channels, width, config.levels)

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """`loss_levels`, `loss_amodal` (of the levels' union) and `loss_overlap` (of the counts on each pixel)."""
        context, counts = self.overlap(features["0"])
        logits = self.head(self._pool(features, context, regions))
        levels = crop_levels(truth, regions, self.levels, 2 * SIDE)
        amodal = truth.crop(regions, 2 * SIDE).amodal
        wanted = overlap_counts(truth, (counts.shape[-2], counts.shape[-1]), self.levels)
        return {
            "loss_levels": mask_loss(logits.flatten(0, 1), levels.flatten(0, 1)),
            "loss_amodal": mask_loss(self.union(logits), amodal),
            "loss_overlap": F.cross_entropy(counts, wanted),
        }

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Amodal: the union of the levels. Visible: level 1."""
        context, _ = self.overlap(features["0"])
        logits = self.head(self._pool(features, context, regions))
        return RegionMasks(amodal=self.union(logits).sigmoid(), visible=logits[:, 0].sigmoid())

    def _pool(self, features: dict[str, Tensor], context: Tensor, regions: Regions) -> Tensor:
        boxes = torch.cat([regions.images[:, None].to(regions.boxes), regions.boxes], 1)
        around = roi_align(context.float(), boxes, SIDE, 1 / STRIDES[0], 2, aligned=True)
        return torch.cat([self.pool(features, regions), around], 1)


def covering(target: Target) -> Bool[Tensor, "N N"]:
    """[a, b]: object a lies in front of b.

    From the depth order where it is known; else A covers B if A is visible on more of B's invisible part than B on A's.
    """
    if "depth_order" in target:
        order = target["depth_order"]
        return order[:, None] < order[None]
    visible = target["visible_masks"].flatten(1).float()
    invisible = masks.invisible(target["amodal_masks"], target["visible_masks"]).flatten(1).float()
    visible_on_invisible = visible @ invisible.T
    return visible_on_invisible > visible_on_invisible.T


def level_maps(target: Target, levels: int) -> Int64[Tensor, "N H W"]:
    """Each object's level at each pixel: 0 off the object, 1 visible, 1 + n beneath n others, at most `levels`."""
    amodal, visible = target["amodal_masks"], target["visible_masks"]
    above = torch.einsum("ab,ahw->bhw", covering(target).float(), amodal.float()).long()
    invisible = (1 + above).clamp(2, levels)  # what is hidden lies beneath something, if only an unlabelled thing
    return torch.where(visible, 1, torch.where(amodal, invisible, 0))


def crop_levels(truth: BatchTruth, regions: Regions, levels: int, side: int) -> Bool[Tensor, "R L S S"]:
    """Each region's own object's level maps over the region's box."""
    maps = [level_maps(target, levels) for target in truth.targets]
    crops = []
    for level in range(1, levels + 1):
        on_level: list[Target] = [
            {**target, "amodal_masks": m == level} for target, m in zip(truth.targets, maps, strict=True)
        ]
        crops.append(BatchTruth(on_level, truth.scales).crop(regions, side).amodal)
    return torch.stack(crops, 1)


def overlap_counts(truth: BatchTruth, size: tuple[int, int], most: int) -> Int64[Tensor, "B h w"]:
    """How many objects lie on each pixel of the finest pyramid level, at most `most`; 0 in the batch's padding."""
    counts = torch.zeros((len(truth.targets), *size), dtype=torch.int64, device=truth.scales.device)
    for image, (target, scale) in enumerate(zip(truth.targets, truth.scales, strict=True)):
        on_pixel = target["amodal_masks"].sum(0).clamp(max=most)
        height, width = on_pixel.shape
        rows = ((torch.arange(size[0], device=scale.device) + 0.5) * STRIDES[0] / scale[1]).long()
        columns = ((torch.arange(size[1], device=scale.device) + 0.5) * STRIDES[0] / scale[0]).long()
        inside = (rows < height)[:, None] & (columns < width)
        sampled = on_pixel[rows.clamp(max=height - 1)][:, columns.clamp(max=width - 1)]
        counts[image] = torch.where(inside, sampled, 0)
    return counts
