"""Pascal VOC's folders: PNGs of objects and of classes, XML with names and boxes. Read here.

`SegmentationObject/*.png` numbers the objects of an image, `SegmentationClass/*.png` its classes, `Annotations/*.xml`
names them by their boxes, `JPEGImages` holds the images. An object's name is that of the XML's box that fits it best,
else of its class: in `labelmap.txt` (CVAT), `class_names.txt` (labelme), or among VOC's twenty. Objects count as fully
visible.
"""

from collections.abc import Iterator
from pathlib import Path, PurePath
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from amodal import rle
from amodal.annotations import Extra
from amodal.errors import UserError
from amodal.files import found_in
from amodal.formats import image_folder, xml_files
from amodal.formats.contents import Contents, Record
from amodal.formats.problems import Problem
from amodal.pictures import read_indices

FOLDER = "SegmentationObject"
TWENTY = (
    *("aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow"),
    *("diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor"),
)
VOID = 255
"""In both PNGs: the line around objects, and what nobody could tell."""
BACKGROUND = ("background", "_background_", "__ignore__")
Box = tuple[float, float, float, float]


def contents(folder: Path, images: Path | None) -> Contents:
    """What the folder states. Images and objects are numbered from 1. Raises UserError for a damaged XML or list."""
    photographs = images or folder / "JPEGImages"
    names = _class_names(folder)
    listed: list[dict[str, Any]] = []
    found: list[tuple[Record | Problem, str]] = []
    picture_of = image_folder.by_stem(photographs)
    for number, path in enumerate(found_in(folder / FOLDER, (".png",)), start=1):
        objects, problem = _indices(path)
        stem = path.relative_to(folder / FOLDER).with_suffix("")
        listed.append({"id": number, "file_name": picture_of(stem) or f"{stem.as_posix()}.jpg"})
        if objects is None:
            found.append((problem or Problem("bad_mask", path.name, "no picture"), ""))
            continue
        listed[-1] |= {"height": objects.shape[0], "width": objects.shape[1]}
        found += _objects(folder, stem, number, objects, names)
    used = {name for _, name in found if name}
    known = list(names.values()) if names else list(TWENTY) if used <= set(TWENTY) else []
    labels = list(dict.fromkeys([*known, *sorted(used)]))
    records = [
        one._replace(id=number, category_id=labels.index(name) + 1) if isinstance(one, Record) else one
        for number, (one, name) in enumerate(found, start=1)
    ]
    categories = [{"id": number, "name": label} for number, label in enumerate(labels, start=1)]
    return Contents(folder, "voc", listed, categories, records, photographs if photographs.is_dir() else None)


def _indices(path: Path) -> tuple[np.ndarray | None, Problem | None]:
    """The numbers of a PNG's pixels, int (H, W): of its palette, or of its colours in the order of VOC's palette."""
    try:
        pixels = read_indices(path)
    except UserError as error:
        return None, Problem("bad_mask", f"{path.parent.name}/{path.name}", error.problem)
    if pixels.ndim == 2:
        return pixels.astype(np.int64), None
    # VOC's palette spreads the bits of a number over the high bits of red, green and blue in turn.
    numbers = sum(
        ((pixels[..., channel] >> (7 - place)) & 1) << (3 * place + channel)
        for place in range(8)
        for channel in range(3)
    )
    return np.asarray(np.where((pixels == (224, 224, 192)).all(axis=-1), VOID, numbers)), None


def _objects(
    folder: Path, stem: PurePath, image_id: int, objects: np.ndarray, names: dict[int, str]
) -> Iterator[tuple[Record | Problem, str]]:
    """The objects of one image, each with its category's name."""
    beside = folder / "SegmentationClass" / f"{stem}.png"
    classes = _indices(beside)[0] if beside.is_file() else None
    if classes is not None and classes.shape != objects.shape:
        yield Problem("mask_size", beside.name, f"{beside.parent.name} is of another size than {FOLDER}"), ""
        return
    boxes = _boxes(folder / "Annotations" / f"{stem}.xml")
    for number in np.unique(objects).tolist():
        if number in (0, VOID):
            continue
        pixels = objects == number
        mask = rle.encode(pixels[None])[0]
        name, extra = _named(mask, boxes)
        if not name and classes is not None:
            most = np.bincount(classes[pixels & (classes != VOID)], minlength=1).argmax()
            name = names.get(int(most), "") if names else (TWENTY[most - 1] if 0 < most <= len(TWENTY) else "")
        name = name or "object"
        yield Record(f"{stem.as_posix()} object {number}", None, image_id, None, mask, extra=extra), name


def _named(mask: rle.Rle, boxes: list[tuple[Box, str, Extra]]) -> tuple[str, Extra | None]:
    """The name and the marks of the XML's object whose box fits a mask by an IoU of one half or more."""
    left, top, width, height = rle.boxes([mask])[0].tolist()
    ious = [_iou((left, top, left + width, top + height), box) for box, _, _ in boxes]
    if not ious or max(ious) < 0.5:
        return "", None
    _, name, extra = boxes[ious.index(max(ious))]
    return name, extra or None


def _iou(first: Box, second: Box) -> float:
    across = min(first[2], second[2]) - max(first[0], second[0])
    down = min(first[3], second[3]) - max(first[1], second[1])
    common = max(across, 0) * max(down, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (first, second)]
    return common / (sum(areas) - common) if sum(areas) > common else 0.0


def _boxes(path: Path) -> list[tuple[Box, str, Extra]]:
    """The objects of an XML: box xyxy in pixels (VOC counts them from 1, both ends inside), name, and marks."""
    if not path.is_file():
        return []
    found = []
    for thing in xml_files.read(path).iter("object"):
        try:
            left, top, right, bottom = (
                float(thing.findtext(f"bndbox/{key}", "")) for key in ("xmin", "ymin", "xmax", "ymax")
            )
        except ValueError:
            raise UserError("an object's box is not four numbers", file=path, remedy="Correct it") from None
        found.append(((left - 1, top - 1, right, bottom), thing.findtext("name", "").strip(), _marks(thing)))
    return found


def _marks(thing: Element) -> Extra:
    return {
        mark.tag: mark.text
        for mark in thing
        if mark.tag in ("pose", "truncated", "difficult", "occluded") and mark.text
    }


def _class_names(folder: Path) -> dict[int, str]:
    """Names by the numbers of the PNGs of classes; empty where no file lists them."""
    for name in ("labelmap.txt", "class_names.txt"):
        if (folder / name).is_file():
            lines = (folder / name).read_text(encoding="utf-8", errors="replace").splitlines()
            stated = [line.split(":")[0].strip() for line in lines if line.strip() and not line.startswith("#")]
            listed = [name for name in stated if name != "__ignore__"]
            return {number: name for number, name in enumerate(listed) if name not in BACKGROUND}
    return {}
