"""One detection for each instance: what mean IoU, boundary IoU and depth order are measured on.

AP judges a ranked list; these judge shapes, and need to know which detection stands for which instance. The rule, since
papers differ in it and it moves the numbers: among the detections with a score of at least `score_threshold`, whatever
their category, the one-to-one assignment of each image that has the greatest total IoU of **visible** masks (amodal
masks where a system predicts no visible ones). Instances that get none, or one without overlap, are missed, and count
as an empty prediction. Crowds and instances without pixels are left out.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Detection
from amodal.results.detections import Detections

SCORE_THRESHOLD = 0.5


@dataclass(frozen=True)
class Pair:
    """An instance and the detection that stands for it, None if missed; `overlap` is the IoU it was chosen by."""

    truth: Annotation
    detection: Detection | None
    overlap: float


@dataclass(frozen=True)
class Paired:
    """An image's pairs, one an instance, and the detections that stand for none."""

    image_id: int
    pairs: list[Pair]
    spare: list[Detection]


def mean(values: Sequence[float]) -> float | None:
    """Of values in any order the same to the bit; None without any."""
    return math.fsum(values) / len(values) if len(values) else None


def assign(
    truth: AnnotationSet, detections: Sequence[Detection], *, score_threshold: float = SCORE_THRESHOLD
) -> Iterator[Paired]:
    """The pairs of each image, in order of image ids; a detection with neither mask takes no part."""
    columns = Detections.of(detections)
    found: dict[int, list[Detection]] = {}
    for detection in columns.take(np.flatnonzero(columns.scores >= score_threshold)):
        if detection.visible or detection.amodal:
            found.setdefault(detection.image_id, []).append(detection)
    for image in sorted(truth.images, key=lambda image: image.id):
        yield assign_image(image.id, truth.by_image.get(image.id, []), found.get(image.id, []))


def assign_image(image_id: int, instances: Sequence[Annotation], found: Sequence[Detection]) -> Paired:
    """The pairs of one image, of detections with a mask that score enough."""
    objects = [a for a in instances if not a.is_crowd and rle.areas([a.amodal])[0]]
    by_visible = all(d.visible for d in found)
    overlaps = rle.ious(
        [a.visible if by_visible else a.amodal for a in objects],
        [mask for d in found if (mask := d.visible if by_visible else d.amodal)],
    )
    rows, columns = linear_sum_assignment(overlaps, maximize=True)
    chosen = {int(r): int(c) for r, c in zip(rows, columns, strict=True) if overlaps[r, c] > 0}
    pairs = [
        Pair(instance, found[chosen[place]], float(overlaps[place, chosen[place]]))
        if place in chosen
        else Pair(instance, None, 0.0)
        for place, instance in enumerate(objects)
    ]
    taken = set(chosen.values())
    return Paired(image_id, pairs, [d for place, d in enumerate(found) if place not in taken])
