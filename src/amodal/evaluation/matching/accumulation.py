"""COCO's averaging over match records, for those of which detections have numbers of their own (VRSP's evaluator).

The maintained evaluator knows a detection's area in pixels and nothing else, so that it cannot leave out those that do
not look occluded. Its sums are made here as the reference implementation makes them, to the bit.
"""

from collections.abc import Sequence

import numpy as np

from amodal.evaluation.matching.coco import IOU_THRESHOLDS, RECALL_POINTS, Outcome
from amodal.evaluation.matching.records import MOST, Records, in_order


def outcome(parts: Sequence[dict[str, Records]], category_ids: Sequence[int]) -> Outcome:
    """Precision and recall with at most `records.MOST` detections an image and category.

    Args:
        parts: Records of each part of the data set by column, `image` being the images' places in the whole of it;
            at least one part.
        category_ids: Of the data set.

    Source: as `amodal.evaluation.matching.coco.run`.
    """
    columns = list(parts[0])
    precision = -np.ones((len(IOU_THRESHOLDS), len(RECALL_POINTS), len(category_ids), len(columns), 1))
    recall = -np.ones((len(IOU_THRESHOLDS), len(category_ids), len(columns), 1))
    for place, column in enumerate(columns):
        records = in_order([part[column] for part in parts])
        wanted = np.sum([part[column].wanted.sum(axis=1) for part in parts], axis=0)
        ends = records.category.searchsorted(np.arange(len(category_ids) + 1))
        for category in np.flatnonzero(wanted).tolist():
            own = slice(ends[category], ends[category + 1])
            precision[:, :, category, place, 0], recall[:, category, place, 0] = _curves(
                records.matched[:, own], ~(records.matched | records.ignored)[:, own], int(wanted[category])
            )
    return Outcome(precision, recall, sorted(category_ids), columns, (MOST,))


def _curves(right: np.ndarray, wrong: np.ndarray, wanted: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision (10, 101) at the recall points, and the last recall (10,), of detections by falling score.

    Args:
        right: Whether each found one that counts, bool (10, D).
        wrong: Whether each is a false positive, bool (10, D).
        wanted: Instances that count, at least one.
    """
    precisions, recalls = np.zeros((len(right), len(RECALL_POINTS))), np.zeros(len(right))
    for level, (hits, misses) in enumerate(zip(right, wrong, strict=True)):
        if not len(hits):
            continue
        found, claimed = np.cumsum(hits, dtype=np.float64), np.cumsum(misses, dtype=np.float64)
        recall = found / wanted
        precision = found / (claimed + found + np.spacing(1))
        best = np.maximum.accumulate(precision[::-1])[::-1]
        at = recall.searchsorted(RECALL_POINTS, side="left")
        precisions[level] = np.append(best, 0.0)[at]
        recalls[level] = recall[-1]
    return precisions, recalls
