"""Standard COCO numbers of any kind of mask, computed by a maintained evaluator (hotcoco) from outside.

Images are fed one batch at a time and only their match records stay, so memory does not grow with the masks. What is
compared (amodal masks, visible masks, boxes) is a `View`; which instances count in each column of the result is a
`Grading`. The evaluator's own names for columns ("area", "small") never leave this file.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import hotcoco
import numpy as np

from amodal.annotations import Annotation, AnnotationSet, Detection
from amodal.rle import Rle, areas, boxes, subtract

Mask = Rle | list[float]
"""What is compared: a mask, or a box as xywh in pixels."""

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU .50:.05:.95, as COCO has them."""
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
IMAGES_PER_BATCH = 64

Records = list[dict[str, Any]]
Batch = tuple[Records, Records, Records]
"""Images, annotations and detections in the evaluator's form."""


@dataclass(frozen=True)
class View:
    """Which masks of truth and detections are compared; None leaves an instance out.

    Attributes:
        name: What reports call it.
        of_truth: An annotation's mask, or its box as xywh in pixels.
        of_detection: The same of a detection.
    """

    name: str
    of_truth: Callable[[Annotation], Mask | None]
    of_detection: Callable[[Detection], Mask | None]


def _invisible(instance: Annotation | Detection) -> Rle | None:
    """The hidden part, None for an instance without one, so that "nothing hidden" is neither asked for nor claimed."""
    if instance.amodal is None or instance.visible is None:
        return None
    hidden = subtract(instance.amodal, instance.visible)
    return hidden if areas([hidden])[0] else None


def _box(detection: Detection) -> list[float] | None:
    if detection.box is not None:
        left, top, right, bottom = detection.box
        return [left, top, right - left, bottom - top]
    return None if detection.amodal is None else boxes([detection.amodal])[0].tolist()


AMODAL = View("amodal", lambda a: a.amodal, lambda d: d.amodal)
VISIBLE = View("visible", lambda a: a.visible, lambda d: d.visible)
INVISIBLE = View("invisible", _invisible, _invisible)
BOX = View("box", lambda a: boxes([a.amodal])[0].tolist(), _box)


@dataclass(frozen=True)
class Grading:
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


@dataclass(frozen=True)
class Outcome:
    """Precision and recall as COCO's evaluator leaves them; -1 where there is nothing to find.

    Attributes:
        precision: (10 IoU thresholds, 101 recall points, categories, columns, detection limits).
        recall: (10 IoU thresholds, categories, columns, detection limits).
        category_ids: The third axis of `precision`, in order.
        columns: Names of the fourth axis.
        limits: Most detections per image and category, ascending: the last axis.
    """

    precision: np.ndarray
    recall: np.ndarray
    category_ids: list[int]
    columns: list[str]
    limits: tuple[int, ...]

    def average_precision(
        self, column: str = "all", *, iou: float | None = None, category_id: int | None = None
    ) -> float | None:
        """AP in [0, 1] with the most detections, over IoU .50:.95 or at one IoU, over categories or of one.

        None where no instance counts.
        """
        values = self.precision[self._thresholds(iou), :, :, self.columns.index(column), -1]
        if category_id is not None:
            values = values[:, :, self.category_ids.index(category_id)]
        return _mean(values)

    def average_recall(self, column: str = "all", *, limit: int | None = None) -> float | None:
        """AR in [0, 1] over IoU .50:.95 with at most `limit` detections (None: the most); None for no instance."""
        place = -1 if limit is None else self.limits.index(limit)
        return _mean(self.recall[:, :, self.columns.index(column), place])

    def precision_curve(self, column: str = "all", *, iou: float | None = None) -> list[float] | None:
        """Mean precision over categories at 101 recall points; None where no instance counts."""
        values = self.precision[self._thresholds(iou), :, :, self.columns.index(column), -1]
        present = (values > -1).all(axis=(0, 1))
        return values[:, :, present].mean(axis=(0, 2)).tolist() if present.any() else None

    @staticmethod
    def _thresholds(iou: float | None) -> slice:
        if iou is None:
            return slice(None)
        place = int(np.argmin(np.abs(IOU_THRESHOLDS - iou)))
        return slice(place, place + 1)


def _mean(values: np.ndarray) -> float | None:
    """The mean of what was measured: COCO marks the rest by -1."""
    measured = values[values > -1]
    return float(measured.mean()) if measured.size else None


