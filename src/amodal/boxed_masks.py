"""What a model says of an image, and what it can be asked: small masks over boxes."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Float32, Int64

from amodal import rle

BoxKind = Literal["visible", "amodal"]


@dataclass(frozen=True)
class Prompts:
    """Objects of one image that someone else has found.

    Attributes:
        boxes: xyxy in pixels of the image.
        labels: From 1; None lets the model name them.
        visible: The visible masks, where they are known.
        box_kind: What the boxes surround: the visible parts, as ordinary detectors give them, or the whole objects.
    """

    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"] | None = None
    visible: Bool[np.ndarray, "N H W"] | None = None
    box_kind: BoxKind = "amodal"


class Placed(NamedTuple):
    """One object's masks at the pixels that its box reaches, from (left, top) on."""

    left: int
    top: int
    amodal: Bool[np.ndarray, "h w"] | None
    visible: Bool[np.ndarray, "h w"] | None


@dataclass(frozen=True, eq=False)
class BoxedMasks:
    """Objects of one image, best score first, with masks as probabilities over each object's box.

    An image of many megapixels would need gigabytes for the masks of all its objects: whoever needs pixels pastes.

    Attributes:
        boxes: Around the whole objects, xyxy in pixels of the image.
        labels: From 1.
        scores: In [0, 1].
        amodal: Whole objects; None for a model of visible masks only.
        visible: Visible parts; None for a model of amodal masks only.
        coarse_amodal: The first guess of a model that refines its masks, where it was asked for.
        coarse_visible: Likewise.
    """

    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float32[np.ndarray, " N"]
    amodal: Float32[np.ndarray, "N S S"] | None
    visible: Float32[np.ndarray, "N S S"] | None
    coarse_amodal: Float32[np.ndarray, "N S S"] | None = None
    coarse_visible: Float32[np.ndarray, "N S S"] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def at(self, keep: np.ndarray) -> "BoxedMasks":
        """The objects at `keep`, a bool mask or indices."""
        names = ("amodal", "visible", "coarse_amodal", "coarse_visible")
        masks = {name: None if (value := getattr(self, name)) is None else value[keep] for name in names}
        return BoxedMasks(self.boxes[keep], self.labels[keep], self.scores[keep], **masks)

    @property
    def coarse(self) -> "BoxedMasks | None":
        """The same objects with the coarse masks in place of the refined ones; None where there are none."""
        if self.coarse_amodal is None and self.coarse_visible is None:
            return None
        return replace(self, amodal=self.coarse_amodal, visible=self.coarse_visible)

    def placed(self, size: tuple[int, int]) -> Iterator[Placed]:
        """Each object's masks in an image of `size` (height, width), visible ones kept within the amodal ones."""
        for index, (box, (left, top, right, bottom)) in enumerate(
            zip(self.boxes, pixel_boxes(self.boxes, size).tolist(), strict=True)
        ):
            reached = left, top, max(left, right), max(top, bottom)
            amodal, visible = (
                None if masks is None else stretch(masks[index], box, reached) > 0.5
                for masks in (self.amodal, self.visible)
            )
            if amodal is not None and visible is not None:
                visible &= amodal
            yield Placed(left, top, amodal, visible)

    def pasted(
        self, size: tuple[int, int]
    ) -> tuple[Bool[np.ndarray, "N H W"] | None, Bool[np.ndarray, "N H W"] | None]:
        """Amodal and visible masks of an image of `size` (height, width)."""
        amodal, visible = (
            None if masks is None else np.zeros((len(self), *size), dtype=bool) for masks in (self.amodal, self.visible)
        )
        for index, (left, top, *parts) in enumerate(self.placed(size)):
            for whole, part in zip((amodal, visible), parts, strict=True):
                if whole is not None and part is not None:
                    whole[index, top : top + part.shape[0], left : left + part.shape[1]] = part
        return amodal, visible

    def encoded(self, size: tuple[int, int]) -> tuple[list[rle.Rle] | None, list[rle.Rle] | None]:
        """The same as run lengths, without an image's worth of pixels for each."""
        placed = list(self.placed(size))

        def runs(kind: Literal["amodal", "visible"]) -> list[rle.Rle]:
            return [rle.from_crop(getattr(one, kind), one.left, one.top, size) for one in placed]

        return None if self.amodal is None else runs("amodal"), None if self.visible is None else runs("visible")


def pixel_boxes(boxes: Float32[np.ndarray, "N 4"], size: tuple[int, int]) -> Int64[np.ndarray, "N 4"]:
    """The pixels that boxes reach in an image of `size` (H, W): xyxy rounded outwards. None where right <= left.

    >>> pixel_boxes(np.array([[-3.0, 1.5, 2.5, 9.0]], np.float32), (8, 8)).tolist()
    [[0, 1, 3, 8]]
    """
    reached = boxes.clip(0, [size[1], size[0]] * 2)
    return np.hstack([np.floor(reached[:, :2]), np.ceil(reached[:, 2:])]).astype(np.int64)


def stretch(
    probabilities: Float32[np.ndarray, "S S"], box: Float32[np.ndarray, "4"], reached: tuple[int, int, int, int]
) -> Float32[np.ndarray, "h w"]:
    """One object's mask at the pixels that its box reaches (`pixel_boxes`), bilinear.

    Bilinear interpolation over an axis-aligned box is separable, so that a mask is two small matrix products:
    (h, S) @ (S, S) @ (S, w).
    """
    left, top, right, bottom = reached
    across = _interpolation(box[0], box[2], range(left, right), probabilities.shape[1])
    down = _interpolation(box[1], box[3], range(top, bottom), probabilities.shape[0])
    return down @ probabilities @ across.T


def _interpolation(low: np.float32, high: np.float32, pixels: range, side: int) -> Float32[np.ndarray, "P S"]:
    """Weights that take `side` cells over [low, high) to the centres of the pixels.

    Beyond the outermost cell centres the mask falls linearly to zero within one cell, as zero-padded sampling has it.
    """
    centres = np.arange(pixels.start, pixels.stop, dtype=np.float32) + np.float32(0.5)
    places = (centres - low) / max(high - low, np.float32(1e-6)) * np.float32(side) - np.float32(0.5)
    return (1 - np.abs(places[:, None] - np.arange(side, dtype=np.float32))).clip(min=0)
