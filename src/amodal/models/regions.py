"""Regions: which boxes the mask branch works on, their features, and their share of the truth."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from amodal import masks
from amodal.instances import Target
from amodal.models.align import Places, align

STRIDES = (4, 8, 16, 32)
IMAGE = "image"
"""Beside the pyramid's levels in what a mask branch gets: the resized images themselves, (B, 3, H, W), normalised."""


@dataclass(frozen=True)
class Regions:
    """Boxes of a batch in resized pixels, with the class whose mask is wanted.

    Attributes:
        boxes: Of all images, one after the other, xyxy in the resized images' pixels.
        labels: Class of each region, from 1.
        images: Which image of the batch each region lies in.
        owners: In training, which object of its image's target each region belongs to.
        growth: How much wider and higher the boxes are than those that were found, as a share.
        scores: Of the detections that the regions belong to, where they are known.
    """

    boxes: Float[Tensor, "R 4"]
    labels: Int64[Tensor, " R"]
    images: Int64[Tensor, " R"]
    owners: Int64[Tensor, " R"] | None = None
    growth: float = 0.0
    scores: Float[Tensor, " R"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, keep: Tensor | slice) -> "Regions":
        owners, scores = (None if part is None else part[keep] for part in (self.owners, self.scores))
        return Regions(self.boxes[keep], self.labels[keep], self.images[keep], owners, self.growth, scores)

    def grown(self, growth: float) -> "Regions":
        """The regions with boxes so much wider and higher, about the same centres: 0.2 is a tenth to every side."""
        margin = (self.boxes[:, 2:] - self.boxes[:, :2]) * (growth / 2)
        boxes = torch.cat([self.boxes[:, :2] - margin, self.boxes[:, 2:] + margin], 1)
        return replace(self, boxes=boxes, growth=growth)


class RegionPooler(nn.Module):
    """Aligned RoIAlign (He et al. 2017) of every region from the pyramid level that fits its size (Lin et al. 2017).

    torchvision's own multi-scale pooler lacks the half-pixel correction that detectron2 calls "aligned"; without it
    features and the truth's crops disagree by half a cell.
    """

    def __init__(self, side: int, canonical_size: int = 224, sampling_ratio: int = 2) -> None:
        super().__init__()
        self.side, self.sampling_ratio, self.canonical_size = side, sampling_ratio, canonical_size
        self.level_of: Callable[[list[Tensor]], Tensor] = LevelMapper(k_min=2, k_max=5, canonical_scale=canonical_size)

    def forward(self, features: dict[str, Tensor], regions: Regions) -> Float[Tensor, "R C S S"]:
        """Features of every region, in the order of the regions."""
        levels = [features[str(i)] for i in range(len(STRIDES))]
        assigned = self.level_of([regions.boxes])
        if levels[0].device.type == "cpu":
            places = Places(assigned, regions.images, regions.boxes)
            cells = align([level.float() for level in levels], STRIDES, places, self.side, self.sampling_ratio)
            return cells.permute(0, 3, 1, 2)
        boxes = torch.cat([regions.images[:, None].to(regions.boxes), regions.boxes], 1)
        # Under autocast the pyramid is bfloat16 while boxes stay float32, where pixels near 1000 keep their fractions.
        pooled = levels[0].new_zeros((len(regions), levels[0].shape[1], self.side, self.side), dtype=torch.float32)
        for index, (level, stride) in enumerate(zip(levels, STRIDES, strict=True)):
            which = torch.where(assigned == index)[0]
            crops = roi_align(level.float(), boxes[which], self.side, 1 / stride, self.sampling_ratio, aligned=True)
            pooled = pooled.index_copy(0, which, crops)
        return pooled


@dataclass(frozen=True)
class RegionTruth:
    """The truth's masks cropped to regions.

    Attributes:
        amodal: Amodal masks.
        visible: Visible masks.
        exact: Whose amodal mask is the whole object; None: all are. Of the others the visible mask alone is true.
    """

    amodal: Bool[Tensor, "R S S"]
    visible: Bool[Tensor, "R S S"]
    exact: Bool[Tensor, " R"] | None = None


@dataclass(frozen=True)
class BatchTruth:
    """The truth of a batch, from which the mask branches take what they learn.

    Attributes:
        targets: One for each image; masks in the images' own pixels.
        scales: Resized size over own size of each image, (x, y): takes resized boxes back to the masks' pixels.
    """

    targets: list[Target]
    scales: Float[Tensor, "B 2"]

    def crop(self, regions: Regions, side: int) -> RegionTruth:
        """Each region's own object's masks over the region's box, at `side` x `side`."""
        if regions.owners is None:
            raise ValueError("regions without owners have no truth")
        own_boxes = regions.boxes / self.scales[regions.images].repeat(1, 2)
        amodal = regions.boxes.new_zeros((len(regions), side, side), dtype=torch.bool)
        visible = amodal.clone()
        for image, target in enumerate(self.targets):
            chosen = torch.where(regions.images == image)[0]
            boxes, owners = own_boxes[chosen], regions.owners[chosen]
            amodal[chosen] = masks.crop(target["amodal_masks"], boxes, owners, side)
            visible[chosen] = masks.crop(target["visible_masks"], boxes, owners, side)
        return RegionTruth(amodal, visible, self.exact(regions))

    def exact(self, regions: Regions) -> Bool[Tensor, " R"] | None:
        """Whether the object that each region belongs to is known whole; None where all are."""
        if regions.owners is None or not any("exact" in target for target in self.targets):
            return None
        values = torch.ones_like(regions.labels, dtype=torch.bool)
        for image, target in enumerate(self.targets):
            if "exact" in target:
                chosen = torch.where(regions.images == image)[0]
                values[chosen] = target["exact"][regions.owners[chosen]]
        return values

    def crop_others(self, regions: Regions, side: int) -> Bool[Tensor, "R S S"]:
        """What is visible of the other objects in each region: the union of their visible masks, as `crop` takes it."""
        others: list[Target] = []
        for target in self.targets:
            visible = target["visible_masks"]
            several = visible.sum(0, keepdim=True) > visible.long()  # a pixel is another's where someone else has it
            others.append({**target, "visible_masks": several})
        return BatchTruth(others, self.scales).crop(regions, side).visible
