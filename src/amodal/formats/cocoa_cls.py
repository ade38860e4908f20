"""COCOA with COCO's 80 categories: each region takes the category of the COCO object that it is.

COCOA's regions are named in free text (over 2,000 names). How the published COCOA-cls files got their 80 categories is
not documented; this compares masks with those of COCO's instance file, with a threshold of its own, so its result is
like theirs and not the same.
"""

from dataclasses import replace

from scipy.optimize import linear_sum_assignment

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet

MIN_IOU = 0.5
"""Above one half no two objects, disjoint as COCO's are, can both match one region."""


def match(regions: AnnotationSet, instances: AnnotationSet, min_iou: float = MIN_IOU) -> AnnotationSet:
    """The regions that are objects of COCO's, with their categories.

    Each image's visible masks are paired one to one with COCO's masks, which are of visible parts too, so that the
    sum of their IoUs is largest. Stuff, COCO's crowds and pairs below `min_iou` are left out.

    Args:
        regions: COCOA's regions.
        instances: COCO's objects of the same images, by image id.
        min_iou: The least IoU of a pair, in (0, 1].
    """
    annotations = []
    for image in regions.images:
        candidates = [a for a in regions.by_image[image.id] if not a.is_stuff]
        objects = [a for a in instances.by_image[image.id] if not a.is_crowd]
        annotations += _matched(candidates, objects, min_iou)
    return replace(regions, annotations=annotations, categories=instances.categories)


def _matched(candidates: list[Annotation], objects: list[Annotation], min_iou: float) -> list[Annotation]:
    ious = rle.ious([a.visible for a in candidates], [a.visible for a in objects])
    rows, columns = linear_sum_assignment(ious, maximize=True)
    return [
        replace(candidates[row], category_id=objects[column].category_id)
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True)
        if ious[row, column] >= min_iou
    ]
