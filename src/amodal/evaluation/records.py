"""Which detection found what, image by image: what is left of an evaluation when the masks are gone.

From records alone AP can be computed again on any resampling of the images, which is what confidence intervals need;
a whole data set's fit in a few bytes a detection.
"""

import base64
import io
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import primitives

from amodal.annotations import AnnotationSet, Detection
from amodal.errors import UserError
from amodal.evaluation.coco import IOU_THRESHOLDS, RECALL_POINTS
from amodal.evaluation.views import Batch, Grading, View, batches
from amodal.rle import Rle

MOST = 100
"""Detections per image and category that COCO looks at."""


@dataclass(frozen=True)
class Records:
    """Matches of one view and one column, detections by falling score within category.

    Attributes:
        category: Of each detection, its place among the sorted category ids, int32 (D,).
        image: Of each detection, its place among the sorted image ids, int32 (D,).
        score: float64 (D,).
        matched: Found an instance that counts, at each IoU of .50:.05:.95, bool (10, D).
        ignored: Found an ignored one, bool (10, D).
        wanted: Instances that count, int32 (categories, images).
    """

    category: np.ndarray
    image: np.ndarray
    score: np.ndarray
    matched: np.ndarray
    ignored: np.ndarray
    wanted: np.ndarray

    def to_text(self) -> str:
        """As text for a JSON file."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer,
            category=self.category,
            image=self.image,
            score=self.score,
            matched=np.packbits(self.matched, axis=0),
            ignored=np.packbits(self.ignored, axis=0),
            wanted=self.wanted,
        )
        return base64.b85encode(buffer.getvalue()).decode("ascii")

    @staticmethod
    def from_text(text: str) -> "Records":
        """What `to_text` gave. Raises UserError for a damaged text."""
        try:
            with np.load(io.BytesIO(base64.b85decode(text)), allow_pickle=False) as file:
                arrays = dict(file)
            count = len(IOU_THRESHOLDS)
            for name in ("matched", "ignored"):
                arrays[name] = np.unpackbits(arrays[name], axis=0, count=count).astype(bool)
            return Records(**arrays)
        except (ValueError, OSError, KeyError, TypeError) as error:
            raise UserError(f"its match records are damaged ({error})", remedy="Evaluate again with --out") from error


def collect(
    truth: AnnotationSet, detections: Sequence[Detection], view: View, grading: Grading, column: str = "all"
) -> Records:
    """Matches every image greedily as COCO does; unmatched detections are false positives whatever their size.

    Args:
        truth: The annotations.
        detections: All of them; the first MOST by score of an image and category take part.
        view: What is compared; masks only.
        grading: Who counts.
        column: One of its ranges.
    """
    low, high = grading.ranges[column]
    category_place = {c: place for place, c in enumerate(sorted(c.id for c in truth.categories))}
    image_place = {i: place for place, i in enumerate(sorted(image.id for image in truth.images))}
    wanted = np.zeros((len(category_place), len(image_place)), np.int32)
    rows: list[tuple[int, int, float]] = []
    flags: list[np.ndarray] = []
    for batch in batches(truth, detections, view, grading.of_truth):
        for (image_id, category_id), (objects, answers) in _cells(batch, detections).items():
            cell = category_place[category_id], image_place[image_id]
            crowd = np.array([t["iscrowd"] for t in objects], dtype=bool)
            graded = np.array([t["area"] for t in objects])
            ignored = crowd | (graded < low) | (graded > high) if objects else np.zeros(0, bool)
            wanted[cell] = int((~ignored).sum())
            best = sorted(answers, key=lambda answer: -answer[0])[:MOST]
            if best:
                overlaps = _overlaps([mask for _, mask in best], [t["segmentation"] for t in objects], crowd)
                flags.append(match(overlaps, ignored, crowd))
                rows += [(*cell, score) for score, _ in best]
    return _sorted_records(rows, flags, wanted)


Cell = tuple[list[dict[str, Any]], list[tuple[float, Rle]]]


def _cells(batch: Batch, detections: Sequence[Detection]) -> dict[tuple[int, int], Cell]:
    """The annotations, and the scores and masks of the detections, of each image and category."""
    cells: defaultdict[tuple[int, int], Cell] = defaultdict(lambda: ([], []))
    for one in batch.truths:
        cells[one["image_id"], one["category_id"]][0].append(one)
    for place, mask in zip(batch.found, batch.masks, strict=True):
        one = detections[place]
        cells[one.image_id, one.category_id][1].append((one.score, mask))
    return cells


def _overlaps(found: list[Rle], objects: list[Rle], crowd: np.ndarray) -> np.ndarray:
    """IoU of every pair; with a crowd, the share of the detection that lies in it."""
    if not found or not objects:
        return np.zeros((len(found), len(objects)))
    return primitives.mask_iou(found, objects, crowd)  # type: ignore[arg-type]


def match(overlaps: np.ndarray, ignored: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """COCO's greedy matching of one image and category.

    Args:
        overlaps: IoU of detections, best score first, with the instances, float64 (D, G).
        ignored: Instances that do not count, bool (G,).
        crowd: Those that may be found more than once, bool (G,).

    Returns:
        Whether each detection found an instance that counts, and whether an ignored one, bool (2, 10, D).
    """
    result = np.zeros((2, len(IOU_THRESHOLDS), len(overlaps)), dtype=bool)
    order = np.argsort(ignored, kind="stable")  # those that count first
    overlaps, ignored, crowd = overlaps[:, order], ignored[order], crowd[order]
    for level, threshold in enumerate(np.minimum(IOU_THRESHOLDS, 1 - 1e-10)):
        free = np.ones(len(ignored), dtype=bool)
        for place in np.flatnonzero((overlaps >= threshold).any(axis=1)):
            for rank in (False, True):
                candidates = np.flatnonzero((free | crowd) & (ignored == rank) & (overlaps[place] >= threshold))
                if len(candidates):
                    # Of equal overlaps COCO keeps the last one that it looked at.
                    best = candidates[len(candidates) - 1 - int(np.argmax(overlaps[place, candidates[::-1]]))]
                    free[best] = False
                    result[int(rank), level, place] = True
                    break
    return result


def _sorted_records(rows: list[tuple[int, int, float]], flags: list[np.ndarray], wanted: np.ndarray) -> Records:
    """One record a detection: by category, then falling score; of equal scores the earlier image first, as in COCO."""
    category, image, score = (np.array(column) for column in zip(*rows, strict=True)) if rows else (np.zeros(0),) * 3
    joined = np.concatenate(flags, axis=2) if flags else np.zeros((2, len(IOU_THRESHOLDS), 0), bool)
    order = np.lexsort((image, -score, category))
    matched, ignored = joined[:, :, order]
    category, image = category[order].astype(np.int32), image[order].astype(np.int32)
    return Records(category, image, score[order].astype(np.float64), matched, ignored, wanted)


def average_precisions(records: Records, weights: np.ndarray) -> np.ndarray:
    """AP over IoU .50:.95 of each category, were each image in the data set `weights` times.

    Args:
        records: The matches.
        weights: Of each image, in order of ids, (images,), 0 or more.

    Returns:
        float64 (categories,); NaN where no instance counts.
    """
    wanted = records.wanted @ weights
    result = np.full(len(wanted), np.nan)
    bounds = np.searchsorted(records.category, np.arange(len(wanted) + 1))
    for place in np.flatnonzero(wanted > 0):
        part = slice(bounds[place], bounds[place + 1])
        times = weights[records.image[part]]
        found = (records.matched[:, part] * times).cumsum(axis=1)
        false = (~records.matched[:, part] & ~records.ignored[:, part]) * times
        result[place] = _interpolated(found, found + false.cumsum(axis=1), wanted[place])
    return result


def _interpolated(found: np.ndarray, claimed: np.ndarray, wanted: float) -> float:
    """Mean precision at 101 recall points: at each the best precision that is had at this recall or beyond."""
    precision = np.divide(found, claimed + np.spacing(1), where=claimed > 0, out=np.zeros_like(found, dtype=float))
    precision = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    precision = np.pad(precision, ((0, 0), (0, 1)))  # beyond the last recall: 0
    places = [np.searchsorted(recall, RECALL_POINTS, side="left") for recall in found / wanted]
    return float(np.take_along_axis(precision, np.array(places), axis=1).mean())
