"""Label Studio's JSON export: a list of tasks, each an image with regions. Read and written.

Polygons, boxes and ellipses are in percent of the image, brush masks in bits of their own (`label_studio_brush`). A
picture that was turned in the tool makes no difference: regions are stored as they lie in the picture as it came.

Which regions are an object's amodal and which its visible mask is told by the endings of their labels: `drawn_twice`.
A relation between two regions says that they belong together, else the one that covers the other most is taken. The
note `hidden` at an amodal region (its `meta.text`) says that nothing of the object is visible.
"""

import re
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord
from amodal.files import is_file, write_json
from amodal.formats import drawn_twice, image_folder, label_studio_brush, label_studio_regions
from amodal.formats.contents import Contents, Record, called
from amodal.formats.drawn_twice import Thing
from amodal.formats.problems import Problem, RejectedRecord
from amodal.formats.records import size_of

HOLDS = frozenset({"amodal", "visible", "hidden_objects", "crowds"})
_PREFIX = re.compile(r"[0-9a-f]{8}-(.+)")
"""What Label Studio puts before the name of an uploaded file."""


def is_tasks(content: Any) -> bool:
    """Whether this is an export of tasks."""
    return (
        isinstance(content, list)
        and bool(content)
        and all(isinstance(task, dict) and isinstance(task.get("data"), dict) for task in content)
    )


def contents(path: Path, tasks: list[dict[str, Any]], images: Path | None) -> Contents:
    """What an export states. Images have their tasks' ids, objects are numbered from 1."""
    names = [_names(task) for task in tasks]
    folder = image_folder.find(path, [{"file_name": name} for both in names for name in both], images)
    listed: list[dict[str, Any]] = []
    found: list[tuple[Any, str, Thing]] = []
    problems: list[Record | Problem] = []
    for place, (task, candidates) in enumerate(zip(tasks, names, strict=True)):
        name = called("task", task, place)
        regions = _regions(task, name, problems)
        listed.append(_image(task, place, _found(candidates, folder), regions))
        try:
            size = size_of(listed[-1], folder)
        except RejectedRecord:
            continue  # said once, where the images are listed
        things, unpaired = drawn_twice.things(label_studio_regions.shapes(regions, size, name, problems))
        problems += unpaired
        found += [(listed[-1]["id"], f"{name} {thing.label}", thing) for thing in things]
    labels = sorted({thing.label for _, _, thing in found})
    records = [_record(number, *one, labels) for number, one in enumerate(found, start=1)]
    categories = [{"id": number, "name": label} for number, label in enumerate(labels, start=1)]
    return Contents(path, "label-studio", listed, categories, [*problems, *records], folder)


def _record(number: int, image_id: Any, name: str, thing: Thing, labels: list[str]) -> Record | Problem:
    masks = thing.masks()
    if masks is None:
        return drawn_twice.unpaired(name)
    return Record(name, number, image_id, labels.index(thing.label) + 1, *masks)


def _names(task: dict[str, Any]) -> list[str]:
    """What the image's file may be called: its name in the tool, and without what the tool put before it."""
    data = task["data"]
    texts = [data.get("image"), *data.values(), task.get("file_upload")]
    stated = next((text for text in texts if isinstance(text, str) and text), "")
    try:
        address = urlsplit(stated)
        inner = parse_qs(address.query).get("d", [""])[0]  # files of the tool's own machine
    except ValueError:
        return [stated]
    name = inner or PurePosixPath(unquote(address.path)).name
    match = _PREFIX.fullmatch(name)
    return [name, match[1]] if match else [name, *([PurePosixPath(name).name] if inner else [])]


def _found(names: list[str], folder: Path | None) -> str:
    """The first name that is there, else the first."""
    return next((name for name in names if folder is not None and is_file(folder / name)), names[0])


def _regions(task: dict[str, Any], name: str, problems: list[Record | Problem]) -> list[Any]:
    """The regions of the first annotation that was not cancelled; without any, those of a model's prediction."""
    kept: list[list[Any]] = []
    for key in ("annotations", "completions", "predictions"):
        stated = task.get(key)
        for one in stated if isinstance(stated, list) else []:
            if isinstance(one, dict) and isinstance(one.get("result"), list) and not one.get("was_cancelled"):
                kept.append(one["result"])
        if kept:
            break
    if len(kept) > 1:
        problems.append(Problem("second_annotator", name, f"it has {len(kept)} annotations"))
    return kept[0] if kept else []


def _image(task: dict[str, Any], place: int, file_name: str, regions: list[Any]) -> dict[str, Any]:
    sizes = [r for r in regions if isinstance(r, dict) and "original_width" in r]
    stated, start = (sizes[0], "original_") if sizes else (task["data"], "")
    size = {key: stated.get(f"{start}{key}") for key in ("height", "width")}
    return {"id": task.get("id", place + 1), "file_name": file_name, **size}


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes tasks with brush masks, every mask to the pixel, for a project whose pictures lie in local storage.

    A partly hidden object has a region `cup_amodal`, a region `cup_visible` and a relation between them; one that is
    wholly visible, and one that is not visible at all, has the first alone.
    """
    names = {category.id: category.name for category in annotation_set.categories}
    tasks = []
    for image in annotation_set.images:
        regions = [
            region
            for annotation in annotation_set.by_image.get(image.id, [])
            for region in _written(annotation, image, names[annotation.category_id])
        ]
        # The size too, which a task without regions states nowhere else.
        place = f"/data/local-files/?d={quote(image.file_name)}"
        data = {"image": place, "height": image.height, "width": image.width}
        tasks.append({"id": image.id, "data": data, "annotations": [{"result": regions}]})
    write_json(path, tasks)


def _written(annotation: Annotation, image: ImageRecord, name: str) -> list[dict[str, Any]]:
    amodal_area, visible_area = rle.areas([annotation.amodal, annotation.visible]).tolist()
    whole, part = f"{annotation.id}-amodal", f"{annotation.id}-visible"
    first = _region(whole, f"{name}_amodal", annotation.amodal, image)
    if visible_area == amodal_area:
        return [first]
    if not visible_area:
        return [first | {"meta": {"text": ["hidden"]}}]
    relation = {"type": "relation", "from_id": whole, "to_id": part, "direction": "right"}
    return [first, _region(part, f"{name}_visible", annotation.visible, image), relation]


def _region(identity: str, label: str, mask: rle.Rle, image: ImageRecord) -> dict[str, Any]:
    pixels = rle.decode([mask], (image.height, image.width))[0]
    return {
        "id": identity,
        "type": "brushlabels",
        "from_name": "mask",
        "to_name": "image",
        "original_width": image.width,
        "original_height": image.height,
        "image_rotation": 0,
        "value": {"format": "rle", "rle": label_studio_brush.encode(pixels), "brushlabels": [label]},
    }
