"""COCO's averaging over match records, for those of which detections have numbers of their own (VRSP's evaluator).

The maintained evaluator knows a detection's area in pixels and nothing else, so that it cannot leave out those that do
not look occluded. Its sums are made here as the reference implementation makes them, to the bit.
"""

from collections.abc import Iterable, Sequence

import numpy as np

from amodal.evaluation.matching.coco import IOU_THRESHOLDS, RECALL_POINTS, Outcome
from amodal.evaluation.matching.records import MOST, Records, in_order


def outcome(columns: Iterable[tuple[str, Sequence[Records]]], category_ids: Sequence[int]) -> Outcome:
    """Precision and recall with at most `records.MOST` detections an image and category.

    Args:
        columns: Each column's name and the records of each part of the data set, `image` being the images' places in
            the whole of it; at least one part. One column after the other is taken, and forgotten.
        category_ids: Of the data set.

    Source: as `amodal.evaluation.matching.coco.run`.
    """
    found = {name: _by_category(parts, len(category_ids)) for name, parts in columns}
    precision, recall = (np.stack(each, axis=-1)[..., None] for each in zip(*found.values(), strict=True))
    return Outcome(precision, recall, sorted(category_ids), list(found), (MOST,))


def _by_category(parts: Sequence[Records], categories: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision (10, 101, categories) and recall (10, categories) of a column; -1 where nothing is wanted."""
    precision = -np.ones((len(IOU_THRESHOLDS), len(RECALL_POINTS), categories))
    recall = -np.ones((len(IOU_THRESHOLDS), categories))
    records = in_order(parts)
    wanted = np.sum([part.wanted.sum(axis=1) for part in parts], axis=0)
    ends = records.category.searchsorted(np.arange(categories + 1))
    for category in np.flatnonzero(wanted).tolist():
        own = slice(ends[category], ends[category + 1])
        matched, ignored = records.matched[:, own], records.ignored[:, own]
        precision[:, :, category], recall[:, category] = _curves(matched, ~(matched | ignored), int(wanted[category]))
    return precision, recall


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
