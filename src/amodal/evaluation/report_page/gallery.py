"""The worst of each kind of failure, as pictures: truth beside prediction."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Detection
from amodal.evaluation.matching.pairs import Pair, Paired
from amodal.evaluation.metrics.depth import in_front
from amodal.results import drawn

PICTURE_SIDE = 300
"""Longest side of a picture in pixels."""
IDENTITIES = (18, 17)
"""Pink and cyan, which few things are: the object, or the one in front and the one behind."""
KINDS = {
    "misses": "Missed: the largest instances that no detection stands for",
    "false_invisible": "False invisible parts: predicted behind others, where the object is not",
    "swapped": "Swapped orders: which of two objects is in front is predicted wrongly",
}


@dataclass(frozen=True)
class Failure:
    """One failure: what is true and what was predicted of the objects it is about. `badness` ranks it in its kind."""

    kind: str
    image_id: int
    caption: str
    badness: float
    truths: list[Annotation]
    detections: list[Detection]


def worst(truth: AnnotationSet, images: Sequence[Paired], *, count: int = 12) -> dict[str, list[Failure]]:
    """Up to `count` failures of each kind in KINDS, the worst first."""
    names = {category.id: category.name for category in truth.categories}
    found: dict[str, list[Failure]] = {kind: [] for kind in KINDS}
    for image in images:
        for pair in image.pairs:
            failure = _miss(image.image_id, pair, names) or _false_invisible(image.image_id, pair, names)
            if failure:
                found[failure.kind].append(failure)
        found["swapped"] += _swapped(image, names)
    return {kind: sorted(failures, key=lambda f: -f.badness)[:count] for kind, failures in found.items()}


def _miss(image_id: int, pair: Pair, names: dict[int, str]) -> Failure | None:
    visible = int(rle.areas([pair.truth.visible])[0])
    if pair.detection or not visible:
        return None
    caption = f"{names[pair.truth.category_id]}, {visible} visible pixels"
    return Failure("misses", image_id, caption, visible, [pair.truth], [])


def _false_invisible(image_id: int, pair: Pair, names: dict[int, str]) -> Failure | None:
    found = pair.detection
    if not (found and found.amodal and found.visible):
        return None
    invisible = rle.subtract(found.amodal, found.visible)
    wrong = int(rle.areas([rle.subtract(invisible, pair.truth.amodal)])[0])
    if not wrong:
        return None
    caption = f"{names[pair.truth.category_id]}, {wrong} of {int(rle.areas([invisible])[0])} invisible pixels are wrong"
    return Failure("false_invisible", image_id, caption, wrong, [pair.truth], [found])


def _swapped(image: Paired, names: dict[int, str]) -> list[Failure]:
    failures: list[Failure] = []
    for first, second in combinations(image.pairs, 2):
        overlap = int(rle.areas([rle.intersect(first.truth.amodal, second.truth.amodal)])[0])
        if not (overlap and first.detection and second.detection):
            continue
        if in_front(first.truth, second.truth) * in_front(first.detection, second.detection) < 0:
            front, back = (first, second) if in_front(first.truth, second.truth) > 0 else (second, first)
            caption = f"{names[front.truth.category_id]} is in front of {names[back.truth.category_id]}"
            detections = [pair.detection for pair in (front, back) if pair.detection]
            failures.append(Failure("swapped", image.image_id, caption, overlap, [front.truth, back.truth], detections))
    return failures


def picture(failure: Failure, truth: AnnotationSet, instances: Sequence[Annotation | Detection]) -> Image.Image:
    """The failure's image with some instances drawn in."""
    record = next(image for image in truth.images if image.id == failure.image_id)
    pixels, _ = drawn.photograph(record, truth.image_folder)
    return drawn.picture(pixels, instances, PICTURE_SIDE, IDENTITIES)
