"""COCO's panoptic files: a JSON of segments, and for each image a PNG whose colours are their ids.

Segments of things become objects, fully visible; stuff (categories with `isthing` 0) is left out and counted.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from amodal import rle
from amodal.errors import UserError
from amodal.files import is_file
from amodal.formats import image_folder
from amodal.formats.contents import Contents, Record, called, extra_of
from amodal.formats.json_stream import JsonDocument
from amodal.formats.problems import Problem
from amodal.pictures import read_image

KEYS = frozenset({"id", "category_id", "area", "bbox", "iscrowd"})


def contents(document: JsonDocument, images: Path | None) -> Contents:
    """What the file and its PNGs state. Raises UserError where the PNGs are not found."""
    path = document.path
    listed, categories = (document.members.get(key) for key in ("images", "categories"))
    if not isinstance(listed, list) or not isinstance(categories, list):
        raise UserError("no lists 'images' and 'categories'", file=path, remedy="Export it again")
    is_stuff = [isinstance(c, dict) and c.get("isthing", 1) == 0 for c in categories]
    stuff = [c.get("id") for c, without in zip(categories, is_stuff, strict=True) if without]
    things = [c for c, without in zip(categories, is_stuff, strict=True) if not without]
    records = _records(document, _folder(document), stuff)
    folder = image_folder.find(path, listed, images)
    return Contents(path, "panoptic", listed, things, records, folder, document.members)


def _folder(document: JsonDocument) -> Path:
    """Where the PNGs lie: in a folder of the JSON's name, or beside it."""
    first = next((raw for raw in document.annotations() if isinstance(raw, dict)), {})
    name, path = str(first.get("file_name")), document.path
    for folder in (path.with_suffix(""), path.parent, path.parent.parent / path.stem):
        if is_file(folder / name):
            return folder
    remedy = f"Put the PNGs into {path.with_suffix('')}, or beside the file"
    raise UserError(f"its picture of segments {name} was not found", file=path, remedy=remedy)


def _records(document: JsonDocument, folder: Path, stuff: list[Any]) -> Iterator[Record | Problem]:
    number = 0
    for place, raw in enumerate(document.annotations()):
        name = f"image {raw.get('image_id')}" if isinstance(raw, dict) else f"annotation at place {place}"
        segments = raw.get("segments_info") if isinstance(raw, dict) else None
        if not isinstance(segments, list) or not isinstance(raw.get("file_name"), str):
            yield Problem("bad_record", name, "no list 'segments_info' and 'file_name'")
            continue
        try:
            pixels = read_image(folder / raw["file_name"])
        except UserError as error:
            yield Problem("bad_mask", name, f"{raw['file_name']}: {error.problem}")
            continue
        ids = pixels.astype(np.uint32) @ np.array([1, 1 << 8, 1 << 16], dtype=np.uint32)
        for at, segment in enumerate(segments):
            number += 1
            where = f"{name} {called('segment', segment, at)}"
            if not isinstance(segment, dict) or type(segment.get("id")) is not int:
                yield Problem("bad_record", where, "no 'id'")
            elif segment.get("category_id") in stuff:
                yield Problem("stuff_left_out", where, f"category {segment.get('category_id')}")
            else:
                mask = rle.encode((ids == segment["id"])[None])[0] if 0 <= segment["id"] < 1 << 24 else None
                yield _record(where, number, raw.get("image_id"), segment, mask)


def _record(name: str, number: int, image_id: Any, segment: dict[str, Any], mask: rle.Rle | None) -> Record:
    box, area, crowd = (segment.get(key) for key in ("bbox", "area", "iscrowd"))
    extra = extra_of(segment, KEYS)
    return Record(
        name, number, image_id, segment.get("category_id"), mask, None, None, box, area, None, crowd, extra=extra
    )
