"""The objects of FiftyOne's samples, as records: `Detection`s with a mask, or with a box alone."""

from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any

from amodal import rle
from amodal.annotations import Extra
from amodal.formats import fiftyone_masks
from amodal.formats.contents import Record
from amodal.formats.problems import Problem, RejectedRecord, shortened


def is_list(value: Any) -> bool:
    """Whether a field of a sample holds a list of objects."""
    return isinstance(value, dict) and value.get("_cls") == "Detections" and isinstance(value.get("detections"), list)


def _of(sample: dict[str, Any], field: str) -> list[Any]:
    return sample[field]["detections"] if is_list(sample.get(field)) else []


def objects(
    sample: dict[str, Any], field: str, image: dict[str, Any], size: tuple[int, int]
) -> Iterator[tuple[Record | Problem, str]]:
    """The objects of a sample with their labels; ids are given later."""
    visible_of: dict[Any, rle.Rle] | None = None
    if field == "amodal" and is_list(sample.get("visible")):
        visible_of = {}
        for place, raw in enumerate(_of(sample, "visible")):
            name = f"{image['file_name']} visible {place + 1}"
            try:
                index = _index(raw)  # also sees to it that this is an object
                visible_of[index] = _mask(raw, size)
            except RejectedRecord as refused:
                yield Problem(refused.kind, name, refused.detail), ""
    for place, raw in enumerate(_of(sample, field)):
        name = f"{image['file_name']} {field} {place + 1}"
        try:
            yield _record(name, raw, image["id"], size, visible_of), str(raw["label"])
        except RejectedRecord as refused:
            yield Problem(refused.kind, name, refused.detail), ""
    for index in visible_of or {}:
        yield Problem("unpaired", f"{image['file_name']} index {index}", "its field 'amodal' has no such index"), ""


def _index(raw: Any) -> Any:
    index = raw.get("index") if isinstance(raw, dict) else None
    if type(index) is not int:
        raise RejectedRecord("unpaired", "no 'index' that tells whose visible mask it is")
    return index


def _record(name: str, raw: Any, image_id: int, size: tuple[int, int], visible_of: dict[Any, rle.Rle] | None) -> Record:
    if not isinstance(raw, dict) or not isinstance(raw.get("label"), str) or not raw["label"]:
        raise RejectedRecord("bad_record", "no 'label'")
    index, score = (
        value if isinstance(value, int | float) else None for value in map(raw.get, ("index", "confidence"))
    )
    extra: Extra | None = None if score is None else {"score": score}
    visible = None if visible_of is None else visible_of.pop(index, rle.from_runs([size[0] * size[1]], size))
    crowd, stuff, order = (raw.get(key) for key in ("iscrowd", "is_stuff", "depth_order"))
    amodal: Any = _mask(raw, size) if raw.get("mask") is not None else [_box_in_pixels(raw, size)]
    return Record(
        name, index, image_id, None, amodal, visible, is_crowd=crowd, is_stuff=stuff, depth_order=order, extra=extra
    )


def _mask(raw: dict[str, Any], size: tuple[int, int]) -> rle.Rle:
    try:
        return fiftyone_masks.decode(raw.get("mask"), _box(raw), size)
    except ValueError as error:
        raise RejectedRecord("bad_mask", str(error)) from None


def _box(raw: dict[str, Any]) -> tuple[float, float, float, float]:
    stated = raw.get("bounding_box")
    numbers = stated if isinstance(stated, list) and len(stated) == 4 else []
    if not numbers or not all(isinstance(one, int | float) and isfinite(one) and abs(one) < 1e6 for one in numbers):
        raise RejectedRecord("bad_record", f"its 'bounding_box' is {shortened(stated)}, not four shares of the image")
    return numbers[0], numbers[1], numbers[2], numbers[3]


def _box_in_pixels(raw: dict[str, Any], size: tuple[int, int]) -> list[float]:
    x, y, width, height = _box(raw)
    return [x * size[1], y * size[0], width * size[1], height * size[0]]


def numbered(found: Iterable[tuple[Record | Problem, str]], labels: list[str]) -> Iterator[Record | Problem]:
    """The records with ids and categories: their own indices, where all have one and none is used twice."""
    found = list(found)
    own = [one.id for one, _ in found if isinstance(one, Record)]
    are_ids = all(type(one) is int for one in own) and len(set(own)) == len(own)
    number = 0
    for one, label in found:
        if isinstance(one, Record):
            number += 1
            one = one._replace(id=one.id if are_ids else number, category_id=labels.index(label) + 1)  # noqa: PLW2901
        yield one
