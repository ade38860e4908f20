"""Which annotated objects are seen whole: they touch neither the image's border nor another object."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from amodal import rle
from amodal.annotations import Annotation

GAP = 2
"""Pixels that must lie between two objects: annotated outlines are off by one or two."""


def whole(
    annotations: Sequence[Annotation], min_area: int = 1, *, up_to_border: bool = False
) -> Bool[np.ndarray, " N"]:
    """Whether each object of one image is seen whole, as far as its annotations tell, and large enough.

    Crowds and stuff are never whole, and nothing that touches them is.

    Args:
        annotations: All objects of the image.
        min_area: Least area in pixels.
        up_to_border: Whether an object that the border cuts counts as whole up to there, as in the field's data sets.
    """
    if not annotations:
        return np.zeros(0, dtype=bool)
    height, width = annotations[0].amodal["size"]
    left, top, box_width, box_height = rle.boxes([a.amodal for a in annotations]).T
    right, bottom = left + box_width, top + box_height
    areas = rle.areas([a.amodal for a in annotations])
    is_whole = np.array([not (a.is_crowd or a.is_stuff) for a in annotations])
    is_whole &= (areas >= min_area) & (areas == rle.areas([a.visible for a in annotations]))
    if not up_to_border:
        is_whole &= (left >= 1) & (top >= 1) & (right <= width - 1) & (bottom <= height - 1)
    near = (left[:, None] < right + GAP) & (right[:, None] > left - GAP)
    near &= (top[:, None] < bottom + GAP) & (bottom[:, None] > top - GAP)
    for i in np.flatnonzero(is_whole).tolist():
        others = [annotations[j] for j in np.flatnonzero(near[i]).tolist() if j != i]
        is_whole[i] = not (others and _touches(annotations[i], others))
    return is_whole


def _touches(annotation: Annotation, others: Sequence[Annotation]) -> bool:
    """Whether fewer than `GAP` pixels lie between the object and one of the others."""
    height, width = annotation.amodal["size"]
    left, top, box_width, box_height = map(int, rle.boxes([annotation.amodal])[0])
    box = (
        slice(max(top - GAP, 0), min(top + box_height + GAP, height)),
        slice(max(left - GAP, 0), min(left + box_width + GAP, width)),
    )
    masks = rle.decode([annotation.amodal, *(other.amodal for other in others)], (height, width))[:, box[0], box[1]]
    grown = np.asarray(ndimage.binary_dilation(masks[0], np.ones((3, 3), dtype=bool), iterations=GAP), dtype=bool)
    return bool(np.any(grown & masks[1:].any(axis=0)))
