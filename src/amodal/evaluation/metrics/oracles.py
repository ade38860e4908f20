"""What is lost where: AP if one kind of error were corrected, and no other.

The kinds of wrong detections and their order follow Bolya et al., "TIDE: A General Toolbox for Identifying Object
Detection Errors" (ECCV 2020), on amodal masks: an unmatched detection at IoU 0.5 has the right class in a wrong place,
the wrong class in the right place, was a second one for an instance that is found, has nothing near it, or both class
and place are wrong. Each oracle mends its kind, one at a time; what that makes a duplicate is removed.

Two oracles are this toolkit's. Of the detections that found their instance at IoU 0.5, one mends the visible part of
the amodal mask and leaves the invisible one as it is, the other the reverse. Both would make the mask the true one.

Everything is AP over IoU .50:.95 with at most 100 detections an image and category. (TIDE itself speaks of AP50.) So a
gain can be a little below 0: what is a duplicate at IoU 0.5 may be the better one at 0.9.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np

from amodal import rle
from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.matching.greedy import Candidates
from amodal.evaluation.metrics.matter import FOUND, NEAR, Matter
from amodal.results.detections import Detections

WORTH = 0.01
"""IoU that a mended part must be worth to be counted."""

Kind = Literal[
    "class", "box", "class and box", "duplicate", "background", "missed", "visible part", "invisible part"
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
MEANING: dict[Kind, str] = {
    "class": "right place, wrong category",
    "box": "right category, IoU with the instance 0.1 to 0.5",
    "class and box": "near an instance of another category",
    "duplicate": "an instance that a surer detection has found",
    "background": "nothing is there",
    "missed": "instances that no detection is about",
    "visible part": "found, but visible pixels (true or claimed) are wrong",
    "invisible part": "found, but invisible pixels (true or claimed) are wrong",
}


@dataclass(frozen=True)
class Losses:
    """What each kind of error costs.

    Attributes:
        ap: AP of amodal masks, in [0, 1]; None where no instance counts.
        counts: How many detections (or instances) are wrong in each way, by kind.
        gains: What AP would be more were that kind corrected, by kind; None where the detections have no visible masks.
    """

    ap: float | None
    counts: dict[str, int]
    gains: dict[str, float | None]


@dataclass(frozen=True)
class _Errors:
    """What each detection is at IoU 0.5, and which instance it is about.

    Attributes:
        kind: A place in KINDS, or -1 for one that is right or does not count, int64 (D,).
        about: The instance that it found, or that correcting it would find; -1 for none, int64 (D,).
        missed: bool (G,).
    """

    kind: np.ndarray
    about: np.ndarray
    missed: np.ndarray

    def of(self, kind: Kind) -> np.ndarray:
        """The detections that are wrong so, bool (D,)."""
        return self.kind == KINDS.index(kind)


def losses(truth: AnnotationSet, detections: Sequence[Detection]) -> Losses:
    """What each kind of error costs the AP of amodal masks.

    Args:
        truth: The annotations.
        detections: All of them, with amodal masks; oracles of the mask's parts need visible ones, too.
    """
    return lost(part_of(truth, detections))


@dataclass(frozen=True)
class Part:
    """What is left of some images when the masks are gone: all that `lost` takes.

    Attributes:
        matter: Detections and instances.
        mended: The IoU of each detection that is right at IoU 0.5, in order, and its instance: as it is, and with one
            part of the mask mended; empty without visible masks.
    """

    matter: Matter
    mended: dict[str, np.ndarray]


def part_of(truth: AnnotationSet, detections: Sequence[Detection]) -> Part:
    """A data set, or some of its images."""
    found = Detections.of(detections)
    matter = Matter.of(truth, found)
    if "visible" not in found.kinds_of_masks:
        return Part(matter, {})
    errors = _errors(matter)
    right = _right(errors)
    return Part(matter, _mended_overlaps(truth, found, right, errors.about[right]))


def joined(parts: Sequence[Part], images: np.ndarray) -> Part:
    """A data set from parts of it, at least one, as `Matter.joined`."""
    names = parts[0].mended if all(part.mended for part in parts) else ()
    mended = {name: np.concatenate([part.mended[name] for part in parts]) for name in names}
    return Part(Matter.joined([part.matter for part in parts], images), mended)


def lost(part: Part) -> Losses:
    """As `losses`; the same to the bit for any parts that were joined in any order."""
    matter, overlaps = part.matter, part.mended
    errors = _errors(matter)
    ap = matter.average_precision()
    counts = {kind: int(errors.of(kind).sum()) for kind in KINDS[:5]} | {"missed": int(errors.missed.sum())}
    corrected: dict[Kind, Matter] = {
        "class": _recategorised(matter, errors),
        "box": _moved(matter, errors),
        "missed": _unasked(matter, errors),
    }
    for kind in ("class and box", "duplicate", "background"):
        corrected[kind] = matter.without(errors.of(kind))
    if overlaps:
        right = _right(errors)
        for kind in ("visible part", "invisible part"):
            corrected[kind] = _with_overlaps(matter, right, errors.about[right], overlaps[kind])
            counts[kind] = int((overlaps[kind] > overlaps["as it is"] + WORTH).sum())
    better = {kind: one.average_precision() for kind, one in corrected.items()}
    gains = {kind: None if ap is None or (one := better.get(kind)) is None else one - ap for kind in KINDS}
    return Losses(ap, counts, dict(gains))


def _errors(matter: Matter) -> _Errors:
    places, instances = matter.matched()
    taken, kind = np.full(len(matter.category), -1), np.full(len(matter.category), -1)
    taken[places] = instances[0]
    same = matter.category[matter.near.detection] == matter.of_instance[matter.near.instance]
    own, its = _best(matter, same)
    other, theirs = _best(matter, ~same)
    wrong = np.zeros(len(kind), dtype=bool)
    wrong[places] = instances[0] < 0
    cases: list[tuple[Kind, np.ndarray]] = [
        ("box", (own >= NEAR) & (own < FOUND)),
        ("class", other >= FOUND),
        ("duplicate", own >= FOUND),
        ("class and box", other >= NEAR),
    ]
    names = [KINDS.index(name) for name, _ in cases]
    kind[wrong] = np.select([case[wrong] for _, case in cases], names, KINDS.index("background"))
    about = np.select([kind == names[0], kind == names[1]], [its, theirs], np.where(kind < 0, taken, -1))
    about[(kind < 0) & np.append(matter.crowd, False)[about]] = -1
    missed = ~matter.crowd
    missed[about[about >= 0]] = False
    return _Errors(kind, about, missed)


def _right(errors: _Errors) -> np.ndarray:
    """The places of the detections that found an instance at IoU 0.5."""
    return np.flatnonzero((errors.kind < 0) & (errors.about >= 0))


def _best(matter: Matter, pairs: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each detection's greatest overlap in some of the pairs, bool (P,), and with which instance; no crowds."""
    chosen = np.flatnonzero(pairs & ~matter.crowd[matter.near.instance])
    chosen = chosen[np.argsort(matter.near.overlap[chosen], kind="stable")]  # the greatest is written last
    overlap, instance = np.zeros(len(matter.category)), np.full(len(matter.category), -1)
    overlap[matter.near.detection[chosen]] = matter.near.overlap[chosen]
    instance[matter.near.detection[chosen]] = matter.near.instance[chosen]
    return overlap, instance


