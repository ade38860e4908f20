"""labelme's files: one JSON an image, shapes with a label and a group id.

An object is drawn twice: once whole, once as far as it is seen. The two are told apart and paired

* by the label's ending: `cup_amodal` and `cup_visible` (also with a space, "-", ":" or "." between), paired by their
  group id, or else by a number at the end (`cup_visible_2`), or else by the amodal shape that covers it most;
* without an ending, by the group id alone: of two shapes of the same label and group, one mostly within the other,
  the larger is amodal. Other shapes of one group are parts of one object.

An object drawn once is fully visible, unless its amodal shape has the flag `hidden`.
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.data import labelme_shapes, outlines
from amodal.data.contents import Contents, Record
from amodal.data.json_stream import SmallFile
from amodal.data.problems import Problem, Refused
from amodal.data.records import inside, size_of
from amodal.files import write_json
from amodal.rle import Rle

_LABEL = re.compile(r"(?P<name>.+?)[ _.:-](?P<role>amodal|visible)(?:[ _.:-]?(?P<number>\d+))?", re.IGNORECASE)


@dataclass
class _Object:
    """The shapes of one object; `plain` ones carry no ending in their label."""

    label: str
    amodal: list[Rle] = field(default_factory=list)
    visible: list[Rle] = field(default_factory=list)
    plain: list[Rle] = field(default_factory=list)
    is_hidden: bool = False


def contents(path: Path, documents: list[SmallFile], images: Path | None) -> Contents:
    """What labelme's files state. Images and objects are numbered from 1 in the order of the files' names.

    Args:
        path: The file or folder, for messages.
        documents: Its files.
        images: The image folder; otherwise each `imagePath` starts from its file's own folder.
    """
    folder, names = _image_names(documents, images)
    listed: list[dict[str, Any]] = []
    found: list[tuple[int, str, _Object]] = []
    problems: list[Record | Problem] = []
    for number, (document, file_name) in enumerate(zip(documents, names, strict=True), start=1):
        size = {"height": document.members.get("imageHeight"), "width": document.members.get("imageWidth")}
        listed.append({"id": number, "file_name": file_name, **size})
        try:
            objects = _objects(
                document.members.get("shapes"), size_of(listed[-1], folder), document.path.name, problems
            )
        except Refused as refused:
            problems.append(Problem(refused.kind, document.path.name, refused.detail))
            continue
        found += [(number, f"{document.path.name} {thing.label}", thing) for thing in objects]
    labels = sorted({thing.label for _, _, thing in found})
    records = [
        _record(place, number, name, thing, labels) for place, (number, name, thing) in enumerate(found, start=1)
    ]
    categories = [{"id": number, "name": label} for number, label in enumerate(labels, start=1)]
    return Contents(path, "labelme", listed, categories, [*problems, *records], folder)


def _image_names(documents: list[SmallFile], images: Path | None) -> tuple[Path, list[str]]:
    """The image folder and each document's image in it."""
    stated = [str(d.members.get("imagePath") or f"{d.path.stem}.jpg").replace("\\", "/") for d in documents]
    if images is not None:  # `imagePath` tells of the annotator's own folders
        return images, [n if ".." not in n and (images / n).is_file() else PurePosixPath(n).name for n in stated]
    paths = [os.path.normpath(d.path.parent / name) for d, name in zip(documents, stated, strict=True)]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 - paths are text here
    return Path(folder), [os.path.relpath(path, folder) for path in paths]


def _objects(shapes: Any, size: tuple[int, int], file_name: str, problems: list[Record | Problem]) -> list[_Object]:
    """The objects of one image, from its shapes; what cannot be used is added to `problems`."""
    if not isinstance(shapes, list):
        raise Refused("bad_record", "no list 'shapes'")
    keyed: dict[tuple[str, str], _Object] = {}
    single: list[_Object] = []
    loose: list[tuple[str, str, Rle]] = []
    for place, shape in enumerate(shapes, start=1):
        name = f"{file_name} shape {place}"
        try:
            label, mask = labelme_shapes.parse(shape, size)
        except Refused as refused:
            problems.append(Problem(refused.kind, name, refused.detail))
            continue
        match = _LABEL.fullmatch(label)
        label, role = (match["name"], match["role"].lower()) if match else (label, "plain")
        group = shape.get("group_id")
        key = f"group {group}" if group is not None else (match and match["number"])
        if key is None and role == "visible":
            loose.append((name, label, mask))
            continue
        if key is None:
            single.append(_Object(label))
        thing = single[-1] if key is None else keyed.setdefault((label, key), _Object(label))
        getattr(thing, role).append(mask)
        thing.is_hidden |= role == "amodal" and _flag(shape, "hidden")
    for name, label, mask in loose:
        _pair(name, label, mask, single, problems)
    return [*keyed.values(), *single]