def run(
    truth: AnnotationSet,
    detections: Sequence[Detection],
    view: View,
    grading: Grading,
    *,
    limits: tuple[int, ...] = (1, 10, 100),
    class_agnostic: bool = False,
) -> Outcome:
    """COCO's matching and averaging over a data set.

    Args:
        truth: The annotations; images without any count (their detections are false positives).
        detections: In any order; of equal scores in one image the earlier one is matched first.
        view: What is compared.
        grading: Who counts where. Column "all" should be among its ranges.
        limits: Most detections per image (and category), ascending.
        class_agnostic: Leave categories out of the matching.

    Source: Lin et al., "Microsoft COCO", ECCV 2014, and its reference implementation, whose numbers this equals.
    """
    engine = _streamed if grading.of_detection is None else _at_once
    parameters = hotcoco.Params("bbox" if view is BOX else "segm")
    parameters.area_rng = [_limits(closed_range, grading) for closed_range in grading.ranges.values()]
    parameters.area_rng_lbl = list(grading.ranges)
    parameters.max_dets = list(limits)
    parameters.use_cats = not class_agnostic
    evaluation = engine(
        [{"id": c.id, "name": c.name} for c in truth.categories],
        batches(truth, detections, view, grading),
        parameters,
    )
    evaluation.accumulate()
    result = evaluation.eval
    assert result is not None  # accumulate() has just made it
    ids = [-1] if class_agnostic else list(evaluation.params.cat_ids)
    return Outcome(np.asarray(result["precision"]), np.asarray(result["recall"]), ids, list(grading.ranges), limits)


def _streamed(categories: Records, batches: Iterable[Batch], parameters: hotcoco.Params) -> hotcoco.COCOeval:
    """Matches batch by batch and forgets the masks."""
    engine = hotcoco.StreamingEval(categories, parameters.iou_type, params=parameters)
    for images, truths, found in batches:
        engine.update(images, truths, found)
    return engine.finalize()


def _at_once(categories: Records, batches: Iterable[Batch], parameters: hotcoco.Params) -> hotcoco.COCOeval:
    """Loads everything first: the only way in which the evaluator takes a detection's number as we state it."""
    images, truths, found = (list(chain.from_iterable(parts)) for parts in zip(*batches, strict=True))
    shared = {"images": images, "categories": categories}
    evaluation = hotcoco.COCOeval(
        hotcoco.COCO(shared | {"annotations": truths}),
        hotcoco.COCO(shared | {"annotations": found}),
        parameters.iou_type,
    )
    parameters.img_ids = sorted(image["id"] for image in images)
    parameters.cat_ids = sorted(category["id"] for category in categories)
    evaluation.params = parameters
    evaluation.evaluate()
    return evaluation


def _limits(closed_range: tuple[float, float], grading: Grading) -> list[float]:
    """A range as the evaluator is told it.

    Streamed detections carry their area in pixels. The instances' numbers are then handed over negative, so that a
    range from 0 can reach from its own end to every area there is.
    """
    low, high = closed_range
    if grading.of_detection is not None:
        return [low, high]
    return [-high, 1e10 if low == 0 else -low]


def batches(truth: AnnotationSet, detections: Sequence[Detection], view: View, grading: Grading) -> Iterator[Batch]:
    """Images, annotations and detections as the evaluator takes them, some images at a time, in order of image ids.

    An annotation's id is its place in `truth.annotations` plus 1, a detection's its place in `detections` plus 1.
    """
    truths, found = _places(a.image_id for a in truth.annotations), _places(d.image_id for d in detections)
    images = sorted(truth.images, key=lambda image: image.id)
    truth_numbers, found_numbers = -grading.of_truth, np.zeros(len(detections))
    if grading.of_detection is not None:
        truth_numbers, found_numbers = grading.of_truth, grading.of_detection
    for start in range(0, len(images), IMAGES_PER_BATCH):
        batch = images[start : start + IMAGES_PER_BATCH]
        yield (
            [{"id": image.id, "height": image.height, "width": image.width} for image in batch],
            [
                _record(place, annotation, mask, truth_numbers) | {"iscrowd": int(annotation.is_crowd)}
                for place, annotation in ((p, truth.annotations[p]) for i in batch for p in truths[i.id])
                if (mask := view.of_truth(annotation)) is not None
            ],
            [
                _record(place, detection, mask, found_numbers) | {"score": detection.score}
                for place, detection in ((p, detections[p]) for i in batch for p in found[i.id])
                if (mask := view.of_detection(detection)) is not None
            ],
        )


def _places(image_ids: Iterable[int]) -> dict[int, list[int]]:
    """The places at which each image id stands."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, image_id in enumerate(image_ids):
        places[image_id].append(place)
    return places


def _record(place: int, instance: Annotation | Detection, mask: Mask, numbers: np.ndarray) -> dict[str, Any]:
    shape = {"segmentation": mask} if isinstance(mask, dict) else {"bbox": mask}
    return {
        "id": place + 1,
        "image_id": instance.image_id,
        "category_id": instance.category_id,
        "area": float(numbers[place]),
        **shape,
    }
