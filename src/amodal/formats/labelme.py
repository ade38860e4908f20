"""labelme's files: one JSON an image, shapes with a label and a group id.

`drawn_twice` tells which shapes are an object's amodal and which its visible mask; groups are labelme's group ids, and
the flag `hidden` of an amodal shape says that nothing of the object is visible.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from amodal import outputs, rle
from amodal.annotations import Annotation, AnnotationSet, Category, Extra, ImageRecord
from amodal.files import is_file, place_of, write_json
from amodal.formats import drawn_twice, image_folder, labelme_shapes, outlines
from amodal.formats.contents import Contents, Record
from amodal.formats.drawn_twice import Shape, Thing
from amodal.formats.json_stream import SmallFile
from amodal.formats.problems import Problem, RejectedRecord
from amodal.formats.records import inside, size_of

HOLDS = frozenset({"amodal", "visible", "hidden_objects", "crowds", "flags", "description"})


def contents(path: Path, documents: list[SmallFile], images: Path | None) -> Contents:
    """What labelme's files state. Images and objects are numbered from 1 in the order of the files' names.

    Args:
        path: The file or folder, for messages.
        documents: Its files.
        images: The image folder; otherwise each `imagePath` starts from its file's own folder.
    """
    folder, names = _image_names(documents, images)
    listed: list[dict[str, Any]] = []
    found: list[tuple[int, str, Thing]] = []
    problems: list[Record | Problem] = []
    for number, (document, file_name) in enumerate(zip(documents, names, strict=True), start=1):
        size = {"height": document.members.get("imageHeight"), "width": document.members.get("imageWidth")}
        listed.append({"id": number, "file_name": file_name, **size})
        try:
            shapes = _shapes(document.members.get("shapes"), size_of(listed[-1], folder), document.path.name, problems)
        except RejectedRecord as refused:
            problems.append(Problem(refused.kind, document.path.name, refused.detail))
            continue
        things, unpaired = drawn_twice.things(shapes)
        problems += unpaired
        found += [(number, f"{document.path.name} {thing.label}", thing) for thing in things]
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
        return images, [n if ".." not in n and is_file(images / n) else PurePosixPath(n).name for n in stated]
    paths = [os.path.normpath(d.path.parent / name) for d, name in zip(documents, stated, strict=True)]
    folder = os.path.commonpath([os.path.dirname(path) for path in paths])  # noqa: PTH120 - paths are text here
    return Path(folder), [os.path.relpath(path, folder) for path in paths]


def _shapes(shapes: Any, size: tuple[int, int], file_name: str, problems: list[Record | Problem]) -> list[Shape]:
    """The shapes of one image; what cannot be used is added to `problems`."""
    if not isinstance(shapes, list):
        raise RejectedRecord("bad_record", "no list 'shapes'")
    found = []
    for place, shape in enumerate(shapes, start=1):
        name = f"{file_name} shape {place}"
        try:
            label, mask = labelme_shapes.parse(shape, size)
        except RejectedRecord as refused:
            problems.append(Problem(refused.kind, name, refused.detail))
            continue
        group = shape.get("group_id")
        extra = _extra(shape)
        is_hidden = extra.get("flags", {}).pop("hidden", None) is True
        extra = {key: value for key, value in extra.items() if value}
        found.append(Shape(name, label, mask, None if group is None else str(group), is_hidden, extra=extra))
    return found


def _extra(shape: dict[str, Any]) -> Extra:
    """A shape's flags and description, where they are what they should be."""
    flags, description = shape.get("flags"), shape.get("description")
    stated: Extra = {"flags": dict(flags)} if isinstance(flags, dict) else {}
    return stated | ({"description": description} if isinstance(description, str) else {})


def _record(place: int, image_id: int, name: str, thing: Thing, labels: list[str]) -> Record | Problem:
    masks = thing.masks()
    if masks is None:
        return drawn_twice.unpaired(name)
    return Record(name, place, image_id, labels.index(thing.label) + 1, *masks, extra=thing.extra or None)


def write(annotation_set: AnnotationSet, folder: Path) -> None:
    """Writes one JSON an image into `folder`: every mask to the pixel, paired by group id.

    Ids, depth order and crowds have no place in it.
    """
    categories = {category.id: category for category in annotation_set.categories}
    written = places(annotation_set, folder)
    outputs.claim(written)
    for image, path in zip(annotation_set.images, written, strict=True):
        image_path = inside(image.file_name).name  # beside it, where nobody knows better
        if annotation_set.image_folder is not None:
            image_path = os.path.relpath(place_of(annotation_set.image_folder, image.file_name), path.parent)
        shapes = shapes_of(annotation_set.by_image[image.id], categories)
        write_json(path, page(image, Path(image_path).as_posix(), shapes), indent=1)


def places(annotation_set: AnnotationSet, folder: Path) -> list[Path]:
    """The files that `write` writes. Raises UserError where two images would share one."""
    return image_folder.one_each(annotation_set.images, folder, ".json")


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


def shapes_of(annotations: Sequence[Annotation], categories: Mapping[int, Category]) -> list[dict[str, Any]]:
    """The polygons of an image's objects, each whole and as far as it is visible; a group id pairs them."""
    polygons = outlines.polygons(mask for a in annotations for mask in (a.amodal, a.visible))
    return [
        shape
        for group, annotation in enumerate(annotations, start=1)
        for role in ("amodal", "visible")
        for shape in _drawn(annotation, f"{categories[annotation.category_id].name}_{role}", group, next(polygons))
    ]


def _drawn(annotation: Annotation, label: str, group: int, polygons: list[list[int]]) -> list[dict[str, Any]]:
    extra = annotation.extra or {}
    flags = dict(extra["flags"]) if isinstance(extra.get("flags"), dict) else {}
    if not rle.areas([annotation.visible])[0]:
        flags["hidden"] = True
    return [
        {
            "label": label,
            "points": [[x, y] for x, y in zip(polygon[0::2], polygon[1::2], strict=True)],
            "group_id": group,
            "description": extra.get("description", ""),
            "shape_type": "polygon",
            "flags": flags,
        }
        for polygon in polygons
    ]