def _flag(shape: dict[str, Any], name: str) -> bool:
    flags = shape.get("flags")
    return isinstance(flags, dict) and flags.get(name) is True


def _pair(name: str, label: str, mask: Rle, objects: list[_Object], problems: list[Record | Problem]) -> None:
    """Gives a visible shape without group or number to the amodal shape of its label that covers it most."""
    candidates = [thing for thing in objects if thing.label == label and thing.amodal]
    shares = [rle.areas([rle.intersect(mask, thing.amodal[0])])[0] for thing in candidates]
    if not shares or max(shares) * 2 < rle.areas([mask])[0]:
        problems.append(Problem("unpaired", name, f"no shape '{label}_amodal' covers this visible one"))
    else:
        candidates[shares.index(max(shares))].visible.append(mask)


def _record(place: int, image_id: int, name: str, thing: _Object, labels: list[str]) -> Record | Problem:
    amodal, visible = thing.amodal, thing.visible
    if not amodal and not visible and len(thing.plain) == 2:
        amodal, visible = _nested(thing.plain)
    elif amodal and not visible:
        visible = thing.plain
    else:
        amodal = [*amodal, *thing.plain]
    if not amodal:
        return Problem("unpaired", name, "it has a visible shape and no amodal one")
    whole = rle.union(amodal)
    seen = rle.union(visible) if visible else rle.subtract(whole, whole) if thing.is_hidden else None
    return Record(name, place, image_id, labels.index(thing.label) + 1, whole, seen)


def _nested(masks: list[Rle]) -> tuple[list[Rle], list[Rle]]:
    """Two shapes as (amodal, visible) if the smaller lies mostly within the larger, else as parts of one object."""
    small, large = sorted(masks, key=lambda mask: int(rle.areas([mask])[0]))
    common, area = rle.areas([rle.intersect(small, large), small])
    return ([large], [small]) if common * 2 > area else (masks, [])


HOLDS = frozenset({"amodal", "visible", "hidden_objects", "crowds"})


def write(annotation_set: AnnotationSet, folder: Path) -> None:
    """Writes one JSON an image into `folder`: every mask to the pixel, paired by group id.

    Ids, depth order and crowds have no place in it.
    """
    names = {category.id: category for category in annotation_set.categories}
    for image in annotation_set.images:
        path = folder / inside(image.file_name).with_suffix(".json")
        image_path = inside(image.file_name).name  # beside it, where nobody knows better
        if annotation_set.image_folder is not None:
            image_path = os.path.relpath(annotation_set.image_folder / image.file_name, path.parent)
        shapes = [
            shape
            for group, annotation in enumerate(annotation_set.by_image[image.id], start=1)
            for shape in shapes_of(annotation, names[annotation.category_id], group)
        ]
        write_json(path, page(image, Path(image_path).as_posix(), shapes), indent=1)


def page(image: ImageRecord, image_path: str, shapes: list[dict[str, Any]]) -> dict[str, Any]:
    """The content of one image's file; `image_path` is relative to that file."""
    return {
        "version": "5.5.0",
        "flags": {},
        "shapes": shapes,
        "imagePath": image_path,
        "imageData": None,
        "imageHeight": image.height,
        "imageWidth": image.width,
    }


def shapes_of(annotation: Annotation, category: Category, group: int) -> list[dict[str, Any]]:
    """The polygons of one object, whole and as far as it is seen; `group` pairs them."""
    flags = {} if rle.areas([annotation.visible])[0] else {"hidden": True}
    return [
        {
            "label": f"{category.name}_{role}",
            "points": [[x, y] for x, y in zip(polygon[0::2], polygon[1::2], strict=True)],
            "group_id": group,
            "description": "",
            "shape_type": "polygon",
            "flags": flags,
        }
        for role, mask in (("amodal", annotation.amodal), ("visible", annotation.visible))
        for polygon in outlines.polygons(mask)
    ]
