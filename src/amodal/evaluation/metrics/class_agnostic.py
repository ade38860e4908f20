"""COCOA's recall: categories left out, by how much is hidden and by things and stuff."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching import coco
from amodal.evaluation.matching.coco import Asked
from amodal.evaluation.matching.mask_kinds import AMODAL, MatchFilter
from amodal.evaluation.metrics.occlusion import ALL, visible_ratios
from amodal.results.detections import Detections

LIMITS = (10, 100, 1000)
GROUPS = {"occlusion": ("none", "partial", "heavy"), "stuff": ("things", "stuff")}
"""What instances are grouped by, and the groups' names."""
ASKED = {name: Asked(AMODAL, (ALL, *groups), LIMITS, class_agnostic=True) for name, groups in GROUPS.items()}


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
    return recalled(truth, [matches(truth, detections, with_stuff=has_stuff(truth))])


def has_stuff(truth: AnnotationSet) -> bool:
    """Whether things and stuff are to be told apart."""
    return any(a.is_stuff for a in truth.annotations)


def matches(truth: AnnotationSet, detections: Sequence[Detection], *, with_stuff: bool) -> dict[str, np.ndarray]:
    """What `recalled` takes, of a data set or some of its images; `with_stuff` if the whole has any."""
    columns, names = Detections.of(detections), list(GROUPS) if with_stuff else ["occlusion"]
    return {name: coco.matches(truth, columns, _filter(truth, name), ASKED[name]) for name in names}


def recalled(truth: AnnotationSet, parts: Sequence[dict[str, np.ndarray]]) -> dict[str, Recall]:
    """Recall on a data set from parts of it, at least one: the same to the bit for any parts in any order."""
    found: dict[str, Recall] = {}
    for name in parts[0]:
        outcome = coco.outcome(truth, ASKED[name], [part[name] for part in parts])
        for column, instances in _counts(truth, _filter(truth, name)).items():
            found[column] = Recall(instances, *(outcome.average_recall(column, limit=limit) for limit in LIMITS))
    return found if "stuff" in found else found | {"things": found[ALL], "stuff": Recall(0, None, None, None)}


def _filter(truth: AnnotationSet, name: str) -> MatchFilter:
    """Instances by the place of their group, from 0."""
    if name == "stuff":
        group = np.array([a.is_stuff for a in truth.annotations], dtype=float)
    else:
        rates = 1 - visible_ratios(truth)
        group = np.select([rates <= 1e-5, rates <= 0.25], [0.0, 1.0], 2.0)
    ranges = {ALL: (0.0, 9.0)} | {own: (place - 0.5, place + 0.5) for place, own in enumerate(GROUPS[name])}
    return MatchFilter(group, None, ranges)


def _counts(truth: AnnotationSet, match_filter: MatchFilter) -> dict[str, int]:
    single, group = np.array([not a.is_crowd for a in truth.annotations], dtype=bool), match_filter.of_truth
    ranges = match_filter.ranges.items()
    return {name: int((single & (group >= low) & (group <= high)).sum()) for name, (low, high) in ranges}