def _surest(matter: Matter, errors: _Errors, kind: Kind) -> np.ndarray:
    """Of the detections of a kind the surest about each instance that none has found, bool (D,)."""
    found = errors.about[(errors.kind < 0) & (errors.about >= 0)]
    places = np.flatnonzero(errors.of(kind) & ~np.isin(errors.about, found))
    places = places[np.argsort(-matter.score[places], kind="stable")]
    first = np.zeros(len(matter.category), dtype=bool)
    first[places[np.unique(errors.about[places], return_index=True)[1]]] = True
    return first


def _recategorised(matter: Matter, errors: _Errors) -> Matter:
    kept = _surest(matter, errors, "class")
    right = matter.category.copy()
    right[kept] = matter.of_instance[errors.about[kept]]
    return replace(matter, category=right).without(errors.of("class") & ~kept)


def _moved(matter: Matter, errors: _Errors) -> Matter:
    kept = _surest(matter, errors, "box")
    places = np.flatnonzero(kept)
    moved = _with_overlaps(matter, places, errors.about[places], np.ones(len(places)))
    return moved.without(errors.of("box") & ~kept)


def _unasked(matter: Matter, errors: _Errors) -> Matter:
    """Without the instances that are missed: a corrected detection of each would need a score."""
    near = matter.near
    kept = ~errors.missed[near.instance]
    near = Candidates(near.detection[kept], near.instance[kept], near.overlap[kept])
    return replace(matter, near=near, asked=matter.asked & ~errors.missed)


def _with_overlaps(matter: Matter, places: np.ndarray, instances: np.ndarray, overlaps: np.ndarray) -> Matter:
    """With other overlaps of these pairs of detections and instances."""
    near, span = matter.near, len(matter.of_instance)
    asked = places * span + instances
    order = np.argsort(asked)
    keys = near.detection * span + near.instance
    at = asked[order].searchsorted(keys).clip(max=max(len(asked) - 1, 0))
    hit = asked[order][at] == keys if len(asked) else np.zeros(len(keys), dtype=bool)
    changed = near.overlap.copy()
    changed[hit] = overlaps[order][at[hit]]
    return replace(matter, near=replace(near, overlap=changed))


def _mended_overlaps(
    truth: AnnotationSet, found: Detections, places: np.ndarray, instances: np.ndarray
) -> dict[str, np.ndarray]:
    """The IoU of each pair of a detection and its instance: as it is, and with one part of the mask mended."""
    areas = np.zeros((5, len(places)))
    for number, (place, instance) in enumerate(zip(places.tolist(), instances.tolist(), strict=True)):
        true, mask, visible = truth.annotations[instance], found.amodal[place], found.visible[place]
        assert mask is not None and visible is not None
        missing, surplus = rle.subtract(true.amodal, mask), rle.subtract(mask, true.amodal)
        visible_parts = rle.intersect(missing, true.visible), rle.intersect(surplus, visible)
        areas[:, number] = rle.areas([true.amodal, missing, surplus, *visible_parts])
    whole, missing, surplus, visible_missing, visible_surplus = areas
    return {
        "as it is": (whole - missing) / (whole + surplus),
        "visible part": (whole - missing + visible_missing) / (whole + surplus - visible_surplus),
        "invisible part": (whole - visible_missing) / (whole + visible_surplus),
    }
