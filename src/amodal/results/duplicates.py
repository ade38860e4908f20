"""One thing found twice: as a dog and as a cat, or whole and in part."""

from dataclasses import replace

import numpy as np

from amodal import rle
from amodal.boxed_masks import BoxedMasks

SIDE = 320
"""Masks are compared in an image of so many pixels at most, on its longer side."""
WITHIN = 0.9
"""A share of an object's pixels: so much of it within another is a part of that one."""


def lower_duplicates(
    found: BoxedMasks, size: tuple[int, int], iou: float | None, score_threshold: float = 0.0
) -> BoxedMasks:
    """The objects, with lower scores for those whose visible pixels are those of a better one, of whatever class.

    No two objects are visible at the same pixels. Suppression of boxes cannot know that: it spares other classes, since
    one thing's box may well lie behind another's, and halves of an object, whose boxes are small. Here a score s is
    multiplied by 1 - t / 2, where t is the highest score among the better objects with the same pixels: of two readings
    of one thing only one is above 0.5. Nothing is dropped for it, as in soft suppression (Bodla et al. 2017), so that
    a second guess still counts in a precision-recall curve.

    Args:
        found: Objects of one image, best first.
        size: Of the image, (height, width).
        iou: Visible masks that overlap by more than this are of the same pixels; amodal ones where there are no others.
            None leaves all scores as they are.
        score_threshold: Objects that score less in the end are left out.
    """
    if iou is None or len(found) < 2:
        return found
    scale = min(SIDE / max(size), 1.0)
    small = max(round(size[0] * scale), 1), max(round(size[1] * scale), 1)
    amodal, visible = replace(found, boxes=found.boxes * np.float32(scale)).encoded(small)
    masks = visible or amodal or []
    areas, ious = rle.areas(masks).astype(np.float64), rle.ious(masks, masks)
    common = ious / (1 + ious) * (areas[:, None] + areas)
    is_same = (ious > iou) | (common > WITHIN * np.maximum(areas, 1)[:, None])
    is_same &= np.tri(len(found), k=-1, dtype=bool)  # better ones come before
    best = (is_same * found.scores).max(axis=1)
    scores = (found.scores * (1 - best / 2)).astype(np.float32)
    order = np.argsort(-scores, kind="stable")
    return replace(found, scores=scores).at(order[scores[order] >= score_threshold])
