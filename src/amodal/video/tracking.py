"""The same number for the same object from frame to frame, so that its colour stays."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from amodal import mask_arrays
from amodal.results.result import Result

LEAST_OVERLAP = 0.3
"""Objects of two frames that overlap less are two objects."""
PATIENCE = 15
"""Frames for which an object that is lost keeps its number."""


@dataclass
class _Track:
    identity: int
    label: int
    box: tuple[slice, slice]
    mask: Bool[np.ndarray, "h w"]
    """The amodal mask within the box."""
    missed: int = 0


class Tracker:
    """Matches objects of one class by the overlap of their amodal masks, which go on behind what covers them."""

    def __init__(self) -> None:
        self._tracks: list[_Track] = []
        self._next = 0

    def update(self, result: Result) -> Int64[np.ndarray, " N"]:
        """The number of each object of the next frame; an object seen for the first time gets a new one."""
        from scipy.optimize import linear_sum_assignment  # late: the first answer does not wait for it

        found = [
            _Track(-1, int(label), *_window(mask)) for label, mask in zip(result.labels, result.masks, strict=True)
        ]
        overlaps = np.zeros((len(self._tracks), len(found)))
        for row, old in zip(overlaps, self._tracks, strict=True):
            row[:] = [_overlap(old, new) for new in found]
        for track in self._tracks:
            track.missed += 1
        for old, new in zip(*linear_sum_assignment(overlaps, maximize=True), strict=True):
            if overlaps[old, new] >= LEAST_OVERLAP:
                found[new].identity = self._tracks[old].identity
        for track in found:
            if track.identity < 0:
                track.identity, self._next = self._next, self._next + 1
        seen = {track.identity for track in found}
        lost = [track for track in self._tracks if track.identity not in seen and track.missed <= PATIENCE]
        self._tracks = found + lost
        return np.array([track.identity for track in found], dtype=np.int64)


def _window(mask: Bool[np.ndarray, "H W"]) -> tuple[tuple[slice, slice], Bool[np.ndarray, "h w"]]:
    """The mask's tight window and the mask within it."""
    window = mask_arrays.window(mask)
    return window, mask[window].copy()


def _overlap(first: _Track, second: _Track) -> float:
    """Mean IoU of two objects' masks and boxes, 0 for two classes. Thin masks that move have little in common."""
    if first.label != second.label:
        return 0.0
    common = [slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first.box, second.box, strict=True)]
    if any(part.stop <= part.start for part in common):
        return 0.0
    a, b = (
        track.mask[tuple(slice(c.start - o.start, c.stop - o.start) for c, o in zip(common, track.box, strict=True))]
        for track in (first, second)
    )
    masks = _iou(*(int(np.count_nonzero(mask)) for mask in (a & b, first.mask, second.mask)))
    return (masks + _iou(a.size, first.mask.size, second.mask.size)) / 2


def _iou(common: int, first: int, second: int) -> float:
    """IoU from three areas."""
    return common / max(1, first + second - common)
