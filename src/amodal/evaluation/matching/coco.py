"""Standard COCO numbers of any kind of mask, computed by a maintained evaluator (hotcoco) from outside.

Images are fed one batch at a time and only their match records stay, so memory does not grow with the masks; records of
parts of a data set, made anywhere, are averaged together. What is compared (amodal masks, visible masks, boxes) is a
`MaskKind`; which instances count in each column of the result is a `MatchFilter` (`mask_kinds`). The evaluator's own
names for columns ("area", "small") never leave this file.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import hotcoco
import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching.mask_kinds import Batch, MaskKind, MatchFilter, batches
from amodal.results.detections import Detections

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


@dataclass(frozen=True)
class Asked:
    """What is measured.

    Attributes:
        kind: What is compared.
        columns: Names of the ranges of the match filter. "all" should be among them.
        limits: Most detections per image (and category), ascending.
        class_agnostic: Leave categories out of the matching.
    """

    kind: MaskKind
    columns: tuple[str, ...]
    limits: tuple[int, ...] = (1, 10, 100)
    class_agnostic: bool = False


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
        match_filter: Who counts where; of detections it says nothing (`accumulation` is for those that do).
        limits: As `Asked`.
        class_agnostic: As `Asked`.

    Source: Lin et al., "Microsoft COCO", ECCV 2014, and its reference implementation, whose numbers this equals.
    """
    asked = Asked(kind, tuple(match_filter.ranges), limits, class_agnostic)
    return outcome(truth, asked, [matches(truth, detections, match_filter, asked)])


def matches(
    truth: AnnotationSet, detections: Sequence[Detection], match_filter: MatchFilter, asked: Asked
) -> np.ndarray:
    """What the evaluator keeps of the matching of some images, uint8: batch by batch, the masks are forgotten."""
    detections = Detections.of(detections)
    assert match_filter.of_detection is None
    parameters = hotcoco.Params("bbox" if asked.kind.as_boxes else "segm")
    parameters.area_rng = [_limits(match_filter.ranges[column]) for column in asked.columns]
    parameters.area_rng_lbl = list(asked.columns)
    parameters.max_dets = list(asked.limits)
    parameters.use_cats = not asked.class_agnostic
    categories = [{"id": c.id, "name": c.name} for c in truth.categories]
    engine = hotcoco.StreamingEval(categories, parameters.iou_type, params=parameters)
    for batch in batches(truth, detections, asked.kind, -match_filter.of_truth):
        masks: Any = batch.masks if batch.boxes is None else None
        engine.update(batch.images, batch.truths, _rows(detections, batch), segmentation=masks)
    return np.frombuffer(engine.to_bytes(), np.uint8)


def outcome(truth: AnnotationSet, asked: Asked, parts: Sequence[np.ndarray]) -> Outcome:
    """COCO's averaging over parts of a data set, at least one; the same to the bit for any parts in any order.

    Args:
        truth: The whole data set's; only its categories matter.
        asked: What the parts were asked for.
        parts: What `matches` gave, of images of which each is in one part.
    """
    engines = (hotcoco.StreamingEval.from_bytes(part.tobytes()) for part in parts)
    evaluation = hotcoco.StreamingEval.merge(engines).finalize()
    evaluation.accumulate()
    result = evaluation.eval
    assert result is not None  # accumulate() has just made it
    ids = [-1] if asked.class_agnostic else sorted(c.id for c in truth.categories)
    return Outcome(
        np.asarray(result["precision"]), np.asarray(result["recall"]), ids, list(asked.columns), asked.limits
    )


def _rows(detections: Detections, batch: Batch) -> np.ndarray:
    """A batch's detections as the evaluator takes them, float64 (P, 7): image, box, score, category."""
    rows = np.zeros((len(batch.found), 7))
    rows[:, 0] = detections.image_ids[batch.found]
    rows[:, 5] = detections.scores[batch.found]
    rows[:, 6] = detections.category_ids[batch.found]
    if batch.boxes is not None:
        rows[:, 1:5] = batch.boxes
    return rows


def _limits(closed_range: tuple[float, float]) -> list[float]:
    """A range as the evaluator is told it.

    Detections carry their area in pixels. The instances' numbers are handed over negative, so that a range from 0 can
    reach from its own end to every area there is.
    """
    low, high = closed_range
    return [-high, 1e10 if low == 0 else -low]
