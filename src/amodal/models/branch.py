"""Mask branches: what stands on the detector, and what the methods of the field differ in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.ops import clip_boxes_to_image

from amodal.models.regions import BatchTruth, Regions


@dataclass(frozen=True)
class RegionMasks:
    """What a mask branch says of regions: probabilities over each region's box.

    Attributes:
        amodal: The whole object; None for a branch that learns visible masks only.
        visible: The visible part; None for a branch that learns amodal masks only.
        coarse_amodal: The first guess of a branch that refines.
        coarse_visible: Likewise.
        factors: Corrections of the class score in [0, 1], where the branch has any.
        boxes: What the masks lie over, xyxy in resized pixels, where it is not the regions' boxes.
    """

    amodal: Float[Tensor, "R S S"] | None = None
    visible: Float[Tensor, "R S S"] | None = None
    coarse_amodal: Float[Tensor, "R S S"] | None = None
    coarse_visible: Float[Tensor, "R S S"] | None = None
    factors: tuple[Float[Tensor, " R"], ...] = ()
    boxes: Float[Tensor, "R 4"] | None = None

    def at(self, keep: Tensor) -> "RegionMasks":
        """The masks at `keep`."""
        kept = {name: mask[keep] for name, mask in self._masks().items()}
        boxes = None if self.boxes is None else self.boxes[keep]
        return RegionMasks(**kept, factors=tuple(factor[keep] for factor in self.factors), boxes=boxes)

    def over(self, boxes: Float[Tensor, "R 4"], side: int | None = None) -> "RegionMasks":
        """The masks over other boxes, if they do not lie over these; `side` cells across, or as many as they have."""
        if self.boxes is None:
            return self
        found = {name: moved(mask, self.boxes, boxes, side) for name, mask in self._masks().items()}
        return RegionMasks(**found, factors=self.factors)

    def within(self, size: tuple[int, int]) -> "RegionMasks":
        """Boxes of the masks' own cut off at the borders of an image (height, width), and the masks over what is left.

        What lies outside in one piece stays as it is.
        """
        if self.boxes is None:
            return self
        inside = clip_boxes_to_image(self.boxes, size)
        is_left = (inside[:, 2:] > inside[:, :2]).all(1)[:, None]
        boxes = torch.where(is_left, inside, self.boxes)
        is_cut = (boxes != self.boxes).any(1)[:, None, None]
        found = {n: torch.where(is_cut, moved(mask, self.boxes, boxes), mask) for n, mask in self._masks().items()}
        return replace(self, **found, boxes=boxes)

    def _masks(self) -> dict[str, Tensor]:
        names = ("amodal", "visible", "coarse_amodal", "coarse_visible")
        return {name: mask for name in names if (mask := getattr(self, name)) is not None}


def moved(
    masks: Float[Tensor, "R S S"],
    over: Float[Tensor, "R 4"],
    boxes: Float[Tensor, "R 4"],
    side: int | None = None,
) -> Float[Tensor, "R T T"]:
    """Masks over some boxes as masks over others, bilinear; zero where they were not. T is `side`, or S.

    Two small matrix products, as in `amodal.boxed_masks.stretch`.
    """
    sides = side or masks.shape[-1], masks.shape[-1]
    across, down = (_weights(over[:, axis::2], boxes[:, axis::2], *sides) for axis in (0, 1))
    return down @ masks @ across.transpose(1, 2)


def _weights(over: Float[Tensor, "R 2"], wanted: Float[Tensor, "R 2"], to: int, side: int) -> Float[Tensor, "R T S"]:
    """Of the `side` cells of `over` in each of the `to` cells of `wanted`, along one axis."""
    cells, places = (torch.arange(number, device=over.device, dtype=over.dtype) for number in (side, to))
    low, high = wanted[:, :1], wanted[:, 1:]
    centres = low + (high - low) * (places + 0.5) / to
    places = (centres - over[:, :1]) / (over[:, 1:] - over[:, :1]).clamp(min=1e-6) * side - 0.5
    return (1 - (places[:, :, None] - cells).abs()).clamp(min=0)


@dataclass(frozen=True)
class LazyMasks:
    """Masks and final scores of candidates, computed where they are asked for.

    Attributes:
        bounds: The most that the final scores can become.
        corrections: Stages of the final score, as `amodal.models.rescoring.suppress_rescored` takes them.
        masks: Masks of the candidates at some indices; `coarse` says whether with the first guesses.
    """

    bounds: Float[Tensor, " R"]
    corrections: Sequence[Callable[[Int64[Tensor, " M"]], Float[Tensor, " M"]]]
    masks: Callable[..., RegionMasks]


class MaskBranch(nn.Module):
    """A method. It writes `losses` and `predict`; the rest is for methods whose masks correct the class scores."""

    factor_names: tuple[str, ...] = ()
    """The corrections of the class score by each region's own masks, in the order of `RegionMasks.factors`."""

    learns_visible_alone: bool = False
    """Whether its losses take objects of which only the visible mask is known (`RegionTruth.exact`), too."""

    looks_from: float = 0.0
    """Regions that score less are left out of a part of its work; 0 where all take part in all."""

    @property
    def rescores(self) -> bool:
        """Whether class scores are corrected before suppression."""
        return bool(self.factor_names)

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """Losses of the positive regions of a batch; every weight of the branch takes part.

        Args:
            features: The pyramid's levels by name, and the images themselves (`amodal.models.regions.IMAGE`).
            regions: With owners.
            truth: The batch's.
        """
        raise NotImplementedError

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Masks of regions whose classes are given."""
        raise NotImplementedError

    def on_demand(self, features: dict[str, Tensor], regions: Regions, scores: Float[Tensor, " R"]) -> LazyMasks:
        """Masks and final scores of candidates where they are asked for."""

        def masks(which: Int64[Tensor, " M"], *, coarse: bool) -> RegionMasks:
            del coarse  # there are none
            return self.predict(features, regions[which])

        return LazyMasks(scores, (), masks)

    def rescored(self, scores: Float[Tensor, " R"], factors: tuple[Tensor, ...]) -> Float[Tensor, " R"]:
        """Final scores from class scores and a prediction's factors. Without factors: the most they can become."""
        del factors  # there are none
        return scores

    def complete(self, features: dict[str, Tensor], regions: Regions, visible: Bool[Tensor, "R 28 28"]) -> RegionMasks:
        """As `predict`, where the visible masks are known. A method that cannot use them goes without."""
        del visible
        return self.predict(features, regions)
