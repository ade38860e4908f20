"""COCOA's recall: categories left out, by how much is hidden and by things and stuff."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching import coco
from amodal.evaluation.matching.mask_kinds import AMODAL, MatchFilter
from amodal.evaluation.metrics.occlusion import ALL, visible_ratios
from amodal.results.detections import Detections

LIMITS = (10, 100, 1000)


@dataclass(frozen=True)
class Recall:
    """AR over IoU .50:.95 of amodal masks, with at most 10, 100 and 1000 detections an image."""

    instances: int
    ar10: float | None
    ar100: float | None
    ar1000: float | None


def recall(truth: AnnotationSet, detections: Sequence[Detection]) -> dict[str, Recall]:
    """Recall of amodal masks: all, by occlusion ("none", "partial", "heavy"), and of "things" and "stuff".

    Occlusion rates: none [0, 1e-5], partial (1e-5, 0.25], heavy (0.25, 1]. Instances outside a group are ignored in
    it. Source: Zhu et al., "Semantic Amodal Segmentation" (CVPR 2017), and its amodalAPI.
    """
    rates = 1 - visible_ratios(truth)
    levels = np.select([rates <= 1e-5, rates <= 0.25], [0, 1], 2)
    stuff = np.array([a.is_stuff for a in truth.annotations], dtype=int)
    columns = Detections.of(detections)
    found = _recall(truth, columns, levels, ("none", "partial", "heavy"))
    if stuff.any():
        return found | _recall(truth, columns, stuff, ("things", "stuff"))
    return found | {"things": found[ALL], "stuff": Recall(0, None, None, None)}


def _recall(truth: AnnotationSet, detections: Detections, group: np.ndarray, names: Sequence[str]) -> dict[str, Recall]:
    """Of all instances and of those of each group, an int from 0 for each annotation, by the groups' names."""
    single = np.array([not a.is_crowd for a in truth.annotations], dtype=bool)
    ranges = {ALL: (0.0, 9.0)} | {name: (place - 0.5, place + 0.5) for place, name in enumerate(names)}
    match_filter = MatchFilter(group.astype(float), None, ranges)
    outcome = coco.run(truth, detections, AMODAL, match_filter, limits=LIMITS, class_agnostic=True)
    return {
        name: Recall(
            int((single & (group >= low) & (group <= high)).sum()),
            *(outcome.average_recall(name, limit=limit) for limit in LIMITS),
        )
        for name, (low, high) in ranges.items()
    }
