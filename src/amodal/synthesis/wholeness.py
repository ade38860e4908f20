"""Which annotated objects are wholly visible: they touch neither the image's border nor another object."""

from collections.abc import Iterable, Sequence

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from amodal import rle
from amodal.annotations import Annotation

GAP = 2
"""Pixels that must lie between two objects: annotated outlines are off by one or two."""


def whole(
    annotations: Sequence[Annotation], min_area: int = 1, *, up_to_border: bool = False, amodal_known: bool = False
) -> Bool[np.ndarray, " N"]:
    """Whether each object of one image is wholly visible, as far as its annotations tell, and large enough.

    Crowds and stuff are never whole. Where amodal masks are annotated, an object that is wholly visible is whole.
    Elsewhere it must not touch another, nor a crowd: it may go on behind it.

    Args:
        annotations: All objects of the image.
        min_area: Least area in pixels.
        amodal_known: Whether the data set has amodal masks.
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
    if amodal_known:
        return is_whole
    near = (left[:, None] < right + GAP) & (right[:, None] > left - GAP)
    near &= (top[:, None] < bottom + GAP) & (bottom[:, None] > top - GAP)
    for i in np.flatnonzero(is_whole).tolist():
        others = [annotations[j] for j in np.flatnonzero(near[i]).tolist() if j != i]
        is_whole[i] = not (others and _touches(annotations[i], others))
    return is_whole


def has_amodal_masks(annotations: Iterable[Annotation]) -> bool:
    """Whether a data set's annotations know more than what is visible: one amodal mask is larger, at least."""
    return any(a.amodal is not a.visible and a.amodal != a.visible for a in annotations)


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
