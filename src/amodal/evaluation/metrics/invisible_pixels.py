"""Where an object is invisible: does its amodal probability mean what it says? Needs a model: files hold masks."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float32

from amodal import rle
from amodal.annotations import Annotation, Detection
from amodal.boxed_masks import pixel_boxes, stretch
from amodal.evaluation.matching.pairs import SCORE_THRESHOLD, assign_image
from amodal.evaluation.metrics.calibration import Bins


def invisible_pixels(
    found: Sequence[Detection], probabilities: Float32[np.ndarray, "N S S"], objects: Sequence[Annotation]
) -> Bins:
    """The amodal probabilities of one image's detections at the pixels where their objects are invisible.

    Of each detection that stands for an instance (`amodal.evaluation.matching.pairs`) all pixels of its box count, but
    for those of the instance's **true** visible mask: there the answer is in plain sight. Which pixels count thus
    depends on no prediction but the box. A pixel came true where the true amodal mask has it.

    Args:
        found: The detections, each with its box and masks.
        probabilities: Of each, over its box.
        objects: The image's instances.
    """
    place = {id(detection): number for number, detection in enumerate(found)}
    bins = Bins.of([], [])
    for pair in assign_image(0, objects, [d for d in found if d.score >= SCORE_THRESHOLD]).pairs:
        if pair.detection and pair.detection.box:
            box = np.array(pair.detection.box, dtype=np.float32)
            own = probabilities[place[id(pair.detection)]]
            bins += _bins(own, box, *rle.decode([pair.truth.amodal, pair.truth.visible], _size(pair.truth)))
    return bins


def _bins(
    probabilities: Float32[np.ndarray, "S S"],
    box: Float32[np.ndarray, "4"],
    amodal: Bool[np.ndarray, "H W"],
    visible: Bool[np.ndarray, "H W"],
) -> Bins:
    left, top, right, bottom = pixel_boxes(box[None], (amodal.shape[0], amodal.shape[1]))[0].tolist()
    if right <= left or bottom <= top:
        return Bins.of([], [])
    stretched = stretch(probabilities, box, (left, top, right, bottom))
    unseen = ~visible[top:bottom, left:right]
    return Bins.of(stretched[unseen], amodal[top:bottom, left:right][unseen])


def _size(instance: Annotation) -> tuple[int, int]:
    height, width = instance.amodal["size"]
    return height, width
