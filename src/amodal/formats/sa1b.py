"""Segment Anything's files (SA-1B): one JSON an image, masks without categories.

Every mask is an object of the category "object", and counts as fully visible.
"""

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from amodal.formats import image_folder
from amodal.formats.contents import Contents, Record, called, extra_of
from amodal.formats.json_stream import JsonDocument
from amodal.formats.problems import Problem

KEYS = frozenset({"id", "segmentation", "bbox", "area"})


def is_one(members: dict[str, Any]) -> bool:
    """Whether a file's members are those of such a file."""
    image = members.get("image")
    return isinstance(image, dict) and "image_id" in image


def contents(
    path: Path,
    files: Sequence[tuple[Path, dict[str, Any]]],
    images: Path | None,
    opened: Callable[[Path], JsonDocument] = JsonDocument,
) -> Contents:
    """What files state, each given by its path and its members; they are opened again as their objects are walked."""
    listed = []
    for _, members in files:
        image = dict(members["image"])
        listed.append({"id": image.pop("image_id"), **image})
    folder = image_folder.find(files[0][0], listed, images)
    records = _records([file for file, _ in files], [image["id"] for image in listed], opened)
    return Contents(path, "sa1b", listed, [{"id": 1, "name": "object"}], records, folder)


def _records(
    files: list[Path], image_ids: list[Any], opened: Callable[[Path], JsonDocument]
) -> Iterator[Record | Problem]:
    for file, image_id in zip(files, image_ids, strict=True):
        for place, raw in enumerate(opened(file).annotations()):
            name = f"{file.name} {called('annotation', raw, place)}"
            if not isinstance(raw, dict):
                yield Problem("bad_record", name, "not a JSON object")
                continue
            box, area = raw.get("bbox"), raw.get("area")
            amodal, extra = raw.get("segmentation"), extra_of(raw, KEYS)
            yield Record(name, raw.get("id"), image_id, 1, amodal, box=box, area=area, extra=extra)
