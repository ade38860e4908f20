"""Depth-order accuracy: of two objects that overlap, which one is in front."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from amodal.annotations import Annotation, Detection
from amodal.evaluation.matching.pairs import Pair
from amodal.rle import areas, boxes, intersect, subtract


@dataclass(frozen=True)
class DepthOrder:
    """How many pairs of overlapping objects there are, in how many both were found, and how many are in right order."""

    pairs: int
    found: int
    right: int

    def __add__(self, other: "DepthOrder") -> "DepthOrder":
        return DepthOrder(self.pairs + other.pairs, self.found + other.found, self.right + other.right)

    @property
    def accuracy(self) -> float | None:
        """Right orders among the pairs of which both objects were found, in [0, 1]; None without any."""
        return self.right / self.found if self.found else None


def depth_order(images: Sequence[Sequence[Pair]]) -> DepthOrder:
    """Counts over all images.

    Two instances make a pair if their amodal masks overlap and it is known which is in front: by their stated order,
    or else by what hides what. A predicted order is read the same way; undecided ones are wrong. After SLN (Zhang et
    al., "Learning Semantics-aware Distance Map with Semantics Layering Network for Amodal Instance Segmentation", ACM
    Multimedia 2019), which tells who covers whom by comparing each one's occluded part with the other.

    Args:
        images: The pairs of each image from `pairs.assign`.
    """
    total = found = right = 0
    for pairs in images:
        for first, second in _overlapping(pairs):
            actual = in_front(first.truth, second.truth)
            if actual == 0:
                continue
            total += 1
            if first.detection and second.detection:
                found += 1
                right += in_front(first.detection, second.detection) == actual
    return DepthOrder(total, found, right)


def _overlapping(pairs: Sequence[Pair]) -> Iterator[tuple[Pair, Pair]]:
    """Every two whose true amodal masks have a pixel in common."""
    masks = [pair.truth.amodal for pair in pairs]
    found = boxes(masks)
    low, high = found[:, None, :2], found[:, None, :2] + found[:, None, 2:]
    touching = (np.minimum(high, high.swapaxes(0, 1)) > np.maximum(low, low.swapaxes(0, 1))).all(axis=2)
    for one, other in np.argwhere(np.triu(touching, 1)).tolist():
        if areas([intersect(masks[one], masks[other])])[0]:
            yield pairs[one], pairs[other]


def in_front(first: Annotation | Detection, second: Annotation | Detection) -> int:
    """1 if `first` is in front of `second`, -1 if behind, 0 if undecided.

    By depth order where both state one that differs, else by which one's visible mask covers more of the other's
    invisible part.
    """
    if first.depth_order is not None and second.depth_order is not None and first.depth_order != second.depth_order:
        return 1 if first.depth_order < second.depth_order else -1
    covered = _hides(first, second) - _hides(second, first)
    return (covered > 0) - (covered < 0)


def _hides(front: Annotation | Detection, back: Annotation | Detection) -> int:
    """Pixels of the invisible part of `back` where `front` is visible; 0 without both masks."""
    if not (front.visible and back.visible and back.amodal) or back.visible is back.amodal:
        return 0
    return int(areas([intersect(front.visible, subtract(back.amodal, back.visible))])[0])
