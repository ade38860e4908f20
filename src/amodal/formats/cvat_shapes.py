"""One shape of CVAT's XML as a mask: polygon, box, ellipse, or a brush's mask of run lengths in its own box."""

import math
from xml.etree.ElementTree import Element

import numpy as np

from amodal import rle
from amodal.formats.outline_shapes import Point, box, ellipse, flat, turned
from amodal.formats.problems import RejectedRecord, shortened
from amodal.rle import Rle

SHAPES = ("polygon", "box", "ellipse", "mask")
"""Those that enclose an area."""


def parse(shape: Element, size: tuple[int, int]) -> Rle:
    """The mask of a shape in an image of `size` (height, width). Raises RejectedRecord."""
    try:
        if shape.tag == "mask":
            return _pixels(shape, size)
        points = _points(shape) if shape.tag == "polygon" else _turned(shape)
        mask, dropped = rle.from_polygons([flat(points)], size)
    except ValueError as error:
        raise RejectedRecord("bad_mask", str(error)) from None
    if dropped:
        raise RejectedRecord("bad_mask", f"a polygon of {len(points)} points")
    return mask


def number(shape: Element, key: str, default: float | None = None) -> float:
    """A number among a shape's attributes. Raises ValueError where it is none."""
    text = shape.get(key)
    if text is None and default is not None:
        return default
    try:
        value = float(text or "")
    except ValueError:
        raise ValueError(f"'{key}' is {shortened(text)}, not a number") from None
    if not math.isfinite(value):
        raise ValueError(f"'{key}' is {text}")
    return value


def _points(shape: Element) -> list[Point]:
    try:
        pairs = [point.split(",") for point in shape.get("points", "").split(";")]
        return [(float(x), float(y)) for x, y in pairs]
    except ValueError:
        raise ValueError("its points are not pairs of numbers") from None


def _turned(shape: Element) -> list[Point]:
    """The corners of a box or ellipse, turned clockwise about its middle by `rotation` degrees."""
    if shape.tag == "box":
        left, top, right, bottom = (number(shape, key) for key in ("xtl", "ytl", "xbr", "ybr"))
        middle, corners = ((left + right) / 2, (top + bottom) / 2), box(left, top, right, bottom)
    else:
        x, y, across, down = (number(shape, key) for key in ("cx", "cy", "rx", "ry"))
        middle, corners = (x, y), ellipse((x, y), across, down)
    return turned(corners, middle, number(shape, "rotation", 0.0))


def _pixels(shape: Element, size: tuple[int, int]) -> Rle:
    """A brush's mask: `rle` counts its box's pixels row by row, those outside the mask first."""
    left, top, width, height = (round(number(shape, key)) for key in ("left", "top", "width", "height"))
    if width < 1 or height < 1 or left < 0 or top < 0 or left + width > size[1] or top + height > size[0]:
        raise ValueError("its mask leaves the image")
    try:
        counts = np.array([int(count) for count in shape.get("rle", "").split(",")])
    except (ValueError, OverflowError):
        raise ValueError("its run lengths are not whole numbers") from None
    if counts.dtype != np.int64 or counts.min() < 0 or counts.max() > width * height or counts.sum() != width * height:
        raise ValueError(f"its run lengths do not add up to {width} x {height} pixels")
    pixels = np.repeat(np.arange(len(counts)) % 2 == 1, counts).reshape(height, width)
    return rle.from_crop(pixels, left, top, size)


def written(mask: Rle) -> dict[str, str]:
    """A mask's attributes `rle`, `left`, `top`, `width` and `height`; the mask is not empty."""
    pixels, left, top = rle.crop(mask)
    line = pixels.ravel()
    changes = np.flatnonzero(np.diff(line)) + 1
    counts = np.diff(changes, prepend=0, append=line.size).tolist()
    runs = [0, *counts] if line[0] else counts
    height, width = pixels.shape
    place = {"left": left, "top": top, "width": width, "height": height}
    return {"rle": ", ".join(map(str, runs))} | {key: str(value) for key, value in place.items()}
