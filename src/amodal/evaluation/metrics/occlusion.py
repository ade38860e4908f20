"""AP by occlusion rate: how instances are graded by what is hidden of them.

Two modes that must not be mixed up, since their numbers differ:

* `vrsp` is the evaluator of Xiao et al., "Amodal Segmentation Based on Visible Region Segmentation and Shape Prior"
  (AAAI 2021), to the bit; AISFormer uses it too. The paper's AP(Occluded) is its column ">= 0.15". Its quirks:
  an unmatched detection is a false positive only if its **own predicted** masks make it look occluded enough, so a
  model gains by predicting "not occluded"; a method without visible masks cannot be scored; an instance whose stated
  visible ratio is above 1 (rounding, in KINS) counts nowhere, not even in "all".
* `clean` grades instances by their true masks only: every unmatched detection is a false positive in every column.

Both keep the rest of COCO's matching: instances outside the range are ignored, as are the detections that match them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching.mask_kinds import MatchFilter
from amodal.formats import annotation_files
from amodal.formats.contents import Record
from amodal.results.detections import Detections, Masks
from amodal.rle import areas, from_json, intersect, subtract

OCCLUSION_RATES = (0.15, 0.25, 0.40)
"""Least occlusion rates of VRSP's evaluator, which names them small, medium and large."""
ALL = "all"


def column(least_rate: float) -> str:
    """The name of the column of instances whose occlusion rate is at least `least_rate`."""
    return f"occlusion rate >= {least_rate:.2f}"


def visible_ratios(truth: AnnotationSet) -> np.ndarray:
    """Visible area / amodal area of each annotation, from the masks, float64 in [0, 1]; 1 for an empty amodal mask."""
    ratios = np.ones(len(truth.annotations))
    partly = [place for place, a in enumerate(truth.annotations) if a.visible is not a.amodal]
    amodal = areas([truth.annotations[place].amodal for place in partly])
    visible = areas([truth.annotations[place].visible for place in partly])
    ratios[partly] = np.divide(visible, amodal, out=np.ones(len(amodal)), where=amodal > 0).clip(0.0, 1.0)
    return ratios


def predicted_visible_ratios(detections: Sequence[Detection]) -> np.ndarray:
    """|amodal and visible| / |amodal| of each detection's own masks, float64; NaN for an empty or missing mask."""
    columns = Detections.of(detections)
    pairs = [(p, m, v) for p, (m, v) in enumerate(zip(columns.amodal, columns.visible, strict=True)) if m and v]
    amodal = areas([mask for _, mask, _ in pairs])
    common = areas([intersect(mask, visible) for _, mask, visible in pairs])
    ratios = np.full(len(columns), np.nan)
    ratios[[place for place, _, _ in pairs]] = np.divide(
        common, amodal, out=np.full(len(pairs), np.nan), where=amodal > 0
    )
    return ratios


def invisible_parts(
    truth: AnnotationSet, detections: Sequence[Detection], predicted_ratios: np.ndarray
) -> tuple[AnnotationSet, Detections]:
    """The invisible parts of both, in place of their amodal masks; boxes and visible masks are dropped.

    Instances and detections that hide nothing are left out: "nothing hidden" is neither asked for nor claimed, and a
    invisible part predicted for a fully visible object is a false positive.

    Args:
        truth: The annotations.
        detections: Each with both masks.
        predicted_ratios: `predicted_visible_ratios` of the detections.
    """
    invisible = [
        replace(a, amodal=subtract(a.amodal, a.visible))
        for a, ratio in zip(truth.annotations, visible_ratios(truth), strict=True)
        if ratio < 1
    ]
    claimed = Detections.of(detections).take(np.flatnonzero(predicted_ratios < 1))
    masks: Masks = [subtract(m, v) for m, v in zip(claimed.amodal, claimed.visible, strict=True) if m and v]
    nowhere = np.full_like(claimed.boxes, np.nan)
    return replace(truth, annotations=invisible), replace(
        claimed, boxes=nowhere, amodal=masks, visible=[None] * len(masks)
    )


def clean_filter(truth: AnnotationSet) -> MatchFilter:
    """Instances graded by their true visible ratio; every unmatched detection is a false positive."""
    return MatchFilter(visible_ratios(truth), None, _ranges())


def vrsp_filter(
    truth: AnnotationSet, predicted_ratios: np.ndarray, stated: Mapping[int, float] | None = None
) -> MatchFilter:
    """Instances graded as VRSP's evaluator does it.

    Args:
        truth: The annotations.
        predicted_ratios: `predicted_visible_ratios` of the detections.
        stated: Visible ratio by annotation id as the data set's file states it, which the authors take before
            anything else (`stated_visible_ratios`). An annotation that is not in it is graded by its masks.
    """
    of_truth = visible_ratios(truth)
    if stated:
        of_truth = np.array([stated.get(a.id, r) for a, r in zip(truth.annotations, of_truth, strict=True)])
    # The authors compare NaN (an empty amodal mask) with the limits, which is never outside; 0 is inside every range.
    return MatchFilter(of_truth, np.nan_to_num(predicted_ratios, nan=0.0), _ranges())


def _ranges() -> dict[str, tuple[float, float]]:
    # 1 - 0.15, 1 - 0.25 and 1 - 0.40 are the very floats 0.85, 0.75 and 0.6 that the authors write.
    return {ALL: (0.0, 1.0)} | {column(rate): (0.0, 1 - rate) for rate in OCCLUSION_RATES}


def stated_visible_ratios(path: str | Path) -> dict[int, float]:
    """The visible ratios that VRSP's evaluator would read from a data set's file, by annotation id.

    That is 1 - `occlude_rate`, or else the visible mask's pixels / `area` (KINS, where `area` is the polygon's and the
    ratio can exceed 1). Annotations that state neither are left out.

    Raises:
        UserError: The file is missing or of no known format.
    """
    ratios: dict[int, float] = {}
    for record in annotation_files.contents(path).records:
        if isinstance(record, Record) and isinstance(record.id, int) and (ratio := _stated_ratio(record)) is not None:
            ratios[record.id] = ratio
    return ratios


def _stated_ratio(record: Record) -> float | None:
    if isinstance(record.occlusion_rate, int | float):
        return 1 - record.occlusion_rate
    if not isinstance(record.visible, dict) or not isinstance(record.area, int | float) or record.area <= 0:
        return None
    try:
        visible, _ = from_json(record.visible, record.visible.get("size"))  # type: ignore[arg-type]
        return float(areas([visible])[0]) / record.area
    except (ValueError, OverflowError):
        return None
