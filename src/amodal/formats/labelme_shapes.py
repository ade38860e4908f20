"""One shape of a labelme file as a mask: polygon, rectangle, circle, or a mask of pixels."""

import base64
import math
from typing import Any

from amodal import rle
from amodal.errors import UserError
from amodal.formats.outline_shapes import box, ellipse, flat
from amodal.formats.problems import RejectedRecord, shortened
from amodal.pictures import read_mask
from amodal.rle import Rle


def parse(shape: Any, size: tuple[int, int]) -> tuple[str, Rle]:
    """The label and the mask of a shape, in an image of `size` (height, width). Raises RejectedRecord."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"]:
        raise RejectedRecord("bad_record", "no 'label'")
    kind = shape.get("shape_type", "polygon")
    try:
        points = _points(shape.get("points"))
        if kind == "mask":
            return shape["label"], _pixels(shape.get("mask"), points, size)
        mask, dropped = rle.from_polygons([_polygon(kind, points)], size)
    except ValueError as error:
        raise RejectedRecord("bad_mask", str(error)) from None
    if dropped:
        raise RejectedRecord("bad_mask", f"a polygon of {len(points)} points")
    return shape["label"], mask


def _points(raw: Any) -> list[tuple[float, float]]:
    try:
        return [(float(x), float(y)) for x, y in raw]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its points are not pairs of numbers") from None


def _polygon(kind: Any, points: list[tuple[float, float]]) -> list[float]:
    if kind == "rectangle" and len(points) == 2:
        points = box(*points[0], *points[1])
    elif kind == "circle" and len(points) == 2:
        radius = math.dist(*points)
        points = ellipse(points[0], radius, radius)
    elif kind not in ("polygon", "rectangle", None):
        raise ValueError(f"shape type {shortened(kind)} encloses no area; draw a polygon")
    return flat(points)


def _pixels(text: Any, points: list[tuple[float, float]], size: tuple[int, int]) -> Rle:
    """A mask drawn by labelme's AI tools: a PNG in base64, its upper left corner at the first point."""
    try:
        drawn = read_mask(base64.b64decode(text, validate=True))
        left, top = (round(value) for value in points[0])
    except (UserError, TypeError, ValueError, IndexError, OverflowError):
        raise ValueError("its mask is no image with a place") from None
    height, width = drawn.shape
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
        raise ValueError("its mask leaves the image")
    return rle.from_crop(drawn, left, top, size)
