"""Standard COCO numbers of any kind of mask, computed by a maintained evaluator (hotcoco) from outside.

Images are fed one batch at a time and only their match records stay, so memory does not grow with the masks. What is
compared (amodal masks, visible masks, boxes) is a `MaskKind`; which instances count in each column of the result is a
`MatchFilter` (`mask_kinds`). The evaluator's own names for columns ("area", "small") never leave this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import hotcoco
import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching.mask_kinds import MaskKind, MatchFilter, batches, boxed, masked
from amodal.results.detections import Detections
from amodal.rle import Rle, boxes

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
"""IoU .50:.05:.95, as COCO has them."""
RECALL_POINTS = np.linspace(0.0, 1.0, 101)


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
    kind: MaskKind,
    match_filter: MatchFilter,
    *,
    limits: tuple[int, ...] = (1, 10, 100),
    class_agnostic: bool = False,
) -> Outcome:
    """COCO's matching and averaging over a data set.

    Args:
        truth: The annotations; images without any count (their detections are false positives).
        detections: In any order; of equal scores in one image the earlier one is matched first.
        kind: What is compared.
        match_filter: Who counts where. Column "all" should be among its ranges.
        limits: Most detections per image (and category), ascending.
        class_agnostic: Leave categories out of the matching.

    Source: Lin et al., "Microsoft COCO", ECCV 2014, and its reference implementation, whose numbers this equals.
    """
    detections = Detections.of(detections)
    parameters = hotcoco.Params("bbox" if kind.as_boxes else "segm")
    parameters.area_rng = [_limits(closed_range, match_filter) for closed_range in match_filter.ranges.values()]
    parameters.area_rng_lbl = list(match_filter.ranges)
    parameters.max_dets = list(limits)
    parameters.use_cats = not class_agnostic
    if match_filter.of_detection is not None:
        precision, recall = _by_categories(truth, detections, kind, match_filter, parameters)
    elif kind.as_boxes:
        precision, recall = _at_once(truth, detections, kind, match_filter, parameters)
    else:
        precision, recall = _streamed(truth, detections, kind, match_filter, parameters)
    ids = [-1] if class_agnostic else sorted(c.id for c in truth.categories)
    return Outcome(precision, recall, ids, list(match_filter.ranges), limits)


def _streamed(
    truth: AnnotationSet, detections: Detections, kind: MaskKind, match_filter: MatchFilter, parameters: hotcoco.Params
) -> tuple[np.ndarray, np.ndarray]:
    """Matches batch by batch and forgets the masks."""
    categories = [{"id": c.id, "name": c.name} for c in truth.categories]
    engine = hotcoco.StreamingEval(categories, parameters.iou_type, params=parameters)
    for batch in batches(truth, detections, kind, -match_filter.of_truth):
        rows, masks = _rows(detections, batch.found, batch.masks)
        engine.update(batch.images, batch.truths, rows, segmentation=masks)
    return _accumulated(engine.finalize())


def _rows(detections: Detections, places: np.ndarray, compared: list[Rle] | np.ndarray) -> tuple[np.ndarray, Any]:
    """Some detections as the evaluator takes them, float64 (P, 7), and their masks, if these are compared."""
    rows = np.zeros((len(places), 7))  # image, box, score, category
    rows[:, 0] = detections.image_ids[places]
    rows[:, 5] = detections.scores[places]
    rows[:, 6] = detections.category_ids[places]
    if isinstance(compared, np.ndarray):
        rows[:, 1:5] = compared
        return rows, None
    return rows, compared


DETECTIONS_AT_ONCE = 50_000


def _by_categories(
    truth: AnnotationSet, detections: Detections, kind: MaskKind, match_filter: MatchFilter, parameters: hotcoco.Params
) -> tuple[np.ndarray, np.ndarray]:
    """Loads all images of some categories at a time.

    The evaluator takes a detection's number as we state it only if all is loaded first, which needs much memory. But
    no category's numbers depend on another's.
    """
    assert match_filter.of_detection is not None
    of_truth = np.array([a.category_id for a in truth.annotations], dtype=np.int64)
    parts: list[tuple[np.ndarray, np.ndarray]] = []
    for group in _groups(truth, detections.category_ids):
        places = np.flatnonzero(np.isin(of_truth, group))
        found = np.flatnonzero(np.isin(detections.category_ids, group))
        part = replace(
            truth,
            annotations=[truth.annotations[place] for place in places.tolist()],
            categories=[category for category in truth.categories if category.id in group],
        )
        own = MatchFilter(match_filter.of_truth[places], match_filter.of_detection[found], match_filter.ranges)
        parts.append(_at_once(part, detections.take(found), kind, own, parameters))
    precision, recall = zip(*parts, strict=True)
    return np.concatenate(precision, axis=2), np.concatenate(recall, axis=1)


def _groups(truth: AnnotationSet, of_found: np.ndarray) -> list[list[int]]:
    """Category ids in order, as many together as keep to DETECTIONS_AT_ONCE."""
    ids = np.array(sorted(c.id for c in truth.categories))
    ordered = np.sort(of_found)
    counts = (ordered.searchsorted(ids, "right") - ordered.searchsorted(ids, "left")).cumsum()
    numbers = counts // DETECTIONS_AT_ONCE
    return [ids[numbers == number].tolist() for number in np.unique(numbers)]


def _at_once(
    truth: AnnotationSet, detections: Detections, kind: MaskKind, match_filter: MatchFilter, parameters: hotcoco.Params
) -> tuple[np.ndarray, np.ndarray]:
    """Loads everything: boxes, or masks of which there are few enough."""
    masks = [kind.of_truth(annotation) for annotation in truth.annotations]
    places, compared = (
        boxed(detections, kind) if kind.as_boxes else masked(np.arange(len(detections)), detections, kind)
    )
    known = hotcoco.COCO.from_arrays(
        [{"id": image.id, "height": image.height, "width": image.width} for image in truth.images],
        [{"id": c.id, "name": c.name} for c in truth.categories],
        np.array([a.image_id for a in truth.annotations], dtype=np.int64),
        np.array([a.category_id for a in truth.annotations], dtype=np.int64),
        boxes(masks) if kind.as_boxes else np.zeros((len(masks), 4)),
        area=match_filter.of_truth if match_filter.of_detection is not None else -match_filter.of_truth,
        iscrowd=np.array([a.is_crowd for a in truth.annotations], dtype=np.int64),
        segmentation=None if kind.as_boxes else masks,  # type: ignore[arg-type]
    )
    rows, found = _rows(detections, places, compared)
    results = known.load_res(rows, segmentation=found)
    if match_filter.of_detection is not None:
        results.update_anns(ids=np.arange(1, len(places) + 1), area=match_filter.of_detection[places])
    evaluation = hotcoco.COCOeval(known, results, parameters.iou_type)
    parameters.img_ids = sorted(image.id for image in truth.images)
    parameters.cat_ids = sorted(category.id for category in truth.categories)
    evaluation.params = parameters
    evaluation.evaluate()
    return _accumulated(evaluation)


def _accumulated(evaluation: hotcoco.COCOeval) -> tuple[np.ndarray, np.ndarray]:
    evaluation.accumulate()
    result = evaluation.eval
    assert result is not None  # accumulate() has just made it
    return np.asarray(result["precision"]), np.asarray(result["recall"])


def _limits(closed_range: tuple[float, float], match_filter: MatchFilter) -> list[float]:
    """A range as the evaluator is told it.

    Streamed detections carry their area in pixels. The instances' numbers are then handed over negative, so that a
    range from 0 can reach from its own end to every area there is.
    """
    low, high = closed_range
    if match_filter.of_detection is not None:
        return [low, high]
    return [-high, 1e10 if low == 0 else -low]
