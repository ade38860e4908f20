"""Which detection finds which instance, as COCO decides it: greedily, by falling score."""

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import primitives

from amodal.annotations import AnnotationSet
from amodal.evaluation.matching.coco import IOU_THRESHOLDS
from amodal.evaluation.matching.mask_kinds import Batch, MaskKind, batches
from amodal.results.detections import Detections
from amodal.rle import Rle


@dataclass(frozen=True)
class Candidates:
    """Pairs of one image, mostly of one category too, that may match: those that overlap by a threshold or more.

    Attributes:
        detection: Place among the detections, int64 (P,).
        instance: Place among the annotations, int64 (P,).
        overlap: IoU; with a crowd, the share of the detection that lies in it. float64 (P,).
    """

    detection: np.ndarray
    instance: np.ndarray
    overlap: np.ndarray


def candidates(
    truth: AnnotationSet,
    detections: Detections,
    kind: MaskKind,
    *,
    least: float = IOU_THRESHOLDS[0],
    across_categories: bool = False,
) -> Candidates:
    """All of them; each mask is looked at once.

    Args:
        truth: The annotations.
        detections: What is matched to them.
        kind: What is compared; masks only.
        least: Least overlap.
        across_categories: Pair a detection with instances of other categories, too.
    """
    parts: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for batch in batches(truth, detections, kind, np.zeros(len(truth.annotations))):
        for objects, answers in _cells(batch, detections, across_categories=across_categories):
            crowd = [truth["iscrowd"] for truth in objects]
            masks = [truth["segmentation"] for truth in objects]
            overlaps = primitives.mask_iou([mask for _, mask in answers], masks, crowd)  # type: ignore[arg-type]
            rows, columns = (overlaps >= least).nonzero()
            places = np.array([place for place, _ in answers]), np.array([truth["id"] - 1 for truth in objects])
            parts.append((places[0][rows], places[1][columns], overlaps[rows, columns]))
    nothing = np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0)
    return Candidates(*map(np.concatenate, zip(*parts or [nothing], strict=True)))


Cell = tuple[list[dict[str, Any]], list[tuple[int, Rle]]]


def _cells(batch: Batch, detections: Detections, *, across_categories: bool) -> Iterator[Cell]:
    """The annotations, and the detections' places and masks, of each image (and category) that has both."""
    cells: defaultdict[tuple[int, int], Cell] = defaultdict(lambda: ([], []))
    for one in batch.truths:
        cells[one["image_id"], 0 if across_categories else one["category_id"]][0].append(one)
    images, categories = detections.image_ids[batch.found], detections.category_ids[batch.found]
    keys = zip(images.tolist(), (0 * categories if across_categories else categories).tolist(), strict=True)
    for key, place, mask in zip(keys, batch.found.tolist(), batch.masks, strict=True):
        if key in cells:
            cells[key][1].append((place, mask))
    return (cell for cell in cells.values() if cell[1])


def match(near: Candidates, rank: np.ndarray, ignored: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """As `instances_found`: whether each found one that counts, and whether an ignored one, bool (2, 10, D)."""
    instance = instances_found(near, rank, ignored, crowd)
    is_found, of_ignored = instance >= 0, np.append(ignored, False)[instance]
    return np.stack([is_found & ~of_ignored, is_found & of_ignored])


def instances_found(near: Candidates, rank: np.ndarray, ignored: np.ndarray, crowd: np.ndarray) -> np.ndarray:
    """COCO's greedy matching, of all images and categories together: first the best detection of each, and so on.

    Args:
        near: Pairs that may match.
        rank: Of each detection in its image and category by falling score, from 0, int64 (D,).
        ignored: Instances that do not count, bool (G,).
        crowd: Those that may be found more than once, bool (G,).

    Returns:
        The instance that each detection found at each IoU of .50:.05:.95, -1 for none, int32 (10, D).
    """
    thresholds = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
    # A detection prefers those that count, then those that it overlaps more; of equals COCO takes the last.
    order = np.lexsort((-near.instance, -near.overlap, ignored[near.instance], near.detection))
    detection, instance = near.detection[order], near.instance[order]
    reaches = near.overlap[order, None] >= thresholds
    choice = np.arange(len(order)) - detection.searchsorted(detection, "left")
    turn = rank[detection] * (choice.max(initial=0) + 1) + choice
    by_turn = np.argsort(turn, kind="stable")
    free = np.ones((len(ignored), len(thresholds)), dtype=bool)
    found = np.full((len(rank), len(thresholds)), -1, dtype=np.int32)
    for turns in np.split(by_turn, np.flatnonzero(np.diff(turn[by_turn])) + 1):
        # In one turn each image and category has one pair at most, so that no two ask for the same instance.
        who, what = detection[turns], instance[turns]
        takes = reaches[turns] & (free[what] | crowd[what, None]) & (found[who] < 0)
        free[what] &= ~takes
        found[who] = np.where(takes, what[:, None], found[who])
    return found.T
