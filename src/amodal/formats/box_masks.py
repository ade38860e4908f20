"""A box in place of a mask: four numbers where a polygon has six or more."""

from typing import Any


def is_box(mask: Any) -> bool:
    """Whether a mask as files state it is a box, or several: [x, y, width, height], or a list of those."""
    if not isinstance(mask, list) or not mask:
        return False
    parts = mask if all(isinstance(part, list) for part in mask) else [mask]
    return all(len(part) == 4 and all(_is_number(value) for value in part) for part in parts)


def rectangles(mask: list[Any], size: tuple[int, int]) -> list[list[float]]:
    """The polygons of boxes: xywh as COCO has them, or xyxy where an xywh would leave the image of `size` (H, W)."""
    parts = mask if isinstance(mask[0], list) else [mask]
    return [_polygon(part, size) for part in parts]


def _polygon(box: list[float], size: tuple[int, int]) -> list[float]:
    x, y, third, fourth = box
    fits = x + third <= size[1] + 0.5 and y + fourth <= size[0] + 0.5
    right, bottom = (x + third, y + fourth) if fits or third <= x or fourth <= y else (third, fourth)
    return [x, y, right, y, right, bottom, x, bottom]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
