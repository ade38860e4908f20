"""Detections of any system against the truth of a data set -> Report."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching import accumulation, coco
from amodal.evaluation.matching.coco import Asked, Outcome
from amodal.evaluation.matching.mask_kinds import AMODAL, BOX, VISIBLE, MatchFilter
from amodal.evaluation.matching.records import Records, collect, image_ids, placed
from amodal.evaluation.metrics import occlusion
from amodal.evaluation.report import Counts, OcclusionScores, Report, Scores
from amodal.results.detections import Detections
from amodal.results.result_files import check

COLUMNS = (occlusion.ALL, *map(occlusion.column, occlusion.OCCLUSION_RATES))
ASKED = {
    "box": Asked(BOX, COLUMNS), "amodal": Asked(AMODAL, COLUMNS), "visible": Asked(VISIBLE, COLUMNS),
    "invisible": Asked(AMODAL, (occlusion.ALL,)),
}  # fmt: skip
"""What COCO's evaluator is asked for, by the name of the scores."""
BOTH = {"amodal", "visible"}


@dataclass(frozen=True)
class Matched:
    """What is left of some images' detections when the masks are gone: all that the scores are made of.

    Attributes:
        images: Ids of all images of the part, ascending int64.
        detections: How many there are.
        kinds: Of "amodal" and "visible", the masks that every detection has.
        matches: What `coco.matches` keeps, by name of the scores.
        vrsp: Match records of VRSP's mode, by kind of masks and column; empty without both masks.
    """

    images: np.ndarray
    detections: int
    kinds: list[str]
    matches: dict[str, np.ndarray]
    vrsp: dict[str, dict[str, Records]]


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
    return scored(truth, [matched(truth, detections, stated_ratios=stated_ratios)], stated_ratios=stated_ratios)


def matched(
    truth: AnnotationSet, detections: Sequence[Detection], *, stated_ratios: Mapping[int, float] | None = None
) -> Matched:
    """What `scored` takes, of a data set or some of its images. Arguments and errors as those of `score`."""
    detections = Detections.of(detections)
    check(truth, detections)
    kinds = detections.kinds_of_masks
    clean = occlusion.clean_filter(truth)
    found = {kind: coco.matches(truth, detections, clean, ASKED[kind]) for kind in sorted(kinds)}
    if "amodal" in kinds or detections.has_box.all():
        found["box"] = coco.matches(truth, detections, clean, ASKED["box"])
    vrsp: dict[str, dict[str, Records]] = {}
    if kinds == BOTH:
        ratios = occlusion.predicted_visible_ratios(detections)
        own = occlusion.vrsp_filter(truth, ratios, stated_ratios)
        for kind in (AMODAL, VISIBLE):
            records = collect(truth, detections, kind, own, COLUMNS)
            vrsp[kind.name] = dict(zip(COLUMNS, records, strict=True))
        invisible, claimed = occlusion.invisible_parts(truth, detections, ratios)
        match_filter = MatchFilter(np.zeros(len(invisible.annotations)), None, {occlusion.ALL: (0.0, 1.0)})
        found["invisible"] = coco.matches(invisible, claimed, match_filter, ASKED["invisible"])
    return Matched(image_ids(truth), len(detections), sorted(kinds), found, vrsp)


def scored(
    truth: AnnotationSet, parts: Sequence[Matched], *, stated_ratios: Mapping[int, float] | None = None
) -> Report:
    """The report of a data set from parts of it, at least one: the same to the bit for any parts in any order.

    Args:
        truth: The whole data set.
        parts: What `matched` gave, of images of which each is in one part.
        stated_ratios: As `score`.
    """
    outcomes = {
        name: coco.outcome(truth, asked, [part.matches[name] for part in parts])
        for name, asked in ASKED.items()
        if all(name in part.matches for part in parts)
    }
    clean, rows = occlusion.clean_filter(truth), list[OcclusionScores]()
    is_both = all(part.vrsp for part in parts)
    ids, images = sorted(c.id for c in truth.categories), image_ids(truth)
    own = occlusion.vrsp_filter(truth, np.zeros(0), stated_ratios) if is_both else None
    for kind in ("amodal", "visible"):
        if kind in outcomes:
            rows += _by_occlusion(truth, outcomes[kind], clean, (kind, "clean"))
        if own:
            columns = ((c, [placed(p.vrsp[kind][c], p.images, images) for p in parts]) for c in COLUMNS)
            rows += _by_occlusion(truth, accumulation.outcome(columns, ids), own, (kind, "vrsp"))
    scores = (_scores(truth, outcomes[kind]) if kind in outcomes else None for kind in ASKED)
    return Report(_counts(truth, sum(part.detections for part in parts), clean), *scores, occlusion=rows)


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


def _counts(truth: AnnotationSet, detections: int, clean: MatchFilter) -> Counts:
    return Counts(
        images=len(truth.images),
        instances=int(_counting(truth, clean, occlusion.ALL).sum()),
        occluded=int(_counting(truth, clean, occlusion.column(occlusion.OCCLUSION_RATES[0])).sum()),
        detections=detections,
        categories=len(truth.categories),
    )
