"""What the completer looks at: a square around a visible mask, and the way back into the picture."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageDraw

from amodal import mask_arrays

SIDE = 128
"""Pixels across a crop."""
CONTEXT = 2.2
"""Side of the crop's square over the longer side of the visible mask's box."""
MASKS = ("visible", "others", "others_known", "hull")
"""What lies over the three channels of colour: the visible mask; those of the other objects, where they are known, and
whether they are; the convex hull of the visible mask, without it."""


@dataclass(frozen=True)
class Crop:
    """One object as the completer sees it.

    Attributes:
        inputs: Colours and `MASKS` in [0, 1], float32 (7, SIDE, SIDE).
        square: Where it lies, (left, top, right, bottom) in pixels of the picture; may reach over its border.
    """

    inputs: Float32[np.ndarray, "7 S S"]
    square: tuple[int, int, int, int]


def square_around(
    visible: Bool[np.ndarray, "H W"], context: float = CONTEXT, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[int, int, int, int]:
    """A square around a mask that is not empty, as (left, top, right, bottom).

    Args:
        visible: The mask.
        context: Side over the longer side of the mask's box.
        shift: Of the centre, (across, down), in shares of the square's side.
    """
    rows, columns = mask_arrays.window(visible)
    height, width = rows.stop - rows.start, columns.stop - columns.start
    side = max(round(context * max(height, width)), 8)
    left = round((columns.start + columns.stop) / 2 + shift[0] * side - side / 2)
    top = round((rows.start + rows.stop) / 2 + shift[1] * side - side / 2)
    return int(left), int(top), int(left) + side, int(top) + side


def cut(
    image: UInt8[np.ndarray, "H W 3"],
    visible: Bool[np.ndarray, "H W"],
    others: Bool[np.ndarray, "H W"] | None,
    square: tuple[int, int, int, int],
) -> Crop:
    """The crop of one object.

    Args:
        image: The picture.
        visible: The object's visible mask.
        others: Union of the visible masks of all other objects, where they are known.
        square: Where to look, as `square_around` gives it.
    """
    colours = np.asarray(_look(image, square), dtype=np.float32).transpose(2, 0, 1) / 255
    visible_share = resample(visible, square)
    known = others is not None
    beside = resample(others, square) if others is not None else np.zeros_like(visible_share)
    bent = convex_hull(visible_share >= 0.5) & (visible_share < 0.5)
    flag = np.full_like(visible_share, float(known))
    masks = np.stack([visible_share, beside, flag, bent.astype(np.float32)])
    return Crop(np.concatenate([colours, masks]), square)


def resample(mask: Bool[np.ndarray, "H W"], square: tuple[int, int, int, int]) -> Float32[np.ndarray, "S S"]:
    """The share of each cell of the crop that a mask covers; beyond the picture nothing is."""
    return np.asarray(_look(mask.view(np.uint8) * 255, square), dtype=np.float32) / 255


def _look(pixels: np.ndarray, square: tuple[int, int, int, int]) -> Image.Image:
    """The square resized to `SIDE`; what lies beyond the picture is 0."""
    height, width = pixels.shape[:2]
    left, top, right, bottom = square
    inside = pixels[max(top, 0) : min(bottom, height), max(left, 0) : min(right, width)]
    part = Image.fromarray(np.ascontiguousarray(inside)).crop(
        (min(left, 0), min(top, 0), min(left, 0) + right - left, min(top, 0) + bottom - top)
    )
    return part.resize((SIDE, SIDE), Image.Resampling.BILINEAR, reducing_gap=2.0)


def convex_hull(mask: Bool[np.ndarray, "H W"]) -> Bool[np.ndarray, "H W"]:
    """The pixels within the convex hull of a mask's pixels; the mask itself where it has no area."""
    from scipy.spatial import ConvexHull, QhullError  # late: the first answer does not wait for it

    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) < 2:
        return mask.copy()
    first = mask[rows].argmax(axis=1)
    last = mask.shape[1] - 1 - mask[rows][:, ::-1].argmax(axis=1)
    points = np.concatenate([np.stack([first, rows], 1), np.stack([last, rows], 1)])
    try:
        corners = points[ConvexHull(points).vertices]
    except QhullError:  # all on one line
        return mask.copy()
    drawn = Image.new("1", (mask.shape[1], mask.shape[0]))
    ImageDraw.Draw(drawn).polygon([(int(x), int(y)) for x, y in corners], fill=1, outline=1)
    return np.asarray(drawn) | mask
