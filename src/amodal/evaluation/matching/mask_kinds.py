"""What is compared, who counts where, and the images fed batch by batch in the evaluator's form."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from amodal.annotations import Annotation, AnnotationSet
from amodal.results.detections import Detections, Masks, by_image
from amodal.rle import Rle, boxes

IMAGES_PER_BATCH = 256

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Batch:
    """Some images, who takes part in them, and what is compared.

    Attributes:
        images: In the evaluator's form.
        truths: Annotations in the evaluator's form; an id is its place in the list of annotations plus 1.
        found: Places among the detections, int64 (P,).
        masks: Of those detections; none where boxes are compared.
        boxes: Of those detections as xywh, float64 (P, 4); None where masks are compared.
    """

    images: Records
    truths: Records
    found: np.ndarray
    masks: list[Rle]
    boxes: np.ndarray | None = None


@dataclass(frozen=True)
class MaskKind:
    """Which masks of truth and detections are compared; a detection without one takes no part.

    Attributes:
        name: What reports call it.
        of_truth: An annotation's mask.
        of_found: The detections' masks.
        as_boxes: Compare boxes: those that detections state, or else those of the masks.
    """

    name: str
    of_truth: Callable[[Annotation], Rle]
    of_found: Callable[[Detections], Masks]
    as_boxes: bool = False


AMODAL = MaskKind("amodal", lambda a: a.amodal, lambda d: d.amodal)
VISIBLE = MaskKind("visible", lambda a: a.visible, lambda d: d.visible)
BOX = MaskKind("box", lambda a: a.amodal, lambda d: d.amodal, as_boxes=True)


@dataclass(frozen=True)
class MatchFilter:
    """A number for each instance, and the closed ranges of it that make the columns of a result.

    An annotation outside a column's range is ignored there, and so is the detection that matches it. An unmatched
    detection is ignored where its own number is outside the range, otherwise it is a false positive.

    Attributes:
        of_truth: One number per annotation, (number of annotations,).
        of_detection: One number per detection, (number of detections,); None puts every detection in every range
            that begins at 0, so that an unmatched one is always a false positive there.
        ranges: Column name -> (lowest, highest), both included.
    """

    of_truth: np.ndarray
    of_detection: np.ndarray | None
    ranges: dict[str, tuple[float, float]]


def batches(truth: AnnotationSet, detections: Detections, kind: MaskKind, truth_numbers: np.ndarray) -> Iterator[Batch]:
    """Those whose masks are compared, some images at a time, in order of image ids."""
    images = sorted(truth.images, key=lambda image: image.id)
    ids = np.array([image.id for image in images], dtype=np.int64)
    wanted = by_image(np.array([a.image_id for a in truth.annotations], dtype=np.int64), ids)
    found = by_image(detections.image_ids, ids)
    for start in range(0, len(images), IMAGES_PER_BATCH):
        batch = images[start : start + IMAGES_PER_BATCH]
        truths = np.concatenate([next(wanted) for _ in batch])
        places = np.concatenate([next(found) for _ in batch])
        records = [{"id": image.id, "height": image.height, "width": image.width} for image in batch]
        own = Batch(records, _records(truth, truths.tolist(), kind, truth_numbers), places, [])
        if kind.as_boxes:
            places, found_boxes = boxed(places, detections, kind)
            yield replace(own, found=places, boxes=found_boxes)
        else:
            places, masks = masked(places, detections, kind)
            yield replace(own, found=places, masks=masks)


def masked(places: np.ndarray, detections: Detections, kind: MaskKind) -> tuple[np.ndarray, list[Rle]]:
    """Of some detections the places of those that have the mask that is compared, and those masks."""
    of_all = kind.of_found(detections)
    masks = [of_all[place] for place in places.tolist()]
    given = [mask for mask in masks if mask is not None]
    return (places if len(given) == len(masks) else places[[mask is not None for mask in masks]]), given


def boxed(places: np.ndarray, detections: Detections, kind: MaskKind) -> tuple[np.ndarray, np.ndarray]:
    """Of some detections the places of those that have a box, or a mask to take it from, and the boxes as xywh."""
    found = detections.boxes[places]
    found[:, 2:] -= found[:, :2]
    without = np.flatnonzero(np.isnan(found[:, 0]))
    of_all = kind.of_found(detections)
    masks = {place: mask for place in without.tolist() if (mask := of_all[places[place]]) is not None}
    found[list(masks)] = boxes(list(masks.values()))
    has_one = ~np.isnan(found[:, 0])
    return places[has_one], found[has_one]


def _records(truth: AnnotationSet, places: list[int], kind: MaskKind, numbers: np.ndarray) -> Records:
    """Annotations as the evaluator takes them; `numbers` is what its ranges are about."""
    annotations = [truth.annotations[place] for place in places]
    masks = [kind.of_truth(annotation) for annotation in annotations]
    compared, name = (boxes(masks).tolist(), "bbox") if kind.as_boxes else (masks, "segmentation")
    return [
        {
            "id": place + 1,
            "image_id": annotation.image_id,
            "category_id": annotation.category_id,
            "area": number,
            "iscrowd": int(annotation.is_crowd),
            name: one,
        }
        for place, annotation, number, one in zip(places, annotations, numbers[places].tolist(), compared, strict=True)
    ]
