"""The regions of one of Label Studio's tasks as shapes: polygons, boxes, ellipses, brush masks."""

from collections.abc import Iterator
from typing import Any

from amodal import rle
from amodal.formats import label_studio_brush
from amodal.formats.contents import Record
from amodal.formats.drawn_twice import Shape, category_of
from amodal.formats.outline_shapes import Point, box, ellipse, flat, turned
from amodal.formats.problems import Problem, RejectedRecord, shortened
from amodal.rle import Rle

Problems = list[Record | Problem]


def shapes(regions: list[Any], size: tuple[int, int], task: str, problems: Problems) -> Iterator[Shape]:
    """The shapes of an image of `size` (height, width); what cannot be used is added to `problems`."""
    labels, groups = _labels(regions), _groups(regions)
    for place, region in enumerate(regions, start=1):
        name = f"{task} region {place}"
        try:
            mask = _mask(region, size)
            label = labels.get(_identity(region, place))
            if mask is not None and label is None:
                raise RejectedRecord("bad_record", "no label")
        except RejectedRecord as refused:
            problems.append(Problem(refused.kind, name, refused.detail))
            continue
        if mask is None or label is None:
            continue  # a relation, a choice, a text or the like
        if region["type"].startswith("rectangle"):
            problems.append(Problem("box_as_mask", name, "its mask is the rectangle"))
        group = groups.get(str(region.get("id"))) if category_of(label) != label else None
        yield Shape(name, label, mask, group, _is_hidden(region))


def _identity(region: dict[str, Any], place: int) -> str:
    """By what the several entries of one region are told to be of one."""
    identity = region.get("id")
    return str(place) if identity is None else f"id {identity}"


def _labels(regions: list[Any]) -> dict[str, str]:
    """The label of each region: in its own entry, or in another one of the same id."""
    found: dict[str, str] = {}
    for place, region in enumerate(regions, start=1):
        value = region.get("value") if isinstance(region, dict) else None
        if not isinstance(value, dict):
            continue
        stated = next(
            (value[key] for key in (region.get("type"), "labels") if isinstance(key, str) and key in value), None
        )
        if isinstance(stated, list) and stated and isinstance(stated[0], str) and stated[0]:
            found.setdefault(_identity(region, place), stated[0])
    return found


def _groups(regions: list[Any]) -> dict[str, str]:
    """A name for each set of regions that relations join, by the regions' ids."""
    group: dict[str, str] = {}
    for region in regions:
        if isinstance(region, dict) and region.get("type") == "relation":
            first, second = str(region.get("from_id")), str(region.get("to_id"))
            old, new = group.get(second, second), group.get(first, first)
            group = {one: new if name == old else name for one, name in group.items()} | {first: new, second: new}
    return group


def _is_hidden(region: dict[str, Any]) -> bool:
    meta = region.get("meta")
    text = meta.get("text") if isinstance(meta, dict) else None
    return isinstance(text, list) and "hidden" in text


def _mask(region: Any, size: tuple[int, int]) -> Rle | None:
    """The mask of a region; None for what is no region of the image. Raises RejectedRecord."""
    if not isinstance(region, dict) or not isinstance(kind := region.get("type"), str):
        raise RejectedRecord("bad_record", "no 'type'")
    if kind.startswith(("keypoint", "vector")):
        raise RejectedRecord("no_area", f"a region of type {shortened(kind)} encloses no area")
    draw = next((draw for start, draw in _DRAW.items() if kind.startswith(start)), None)
    if draw is None and not kind.startswith("brush"):
        return None
    if not isinstance(value := region.get("value"), dict):
        raise RejectedRecord("bad_record", "no 'value'")
    try:
        if draw is None:
            return rle.encode(label_studio_brush.decode(value.get("rle"), size)[None])[0]
        polygon = flat(draw(value, size))
        mask, dropped = rle.from_polygons([polygon], size)
    except ValueError as error:
        raise RejectedRecord("bad_mask", str(error)) from None
    if dropped:
        raise RejectedRecord("bad_mask", f"a polygon of {len(polygon) // 2} points")
    return mask


def _polygon(value: dict[str, Any], size: tuple[int, int]) -> list[Point]:
    try:
        return [(float(x) * size[1] / 100, float(y) * size[0] / 100) for x, y in value.get("points")]  # type: ignore[union-attr]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its points are not pairs of numbers") from None


def _rectangle(value: dict[str, Any], size: tuple[int, int]) -> list[Point]:
    """A box, turned about its upper left corner."""
    left, top, width, height = _numbers(value, ("x", "y", "width", "height"), size)
    return turned(box(left, top, left + width, top + height), (left, top), _rotation(value))


def _ellipse(value: dict[str, Any], size: tuple[int, int]) -> list[Point]:
    x, y, across, down = _numbers(value, ("x", "y", "radiusX", "radiusY"), size)
    return turned(ellipse((x, y), across, down), (x, y), _rotation(value))


def _numbers(value: dict[str, Any], keys: tuple[str, ...], size: tuple[int, int]) -> list[float]:
    """Percents of the width and the height in turn, as pixels."""
    try:
        return [float(value[key]) * size[1 - place % 2] / 100 for place, key in enumerate(keys)]
    except (KeyError, TypeError, ValueError, OverflowError):
        raise ValueError(f"no numbers {', '.join(keys)}") from None


def _rotation(value: dict[str, Any]) -> float:
    try:
        return float(value.get("rotation") or 0)
    except (TypeError, ValueError, OverflowError):
        raise ValueError("its rotation is no number") from None


_DRAW = {"polygon": _polygon, "rectangle": _rectangle, "ellipse": _ellipse}
"""The corners, by how the names of the regions' types begin."""
