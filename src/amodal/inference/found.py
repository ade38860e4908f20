"""What a model found in an image before its masks are drawn: small masks over boxes. No torch here."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, Int64

from amodal.annotations import Category
from amodal.inference.result import Result


@dataclass(frozen=True)
class Found:
    """Objects of one image, with masks as probabilities over each object's box.

    Attributes:
        boxes: Around the whole objects, xyxy in pixels of the image.
        labels: From 1.
        scores: In [0, 1].
        amodal: Whole objects; None for a model of visible masks only.
        visible: Seen parts; None for a model of amodal masks only.
    """

    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float32[np.ndarray, " N"]
    amodal: Float32[np.ndarray, "N S S"] | None
    visible: Float32[np.ndarray, "N S S"] | None

    def result(self, size: tuple[int, int], categories: Sequence[Category], score_threshold: float = 0.0) -> Result:
        """The objects that score at least the threshold, masks in an image of `size` (height, width).

        Visible masks are kept within the amodal ones.
        """
        keep = self.scores >= score_threshold
        boxes = self.boxes[keep]
        amodal = None if self.amodal is None else paste(self.amodal[keep], boxes, size)
        visible = None if self.visible is None else paste(self.visible[keep], boxes, size)
        if amodal is not None and visible is not None:
            visible &= amodal
        return Result(boxes, self.labels[keep], self.scores[keep], tuple(categories), amodal, visible)


def paste(
    probabilities: Float32[np.ndarray, "R S S"],
    boxes: Float32[np.ndarray, "R 4"],
    size: tuple[int, int],
    threshold: float = 0.5,
) -> Bool[np.ndarray, "R H W"]:
    """`amodal.masks.paste` without torch: masks stretched over their boxes, bilinear, on where > `threshold`."""
    height, width = size
    image_masks = np.zeros((len(boxes), height, width), dtype=bool)
    for mask, box, image_mask in zip(probabilities, boxes, image_masks, strict=True):
        low, high = box[:2].clip(0, (width, height)), box[2:].clip(0, (width, height))
        (left, top), (right, bottom) = np.floor(low).astype(int), np.ceil(high).astype(int)
        if right > left and bottom > top:
            across = _interpolation(box[0], box[2], range(left, right), mask.shape[1])
            down = _interpolation(box[1], box[3], range(top, bottom), mask.shape[0])
            image_mask[top:bottom, left:right] = down @ mask @ across.T > threshold
    return image_masks


def _interpolation(low: np.float32, high: np.float32, pixels: range, side: int) -> Float32[np.ndarray, "P S"]:
    """Weights that take `side` cells over [low, high) to the centres of the pixels, zero beyond the cells."""
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5)
    places = (centres - low) / max(high - low, np.float32(1e-6)) * np.float32(side) - np.float32(0.5)
    return (1 - np.abs(places[:, None] - np.arange(side, dtype=np.float32))).clip(min=0)
