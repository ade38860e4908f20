"""What AP does not tell: shapes, order, calibration, confusions, and recall without categories."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from msgspec import convert

from amodal.annotations import AnnotationSet, Detection
from amodal.errors import UserError
from amodal.evaluation.matching.mask_kinds import AMODAL, VISIBLE
from amodal.evaluation.matching.pairs import Paired, assign, mean
from amodal.evaluation.matching.records import Records, collect, image_ids, joined
from amodal.evaluation.metrics import occlusion, oracles
from amodal.evaluation.metrics.boundary import boundary_values
from amodal.evaluation.metrics.calibration import Bins, Calibration, calibrate_scores
from amodal.evaluation.metrics.class_agnostic import Recall, has_stuff, matches, recalled
from amodal.evaluation.metrics.depth import DepthOrder, depth_order
from amodal.evaluation.metrics.miou import full_ious, occluded_ious
from amodal.evaluation.metrics.occlusion import ALL
from amodal.evaluation.metrics.oracles import Losses
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


@dataclass(frozen=True)
class Observed:
    """What is left of some images' detections when the masks are gone: all that an analysis is made of.

    Attributes:
        images: Ids of all images of the part, ascending int64.
        records: As `Analysis`.
        ious: What the means of `Shapes` are of, by their names, float64.
        missed: As `Shapes`.
        depth: Counts.
        confusion: Counts.
        recall: What `class_agnostic.matches` keeps.
        losses: What `oracles.lost` takes.
    """

    images: np.ndarray
    records: dict[str, Records]
    ious: dict[str, np.ndarray]
    missed: int
    depth: DepthOrder
    confusion: list[list[int]]
    recall: dict[str, np.ndarray]
    losses: oracles.Part


OCCLUDED = occlusion.column(occlusion.OCCLUSION_RATES[0])
RECORDS = {"amodal": ALL, f"amodal, {OCCLUDED}": OCCLUDED}
"""Match records of amodal masks that an analysis keeps, by the name of their column."""


def analyse(truth: AnnotationSet, detections: Sequence[Detection], invisible: Bins | None = None) -> Analysis:
    """All of it, with the `invisible` pixels of a model that was at hand.

    Raises:
        UserError: Detections without amodal masks, on which most of it rests.
    """
    return analysed(truth, [observed(truth, detections, with_stuff=has_stuff(truth))], invisible)


def observed(truth: AnnotationSet, detections: Sequence[Detection], *, with_stuff: bool) -> Observed:
    """What `analysed` takes, of a data set or some of its images; `with_stuff` if the whole has any.

    Raises:
        UserError: As `analyse`.
    """
    detections = Detections.of(detections)
    if "amodal" not in detections.kinds_of_masks:
        raise UserError("the detections have no amodal masks", remedy="Only AP can be had of them")
    clean = occlusion.clean_filter(truth)
    kept = dict(zip(RECORDS, collect(truth, detections, AMODAL, clean, list(RECORDS.values())), strict=True))
    if "visible" in detections.kinds_of_masks:
        [kept["visible"]] = collect(truth, detections, VISIBLE, clean, [ALL])
    images = list(assign(truth, detections))
    pairs = [pair for image in images for pair in image.pairs]
    ious = {"full": full_ious(pairs), "occluded": occluded_ious(pairs), "boundary": boundary_values(pairs)}
    return Observed(
        image_ids(truth),
        kept,
        {name: np.array(values, dtype=np.float64) for name, values in ious.items()},
        sum(pair.detection is None for pair in pairs),
        depth_order([image.pairs for image in images]),
        confusion(truth, images),
        matches(truth, detections, with_stuff=with_stuff),
        oracles.part_of(truth, detections),
    )


def analysed(truth: AnnotationSet, parts: Sequence[Observed], invisible: Bins | None = None) -> Analysis:
    """The analysis of a data set from parts of it, at least one: the same to the bit for any parts in any order."""
    images = image_ids(truth)
    losses = oracles.lost(oracles.joined([part.losses for part in parts], images))  # before what is kept is there
    names = [name for name in parts[0].records if all(name in part.records for part in parts)]
    kept = {name: joined([(part.images, part.records[name]) for part in parts], images) for name in names}
    ious = {name: np.concatenate([part.ious[name] for part in parts]) for name in parts[0].ious}
    means = (mean(ious[name].tolist()) for name in ("full", "occluded", "boundary"))
    return Analysis(
        Shapes(len(ious["full"]), sum(part.missed for part in parts), *means),
        sum((part.depth for part in parts), DepthOrder(0, 0, 0)),
        recalled(truth, [part.recall for part in parts]),
        calibrate_scores(kept["amodal"]),
        np.sum([part.confusion for part in parts], axis=0).tolist(),
        kept,
        invisible.calibration() if invisible else None,
        losses,
    )


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
