"""Boundary IoU of amodal masks: how well the outline is met, for objects of any size."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import minimum_filter

from amodal.evaluation.pairs import Pair
from amodal.rle import Rle, areas, boxes, decode

DILATION_RATIO = 0.02
"""Width of the boundary as a share of the image's diagonal."""


def mean_boundary_iou(pairs: Sequence[Pair]) -> float | None:
    """The mean over instances of the boundary IoU of amodal masks, in [0, 1]; a missed instance adds 0.

    None without instances. Source: Cheng et al., "Boundary IoU" (CVPR 2021); the paper puts it into AP, this is the
    plain mean over the pairs of `pairs.assign`.
    """
    values = [
        boundary_iou(pair.truth.amodal, pair.detection.amodal) if pair.detection and pair.detection.amodal else 0.0
        for pair in pairs
    ]
    return sum(values) / len(values) if values else None


def boundary_iou(first: Rle, second: Rle) -> float:
    """IoU of the pixels of each mask that lie within 2 % of the image's diagonal of its outline; 0 for an empty one."""
    if not areas([first, second]).all():
        return 0.0
    height, width = first["size"]
    distance = max(1, round(DILATION_RATIO * float(np.hypot(height, width))))
    left, top, right, bottom = _frame(first, second)
    masks = decode([first, second], (height, width))[:, top:bottom, left:right]
    one, other = (boundary(mask, distance) for mask in masks)
    return float((one & other).sum() / (one | other).sum())


def boundary(mask: np.ndarray, distance: int) -> np.ndarray:
    """The pixels of a mask within `distance` pixels (in 8 directions) of what is not mask, bool (H, W).

    The image's border counts as outside, so that an object cut by it has an outline there.
    """
    inner: np.ndarray = np.asarray(minimum_filter(mask, size=2 * distance + 1, mode="constant", cval=0), dtype=bool)
    return mask & ~inner


def _frame(first: Rle, second: Rle) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of the smallest frame around both masks."""
    found = boxes([first, second])
    left, top = found[:, :2].min(axis=0)
    right, bottom = (found[:, :2] + found[:, 2:]).max(axis=0)
    return int(left), int(top), int(right), int(bottom)
