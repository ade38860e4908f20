"""What a mask branch sees of every object, kept where it trains: a step is then the branch's own work and no more."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn

from amodal.models.branch import MaskBranch
from amodal.models.regions import BatchTruth, RegionPooler, Regions, RegionTruth
from amodal.paper.pyramids import Boxes, Scenes

AT_ONCE = 16
"""Scenes whose regions are pooled and cropped in one go."""


class Features(dict[str, Tensor]):
    """A batch's pyramid levels, made float where they are asked for, and which kept regions are in the batch."""

    def __init__(self, scenes: Scenes, which: list[int], rows: Tensor) -> None:
        super().__init__()
        self.scenes, self.which, self.rows = scenes, which, rows

    def __missing__(self, level: str) -> Tensor:
        self[level] = self.scenes.levels[level][self.which].float()
        return self[level]


class KeptRegions:
    """The regions of all scenes; their features at each side, and their share of the truth, once they were asked for.

    Args:
        scenes: On the device of the training.
        boxes: Whose boxes.
    """

    def __init__(self, scenes: Scenes, boxes: Boxes) -> None:
        self.scenes = scenes
        self.boxes: Boxes = boxes
        self._kept: dict[object, Tensor] = {}

    @cached_property
    def regions(self) -> Regions:
        """All of them, scene after scene."""
        return self.scenes.regions(list(range(len(self.scenes))), self.boxes, training=True)

    @cached_property
    def rows(self) -> tuple[Tensor, ...]:
        """Each scene's places in `regions`."""
        counts = torch.bincount(self.regions.images, minlength=len(self.scenes)).tolist()
        return torch.arange(len(self.regions), device=self.scenes.device).split(counts)

    def batch(self, which: list[int]) -> tuple[Features, Regions, "KeptTruth"]:
        """As `Scenes.batch` for training."""
        rows = torch.cat([self.rows[index] for index in which])
        every = self.regions
        assert every.owners is not None
        images = torch.cat([torch.full_like(self.rows[index], place) for place, index in enumerate(which)])
        regions = Regions(every.boxes[rows], every.labels[rows], images, every.owners[rows])
        truth = self.scenes.truth(which)
        return Features(self.scenes, which, rows), regions, KeptTruth(truth.targets, truth.scales, self, rows)

    def pooled(self, pool: RegionPooler, growth: float) -> Tensor:
        """Features (R, C, S, S) of all regions."""

        def features(which: list[int]) -> Tensor:
            levels, regions, _ = self.scenes.batch(which, self.boxes, training=True)
            return pool(levels, regions.grown(growth))

        return self._keep((pool.side, pool.sampling_ratio, pool.canonical_size, growth), features)

    def cropped(self, side: int, kind: str, growth: float) -> Tensor:
        """Crops (R, S, S) of all regions: `amodal`, `visible`, or `others`, what is seen of the other objects."""

        def crop(which: list[int]) -> Tensor:
            regions, truth = self.scenes.regions(which, self.boxes, training=True), self.scenes.truth(which)
            regions = regions.grown(growth)
            return truth.crop_others(regions, side) if kind == "others" else getattr(truth.crop(regions, side), kind)

        return self._keep((side, kind, growth), crop)

    @torch.no_grad()
    def _keep(self, key: object, make: Callable[[list[int]], Tensor]) -> Tensor:
        if key not in self._kept:
            parts = torch.arange(len(self.scenes)).split(AT_ONCE)
            self._kept[key] = torch.cat([make(part.tolist()) for part in parts])
        return self._kept[key]


@dataclass(frozen=True)
class KeptTruth(BatchTruth):
    """A batch's truth, whose crops of the batch's own regions are kept: no other regions are asked for."""

    kept: KeptRegions
    rows: Tensor

    def crop(self, regions: Regions, side: int) -> RegionTruth:
        """As `BatchTruth.crop`; `regions` are the batch's."""
        amodal, visible = (self.kept.cropped(side, kind, regions.growth)[self.rows] for kind in ("amodal", "visible"))
        return RegionTruth(amodal, visible, self.exact(regions))

    def crop_others(self, regions: Regions, side: int) -> Tensor:
        """As `BatchTruth.crop_others`; `regions` are the batch's."""
        return self.kept.cropped(side, "others", regions.growth)[self.rows]


class KeptPooler(nn.Module):
    """A pooler that looks up the regions of a kept batch, and pools any others."""

    def __init__(self, pool: RegionPooler, kept: KeptRegions) -> None:
        super().__init__()
        self.pool, self.side, self.kept = pool, pool.side, kept

    def forward(self, features: dict[str, Tensor], regions: Regions) -> Tensor:
        """Features of every region, in the order of the regions."""
        if isinstance(features, Features):
            return self.kept.pooled(self.pool, regions.growth)[features.rows]
        return self.pool(features, regions)


def look_up(branch: MaskBranch, kept: KeptRegions) -> None:
    """Lets every pooler of the branch look up what is kept."""
    for module in list(branch.modules()):
        for name, part in list(module.named_children()):
            if isinstance(part, RegionPooler) and not isinstance(module, KeptPooler):
                setattr(module, name, KeptPooler(part, kept))
