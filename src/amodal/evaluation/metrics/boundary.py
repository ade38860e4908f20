"""Boundary IoU of amodal masks: how well the outline is met, for objects of any size."""

import math
from collections.abc import Sequence

import numpy as np

from amodal.evaluation.matching.pairs import Pair, mean
from amodal.rle import Frame, Rle, boxes, windows

DILATION_RATIO = 0.02
"""Width of the boundary as a share of the image's diagonal."""


def mean_boundary_iou(pairs: Sequence[Pair]) -> float | None:
    """The mean over instances of the boundary IoU of amodal masks, in [0, 1]; a missed instance adds 0.

    None without instances. Source: Cheng et al., "Boundary IoU" (CVPR 2021); the paper puts it into AP, this is the
    plain mean over the pairs of `pairs.assign`.
    """
    return mean(boundary_values(pairs))


def boundary_values(pairs: Sequence[Pair]) -> list[float]:
    """What `mean_boundary_iou` is the mean of, one an instance, the missed ones last."""
    found = [(pair.truth.amodal, pair.detection.amodal) for pair in pairs if pair.detection and pair.detection.amodal]
    values = [
        value
        for start in range(0, len(found), _PAIRS_AT_ONCE)
        for value in boundary_ious(found[start : start + _PAIRS_AT_ONCE])
    ]
    return values + [0.0] * (len(pairs) - len(found))


_PAIRS_AT_ONCE = 64


def boundary_ious(pairs: Sequence[tuple[Rle, Rle]]) -> list[float]:
    """IoU of the pixels of both masks that lie within 2 % of the image's diagonal of their outlines; 0 without any."""
    masks = [mask for pair in pairs for mask in pair]
    frames = [_frame(two) for two in boxes(masks).reshape(-1, 2, 4)]
    pixels = windows(masks, [frame for frame in frames for _ in range(2)])
    values: list[float] = []
    for (mask, _), first, second in zip(pairs, pixels, pixels, strict=True):
        distance = max(1, round(DILATION_RATIO * math.hypot(*mask["size"])))
        one, other = boundary(first, distance), boundary(second, distance)
        both, either = int((one & other).sum()), int((one | other).sum())
        values.append(both / either if either else 0.0)
    return values


def boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """The pixels of a mask within `distance` pixels (in 8 directions) of what is not mask, bool (H, W).

    The image's border counts as outside, so that an object cut by it has an outline there.
    """
    return mask & ~_eroded(mask, distance)


def _eroded(mask: np.ndarray, distance: int) -> np.ndarray:
    """The pixels whose square of 2 * distance + 1 pixels a side is all mask; one direction after the other."""
    size, (height, width) = 2 * distance + 1, mask.shape
    inner = np.zeros((height + 2 * distance, width + 2 * distance), dtype=bool)
    inner[distance : distance + height, distance : distance + width] = mask
    for _ in range(2):
        length = 1  # of the stretches that a pixel of `inner` stands for
        while length < size:
            step = min(length, size - length)
            inner = inner[:-step] & inner[step:]
            length += step
        inner = np.ascontiguousarray(inner.T)
    return inner


def _frame(found: np.ndarray) -> Frame:
    """The smallest frame around boxes, (N, 4) as xywh."""
    left, top = found[:, :2].min(axis=0)
    right, bottom = (found[:, :2] + found[:, 2:]).max(axis=0)
    return int(left), int(top), int(right - left), int(bottom - top)
