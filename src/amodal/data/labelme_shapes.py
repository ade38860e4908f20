"""One shape of a labelme file as a mask: polygon, rectangle, circle, or a mask of pixels."""

import base64
import io
import math
from typing import Any

import numpy as np
from PIL import Image

from amodal import rle
from amodal.data.problems import Refused, shortened
from amodal.rle import Rle


def parse(shape: Any, size: tuple[int, int]) -> tuple[str, Rle]:
    """The label and the mask of a shape, in an image of `size` (height, width). Raises Refused."""
    if not isinstance(shape, dict) or not isinstance(shape.get("label"), str) or not shape["label"]:
        raise Refused("bad_record", "no 'label'")
    kind = shape.get("shape_type", "polygon")
    try:
        points = _points(shape.get("points"))
        if kind == "mask":
            return shape["label"], _pixels(shape.get("mask"), points, size)
        mask, dropped = rle.from_polygons([_polygon(kind, points)], size)
    except ValueError as error:
        raise Refused("bad_mask", str(error)) from None
    if dropped:
        raise Refused("bad_mask", f"a polygon of {len(points)} points")
    return shape["label"], mask


def _points(raw: Any) -> list[tuple[float, float]]:
    try:
        return [(float(x), float(y)) for x, y in raw]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its points are not pairs of numbers") from None


def _polygon(kind: Any, points: list[tuple[float, float]]) -> list[float]:
    if kind == "rectangle" and len(points) == 2:
        (x0, y0), (x1, y1) = points
        points = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    elif kind == "circle" and len(points) == 2:
        (x0, y0), edge = points
        radius = math.dist((x0, y0), edge)
        turns = [2 * math.pi * step / 72 for step in range(72)]
        points = [(x0 + radius * math.cos(turn), y0 + radius * math.sin(turn)) for turn in turns]
    elif kind not in ("polygon", "rectangle", None):
        raise ValueError(f"shape type {shortened(kind)} encloses no area; draw a polygon")
    return [coordinate for point in points for coordinate in point]


def _pixels(text: Any, points: list[tuple[float, float]], size: tuple[int, int]) -> Rle:
    """A mask drawn by labelme's AI tools: a PNG in base64, its upper left corner at the first point."""
    try:
        with Image.open(io.BytesIO(base64.b64decode(text, validate=True))) as image:
            drawn = np.asarray(image.convert("L")) > 0
        left, top = (round(value) for value in points[0])
    except (OSError, SyntaxError, TypeError, ValueError, IndexError, OverflowError, Image.DecompressionBombError):
        raise ValueError("its mask is no image with a place") from None
    height, width = drawn.shape
    if left < 0 or top < 0 or top + height > size[0] or left + width > size[1]:
        raise ValueError("its mask leaves the image")
    pixels = np.zeros((1, *size), dtype=bool)
    pixels[0, top : top + height, left : left + width] = drawn
    return rle.encode(pixels)[0]
