"""Stray pieces of a mask, as detectors leave them far from the object."""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from amodal import mask_arrays

SMALL = 0.1
"""A piece of less than this share of the largest piece's area is small."""
FAR = 0.5
"""A piece is far where the gap between its box and the rest's is more than this share of the rest's longer side."""


def main_part(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """A mask without its small far pieces; an object that its occluder cuts in two keeps both halves.

    >>> mask = np.zeros((20, 90), dtype=bool)
    >>> mask[5:15, 5:15] = mask[2:4, 80:82] = True
    >>> main_part(mask).sum()
    np.int64(100)
    """
    kept = mask.copy()
    window = mask_arrays.window(mask)  # large pictures stay cheap
    if not mask[window].size:
        return kept
    from scipy import ndimage  # late: the first answer does not wait for it

    found: Any = ndimage.label(mask[window], np.ones((3, 3)))
    labels, count = found
    if count > 1:
        dropped = _stray(labels, count)
        kept[window] &= ~np.isin(labels, dropped)
    return kept


def main_boxes(masks: Bool[np.ndarray, "N H W"]) -> Float32[np.ndarray, "N 4"]:
    """Tight boxes around the `main_part` of each mask, xyxy; zeros for an empty mask."""
    parts = [mask_arrays.boxes(main_part(mask)[None]) for mask in masks]
    return np.concatenate(parts) if parts else np.zeros((0, 4), dtype=np.float32)


def _stray(labels: np.ndarray, count: int) -> list[int]:
    """The labels of small far pieces. Pieces join from the largest on, so that a chain of them reaches far."""
    from scipy import ndimage

    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    boxes = [
        np.array([across.start, down.start, across.stop, down.stop]) for down, across in ndimage.find_objects(labels)
    ]
    order = np.argsort(-areas, kind="stable")
    joined = boxes[order[0]]
    waiting = [int(piece) for piece in order[1:]]
    for piece in [piece for piece in waiting if areas[piece] >= SMALL * areas[order[0]]]:
        joined = _around(joined, boxes[piece])
        waiting.remove(piece)
    while near := [piece for piece in waiting if _gap(joined, boxes[piece]) <= FAR * (joined[2:] - joined[:2]).max()]:
        for piece in near:
            joined = _around(joined, boxes[piece])
        waiting = [piece for piece in waiting if piece not in near]
    return [piece + 1 for piece in waiting]


def _around(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return np.concatenate([np.minimum(first[:2], second[:2]), np.maximum(first[2:], second[2:])])


def _gap(first: np.ndarray, second: np.ndarray) -> int:
    """Pixels between two boxes, along the axis on which they are farther apart; 0 where they touch."""
    return int(np.maximum(np.maximum(second[:2] - first[2:], first[:2] - second[2:]), 0).max())
