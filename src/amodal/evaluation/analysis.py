"""What AP does not tell: shapes, order, calibration, confusions, and recall without categories."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from msgspec import convert

from amodal.annotations import AnnotationSet, Detection
from amodal.errors import UserError
from amodal.evaluation.matching.mask_kinds import AMODAL, VISIBLE
from amodal.evaluation.matching.pairs import Paired, assign
from amodal.evaluation.matching.records import Records, collect
from amodal.evaluation.metrics import occlusion
from amodal.evaluation.metrics.boundary import mean_boundary_iou
from amodal.evaluation.metrics.calibration import Bins, Calibration, calibrate_scores
from amodal.evaluation.metrics.class_agnostic import Recall, recall
from amodal.evaluation.metrics.depth import DepthOrder, depth_order
from amodal.evaluation.metrics.miou import mean_iou_full, mean_iou_occluded
from amodal.evaluation.metrics.occlusion import ALL
from amodal.evaluation.metrics.oracles import Losses, losses
from amodal.results.detections import Detections

CONFUSED_IOU = 0.5
"""Least overlap at which a detection is taken to mean an instance."""
EARLIER = "hidden_calibration"
"""The calibration of invisible pixels in reports that earlier versions wrote."""


@dataclass(frozen=True)
class Shapes:
    """Of the pairs of `amodal.evaluation.matching.pairs.assign`; the definitions stand with each function.

    Attributes:
        instances: How many there are; `missed`: for how many no detection stands.
        mean_iou_full: Of amodal masks (C2F-Seg's mIoU_full).
        mean_iou_occluded: Of invisible parts (C2F-Seg's mIoU_occ).
        mean_boundary_iou: Of amodal masks.
    """

    instances: int
    missed: int
    mean_iou_full: float | None
    mean_iou_occluded: float | None
    mean_boundary_iou: float | None


@dataclass(frozen=True)
class Analysis:
    """Beyond COCO's numbers.

    Attributes:
        shapes: Mean IoUs.
        depth: Which of two overlapping objects is in front.
        recall: Without categories, by occlusion, of things and stuff.
        calibration: Of scores.
        invisible_calibration: Of the amodal probabilities of invisible pixels
            (`amodal.evaluation.metrics.invisible_pixels`); None for results from a file, which hold masks alone.
        confusion: Counts; rows are true categories in order of their ids, then "nothing"; columns predicted ones,
            then "missed".
        losses: What each kind of error costs; None from a report of an earlier version.
        records: Match records by kind and column, for confidence intervals; None from a report without them.
    """

    shapes: Shapes
    depth: DepthOrder
    recall: dict[str, Recall]
    calibration: Calibration
    confusion: list[list[int]]
    records: dict[str, Records] = field(default_factory=dict)
    invisible_calibration: Calibration | None = None
    losses: Losses | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types; `from_json` gives it back."""
        plain = {name: asdict(getattr(self, name)) for name in ("shapes", "depth", "calibration")}
        found = {name: asdict(one) for name, one in self.recall.items()}
        kept = {name: one.to_text() for name, one in self.records.items()}
        invisible = asdict(self.invisible_calibration) if self.invisible_calibration else None
        lost = asdict(self.losses) if self.losses else None
        return plain | {
            "losses": lost, "invisible_calibration": invisible, "recall": found, "confusion": self.confusion,
            "records": kept,
        }  # fmt: skip

    @staticmethod
    def from_json(content: Any) -> "Analysis":
        """What `to_json` gave. Raises msgspec.ValidationError for anything else, UserError for damaged records."""
        if isinstance(content, dict) and EARLIER in content:
            content = {"invisible_calibration": content[EARLIER]} | content
        stated = convert(content, _Stated)
        records = {name: Records.from_text(text) for name, text in stated.records.items()}
        return Analysis(
            stated.shapes, stated.depth, stated.recall, stated.calibration, stated.confusion, records,
            stated.invisible_calibration, stated.losses,
        )  # fmt: skip


@dataclass(frozen=True)
class _Stated:
    """An analysis in a file: its types are checked as it is read."""

    shapes: Shapes
    depth: DepthOrder
    recall: dict[str, Recall]
    calibration: Calibration
    confusion: list[list[int]]
    records: dict[str, str]
    invisible_calibration: Calibration | None = None
    losses: Losses | None = None


def analyse(truth: AnnotationSet, detections: Sequence[Detection], invisible: Bins | None = None) -> Analysis:
    """All of it, with the `invisible` pixels of a model that was at hand.

    Raises:
        UserError: Detections without amodal masks, on which most of it rests.
    """
    detections = Detections.of(detections)
    if "amodal" not in detections.kinds_of_masks:
        raise UserError("the detections have no amodal masks", remedy="Only AP can be had of them")
    clean = occlusion.clean_filter(truth)
    occluded = occlusion.column(occlusion.OCCLUSION_RATES[0])
    names = {"amodal": ALL, f"amodal, {occluded}": occluded}
    kept = dict(zip(names, collect(truth, detections, AMODAL, clean, list(names.values())), strict=True))
    if "visible" in detections.kinds_of_masks:
        [kept["visible"]] = collect(truth, detections, VISIBLE, clean, [ALL])
    images = list(assign(truth, detections))
    pairs = [pair for image in images for pair in image.pairs]
    shapes = Shapes(
        len(pairs),
        sum(pair.detection is None for pair in pairs),
        mean_iou_full(pairs),
        mean_iou_occluded(pairs),
        mean_boundary_iou(pairs),
    )
    depth = depth_order([image.pairs for image in images])
    matrix = confusion(truth, images)
    found, scores = recall(truth, detections), calibrate_scores(kept["amodal"])
    calibration = invisible.calibration() if invisible else None
    return Analysis(shapes, depth, found, scores, matrix, kept, calibration, losses(truth, detections))


def confusion(truth: AnnotationSet, images: Sequence[Paired]) -> list[list[int]]:
    """True against predicted categories of the pairs that overlap enough, as counts.

    The last row is for detections of nothing, the last column for instances missed.
    """
    place = {label: number - 1 for label, number in truth.label_of.items()}
    none = len(place)
    counts = np.zeros((none + 1, none + 1), dtype=int)
    for image in images:
        for pair in image.pairs:
            row = place[pair.truth.category_id]
            if pair.detection and pair.overlap >= CONFUSED_IOU:
                counts[row, place[pair.detection.category_id]] += 1
            else:
                counts[row, none] += 1
                if pair.detection:
                    counts[none, place[pair.detection.category_id]] += 1
        for detection in image.spare:
            counts[none, place[detection.category_id]] += 1
    return counts.tolist()
