"""What `amodal predict` writes into its folder: the names of its images, and all of it read as annotations."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amodal.annotations import Extra
from amodal.errors import UserError
from amodal.files import read_json
from amodal.formats.contents import Contents, Record, called, extra_of
from amodal.formats.problems import Problem

RESULTS, IMAGES = "predictions.json", "images.json"
ABOUT = "results"
"""In `IMAGES`, the name of the results file beside it that it is about; `RESULTS` where it does not say."""
KEYS = frozenset({"id", "image_id", "category_id", "segmentation", "visible_mask", "bbox", "depth_order"})


def images_file(images: list[dict[str, Any]], categories: list[dict[str, Any]], results: str) -> dict[str, Any]:
    """What names the images and categories of a results file, which is called `results` and lies in the same folder."""
    return {ABOUT: results, "images": images, "categories": categories}


def contents(folder: Path, images: Path | None) -> Contents:
    """What the folder states: every detection as an object, its score kept. Raises UserError for a missing file."""
    detections, about = read_json(folder / RESULTS), read_json(folder / IMAGES)
    listed = about.get("images") if isinstance(about, dict) else None
    categories = about.get("categories") if isinstance(about, dict) else None
    if not isinstance(detections, list) or not isinstance(listed, list) or not isinstance(categories, list):
        raise UserError(
            f"{RESULTS} or {IMAGES} is not what `amodal predict` writes", file=folder, remedy="Predict again"
        )
    place, named = _from_one_folder(listed)
    return Contents(folder, "predictions", named, categories, _records(detections), images or place)


def _from_one_folder(listed: list[Any]) -> tuple[Path | None, list[Any]]:
    """The folder that all images lie in, and the images with their names from there."""
    paths = [os.path.abspath(raw["file_name"]) for raw in listed if _is_named(raw)]  # noqa: PTH100 - paths are text here
    if not paths:
        return None, listed
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120
    names = iter(os.path.relpath(path, folder) for path in paths)
    return Path(folder), [raw | {"file_name": next(names)} if _is_named(raw) else raw for raw in listed]


def _is_named(raw: Any) -> bool:
    name = raw.get("file_name") if isinstance(raw, dict) else None
    return isinstance(name, str) and bool(name) and "\0" not in name


def _records(detections: list[Any]) -> Iterator[Record | Problem]:
    for place, raw in enumerate(detections):
        name = called("detection", None, place)
        if not isinstance(raw, dict):
            yield Problem("bad_record", name, "not a JSON object")
            continue
        amodal, visible = raw.get("segmentation"), raw.get("visible_mask")
        amodal = visible if amodal is None else amodal
        if amodal is None and raw.get("bbox") is not None:
            amodal = [raw["bbox"]]
        extra: Extra | None = extra_of(raw, KEYS)
        about = (raw.get("image_id"), raw.get("category_id"))
        yield Record(name, place + 1, *about, amodal, visible, depth_order=raw.get("depth_order"), extra=extra)
