"""Detections of any system against the truth of a data set -> Report."""

from collections.abc import Mapping, Sequence

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching import coco
from amodal.evaluation.matching.coco import Outcome
from amodal.evaluation.matching.mask_kinds import AMODAL, BOX, VISIBLE, MatchFilter
from amodal.evaluation.metrics import occlusion
from amodal.evaluation.report import Counts, OcclusionScores, Report, Scores
from amodal.results.detections import Detections
from amodal.results.result_files import check


def score(
    truth: AnnotationSet, detections: Sequence[Detection], *, stated_ratios: Mapping[int, float] | None = None
) -> Report:
    """All that can be measured of the detections.

    What they lack is left out: without visible masks there is no visible AP, no invisible AP and no vrsp mode.

    Args:
        truth: A data set's annotations.
        detections: One list for all images; the masks of an image have its size.
        stated_ratios: Visible ratios that the data set's file states, by annotation id, for the vrsp mode
            (`amodal.evaluation.metrics.occlusion.stated_visible_ratios`); None takes them from the masks.

    Raises:
        UserError: Detections of unknown images or categories, masks of the wrong size, masks in some detections only.
    """
    detections = Detections.of(detections)
    check(truth, detections)
    kinds = detections.kinds_of_masks
    clean = occlusion.clean_filter(truth)
    ratios = occlusion.predicted_visible_ratios(detections)
    vrsp = occlusion.vrsp_filter(truth, ratios, stated_ratios) if kinds == {"amodal", "visible"} else None
    scores: dict[str, Scores] = {}
    rows: list[OcclusionScores] = []
    if "amodal" in kinds or detections.has_box.all():
        scores["box"] = _scores(truth, coco.run(truth, detections, BOX, clean))
    for kind in (AMODAL, VISIBLE):
        if kind.name not in kinds:
            continue
        outcome = coco.run(truth, detections, kind, clean)
        scores[kind.name] = _scores(truth, outcome)
        rows += _by_occlusion(truth, outcome, clean, (kind.name, "clean"))
        if vrsp:
            rows += _by_occlusion(truth, coco.run(truth, detections, kind, vrsp), vrsp, (kind.name, "vrsp"))
    if vrsp:
        invisible, claimed = occlusion.invisible_parts(truth, detections, ratios)
        match_filter = MatchFilter(np.zeros(len(invisible.annotations)), None, {occlusion.ALL: (0.0, 1.0)})
        scores["invisible"] = _scores(truth, coco.run(invisible, claimed, AMODAL, match_filter))
    kinds_of_scores = (scores.get(kind) for kind in ("box", "amodal", "visible", "invisible"))
    return Report(_counts(truth, detections, clean), *kinds_of_scores, occlusion=rows)


def _scores(truth: AnnotationSet, outcome: Outcome) -> Scores:
    names = {category.id: category.name for category in truth.categories}
    return Scores(
        ap=outcome.average_precision(),
        ap50=outcome.average_precision(iou=0.5),
        ap75=outcome.average_precision(iou=0.75),
        ar1=outcome.average_recall(limit=1),
        ar10=outcome.average_recall(limit=10),
        ar100=outcome.average_recall(limit=100),
        by_category={names[i]: outcome.average_precision(category_id=i) for i in outcome.category_ids},
        curves={
            "0.50:0.95": outcome.precision_curve(),
            "0.50": outcome.precision_curve(iou=0.5),
            "0.75": outcome.precision_curve(iou=0.75),
        },
    )


def _by_occlusion(
    truth: AnnotationSet,
    outcome: Outcome,
    match_filter: MatchFilter,
    name: tuple[str, str],
) -> list[OcclusionScores]:
    return [
        OcclusionScores(
            *name,
            column=column,
            instances=int(_counting(truth, match_filter, column).sum()),
            ap=outcome.average_precision(column),
            ap50=outcome.average_precision(column, iou=0.5),
            ar100=outcome.average_recall(column, limit=100),
        )
        for column in match_filter.ranges
    ]


def _counting(truth: AnnotationSet, match_filter: MatchFilter, column: str) -> np.ndarray:
    """Which annotations count in a column, bool (number of annotations,)."""
    low, high = match_filter.ranges[column]
    single = np.array([not a.is_crowd for a in truth.annotations], dtype=bool)
    return single & (match_filter.of_truth >= low) & (match_filter.of_truth <= high)


def _counts(truth: AnnotationSet, detections: Sequence[Detection], clean: MatchFilter) -> Counts:
    return Counts(
        images=len(truth.images),
        instances=int(_counting(truth, clean, occlusion.ALL).sum()),
        occluded=int(_counting(truth, clean, occlusion.column(occlusion.OCCLUSION_RATES[0])).sum()),
        detections=len(detections),
        categories=len(truth.categories),
    )
