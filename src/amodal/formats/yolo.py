"""YOLO's segmentation labels: a text file an image, a line an object, and `data.yaml` with the names.

A line is the class from 0, then x y x y ... in shares of the image's width and height, and where a model wrote it, its
confidence. There is one mask an object: amodal or visible, as one chooses. Several parts of one object are joined by
lines there and back. A line of four numbers after the class is a box: detectors' labels hold no masks.
"""

import json
import re
from pathlib import Path
from typing import Any, Literal, NamedTuple

from amodal import outputs
from amodal.annotations import AnnotationSet, ImageRecord
from amodal.errors import UserError
from amodal.files import found_in, read_text, replacing, require_file
from amodal.formats import image_folder, outlines
from amodal.formats.contents import Contents, Record
from amodal.formats.problems import Problem, RejectedRecord
from amodal.formats.records import size_of

DATA_FILE, LABELS, IMAGES = "data.yaml", "labels", "images"
HOLDS = frozenset({"amodal", "visible", "hidden_objects", "crowd_marks"})  # as there are no crowds in it


def write(annotation_set: AnnotationSet, folder: Path, mask: Literal["amodal", "visible"] = "amodal") -> None:
    """Writes `labels/`, `data.yaml` and, where the image folder is known, a link `images` to it.

    Every mask to the pixel; crowds and objects whose mask is empty are left out.
    """
    written = places(annotation_set, folder)
    outputs.claim(written)
    for image, path in zip(annotation_set.images, written[1:], strict=True):
        annotations = [a for a in annotation_set.by_image[image.id] if not a.is_crowd]
        shapes = outlines.outlines(a.amodal if mask == "amodal" else a.visible for a in annotations)
        lines = [
            " ".join([str(annotation_set.label_of[annotation.category_id] - 1), *_shares(shape, image)])
            for annotation, shape in zip(annotations, shapes, strict=True)
            if shape
        ]
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    names = sorted(annotation_set.categories, key=lambda category: category.id)
    with replacing(folder / DATA_FILE) as temporary:
        listed = "".join(f"  {index}: {json.dumps(category.name)}\n" for index, category in enumerate(names))
        text = f"path: {json.dumps(str(folder.resolve()))}\ntrain: images\nval: images\nnames:\n{listed}"
        temporary.write_text(text, encoding="utf-8")
    image_folder.link(folder / IMAGES, annotation_set.image_folder)


def places(annotation_set: AnnotationSet, folder: Path) -> list[Path]:
    """The files that `write` writes. Raises UserError where two images would share one."""
    return [folder / DATA_FILE, *image_folder.one_each(annotation_set.images, folder / LABELS, ".txt")]


def _shares(polygon: list[int], image: ImageRecord) -> list[str]:
    """Coordinates as shares of the image's sides; 7 digits keep a pixel's edge in an image of any size."""
    sides = (image.width, image.height) * (len(polygon) // 2)
    return [f"{coordinate / side:.7g}" for coordinate, side in zip(polygon, sides, strict=True)]


class Layout(NamedTuple):
    """Where the parts of a data set, or of one of its splits, lie."""

    data_file: Path
    labels: Path
    images: Path


def layout_of(folder: Path) -> Layout | None:
    """That of a whole data set, of Roboflow's `train`, or of ultralytics' `labels/train`; None where it is of none."""
    whole, split = folder.parent / DATA_FILE, folder.parent.parent / DATA_FILE
    if (folder / LABELS).is_dir():
        data_file = next((place for place in (folder / DATA_FILE, whole) if place.exists()), None)
        return None if data_file is None else Layout(data_file, folder / LABELS, folder / IMAGES)
    if folder.parent.name == LABELS and split.exists():
        return Layout(split, folder, folder.parent.parent / IMAGES / folder.name)
    return None


def contents(folder: Path, images: Path | None) -> Contents:
    """What the folder states: `labels/`, the names in `data.yaml`, and the images, which are measured.

    Images and objects are numbered from 1. The masks are taken as amodal, fully visible.
    """
    layout = layout_of(folder)
    if layout is None:
        problem, remedy = f"no folder '{LABELS}' beside {DATA_FILE}", "Give a split, as the folder 'train', or add it"
        raise UserError(problem, file=folder, remedy=remedy)
    labels, photographs = layout.labels, images or layout.images
    picture_of = image_folder.by_stem(photographs)
    listed: list[dict[str, Any]] = []
    records: list[Record | Problem] = []
    for number, path in enumerate(found_in(labels, (".txt",)), start=1):
        stem = path.relative_to(labels)
        name = picture_of(stem.with_suffix("")) or stem.with_suffix(".jpg").as_posix()
        listed.append({"id": number, "file_name": name})
        try:
            height, width = size_of(listed[-1], photographs)
        except RejectedRecord:
            continue  # said once, where the images are listed
        for line, text in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
            if not text.strip():
                continue
            records.append(_record(f"{stem} line {line}", len(records) + 1, number, text, (width, height)))
    names = enumerate(_names(layout.data_file))
    categories = [{"id": index, "name": name} for index, name in names]
    return Contents(folder, "yolo", listed, categories, records, photographs)


def _record(name: str, number: int, image_id: int, text: str, sides: tuple[int, int]) -> Record | Problem:
    try:
        category, *shares = (float(word) for word in text.split())
    except ValueError:
        return Problem("bad_record", name, "not numbers with spaces between")
    # What a model predicted has its confidence at the end, of which the count of the others is odd.
    extra = {"score": shares.pop()} if len(shares) % 2 and len(shares) > 4 else None
    if len(shares) == 4:  # the box of a detector's labels: its middle, width and height
        x, y, width, height = (share * sides[index % 2] for index, share in enumerate(shares))
        box = [x - width / 2, y - height / 2, width, height]
        return Record(name, number, image_id, category, [box], extra=extra)
    polygon = [share * sides[index % 2] for index, share in enumerate(shares)]
    return Record(name, number, image_id, category, [polygon], extra=extra)


def _names(path: Path) -> list[str]:
    """The names of `data.yaml`: `names: [a, b]`, or one a line below as `- a` or `0: a`."""
    text = read_text(require_file(path, remedy="YOLO's folder holds data.yaml with the names"))
    match = re.search(
        r"^names:[ \t]*(\[.*?\])?[^\n]*\n?((?:[ \t]*(?:-|\d+:)[^\n]*\n?)*)", text, re.MULTILINE | re.DOTALL
    )
    if match is None:
        raise UserError("no 'names'", file=path, remedy="Add them, one a line, as '  0: cup'")
    if match[1]:
        words = match[1][1:-1].split(",")
    else:
        words = [re.sub(r"^[ \t]*(-|\d+:)", "", line) for line in match[2].splitlines()]
    return [word.strip().strip("\"'") for word in words if word.strip()]
