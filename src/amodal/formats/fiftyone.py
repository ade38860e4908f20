"""FiftyOne's data sets on disk (`fiftyone.types.FiftyOneDataset`): `metadata.json`, `samples.json`, `data/`.

What is written has a field `amodal` and a field `visible`, each a list of `Detection`s with a mask cropped to its box;
an object's two have one `index`. It takes the form that FiftyOne wrote before its version 0.8 and reads ever since:
that one names no version, and no ids of a database. What FiftyOne exports itself is read, too.
"""

import os
from math import inf, nextafter
from pathlib import Path
from typing import Any, Literal

from amodal import outputs, rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord
from amodal.errors import UserError
from amodal.files import read_json, write_json
from amodal.formats import fiftyone_masks, fiftyone_objects, image_folder
from amodal.formats.contents import Contents, Record
from amodal.formats.problems import Problem, RejectedRecord
from amodal.formats.records import inside, size_of
from amodal.mask_arrays import occlusion_rates

FILE = "metadata.json"
SAMPLES = "samples.json"
HOLDS = frozenset(
    {"amodal", "visible", "hidden_objects", "crowds", "crowd_marks", "stuff", "depth_order", "ids", "score"}
)
FIELDS = ("amodal", "visible", "ground_truth")
"""The fields of samples that are looked for, the first one first."""


def write(annotation_set: AnnotationSet, folder: Path) -> None:
    """Writes both files and, where the image folder is known, a link `data` to it. Every mask to the pixel."""
    names = [(Path("data") / inside(image.file_name)).as_posix() for image in annotation_set.images]
    outputs.claim(places(annotation_set, folder))
    labels = {category.id: category.name for category in annotation_set.categories}
    samples = []
    for image, name in zip(annotation_set.images, names, strict=True):
        objects = annotation_set.by_image[image.id]
        size = {"_cls": "ImageMetadata", "width": image.width, "height": image.height}
        both = {field: _detections(objects, image, labels, field) for field in ("amodal", "visible")}
        samples.append({"filepath": name, "tags": [], "metadata": size, **both})
    write_json(folder / SAMPLES, {"samples": samples})
    ordered = sorted(annotation_set.categories, key=lambda category: category.id)
    info = {"default_classes": [category.name for category in ordered]}
    write_json(folder / FILE, {"media_type": "image", "info": info})
    image_folder.link(folder / "data", annotation_set.image_folder)


def places(_: AnnotationSet, folder: Path) -> list[Path]:
    """The files that `write` writes."""
    return [folder / FILE, folder / SAMPLES]


def _detections(
    objects: list[Annotation], image: ImageRecord, labels: dict[int, str], field: Literal["amodal", "visible"]
) -> dict[str, Any]:
    masks: list[rle.Rle] = [getattr(one, field) for one in objects]
    whole, visible = (rle.areas([getattr(one, name) for one in objects]) for name in ("amodal", "visible"))
    rates = occlusion_rates(whole, visible).tolist()
    found = [
        _detection(one, mask, image, labels[one.category_id]) | {"occlusion_rate": rate}
        for one, mask, rate, area in zip(objects, masks, rates, rle.areas(masks).tolist(), strict=True)
        if area
    ]
    return {"_cls": "Detections", "detections": found}


def _detection(annotation: Annotation, mask: rle.Rle, image: ImageRecord, label: str) -> dict[str, Any]:
    pixels, left, top = rle.crop(mask)
    x, width = shares(left, pixels.shape[1], image.width)
    y, height = shares(top, pixels.shape[0], image.height)
    stated: dict[str, Any] = {
        "_cls": "Detection",
        "label": label,
        "bounding_box": [x, y, width, height],
        "mask": fiftyone_masks.encode(pixels),
        "index": annotation.id,
        "iscrowd": int(annotation.is_crowd),
    }
    more = {"depth_order": annotation.depth_order, "confidence": (annotation.extra or {}).get("score")}
    more |= {"is_stuff": True} if annotation.is_stuff else {}
    return stated | {key: value for key, value in more.items() if value is not None}


def shares(start: int, length: int, side: int) -> tuple[float, float]:
    """Where a box begins and how long it is, in shares of the image's side, never a hair short of the pixels.

    FiftyOne cuts `side * share` down to whole pixels: without this a third of the masks would be drawn a pixel smaller.
    """
    first = start / side
    while int(side * first) < start:
        first = nextafter(first, inf)
    across = length / side
    while int(side * (first + across)) < start + length:
        across = nextafter(across, inf)
    return first, across


def contents(folder: Path, images: Path | None) -> Contents:
    """What the folder states. Images are numbered from 1; objects too, where they have no `index` each of its own.

    Raises:
        UserError: It is none of FiftyOne's, or has several fields of objects of which none is called as in `FIELDS`.
    """
    samples, classes = _samples(folder), _classes(folder)
    listed, place = _images(samples, folder, images)
    field = _field(samples, folder)
    found: list[tuple[Record | Problem, str]] = []
    for sample, image in zip(samples, listed, strict=True):
        try:
            size = size_of(image, place)
        except RejectedRecord:
            continue  # said once, where the images are listed
        found += fiftyone_objects.objects(sample, field, image, size)
    labels = list(dict.fromkeys([*classes, *sorted({label for _, label in found if label})]))
    categories = [{"id": number, "name": label} for number, label in enumerate(labels, start=1)]
    return Contents(folder, "fiftyone", listed, categories, list(fiftyone_objects.numbered(found, labels)), place)


def _samples(folder: Path) -> list[dict[str, Any]]:
    content = read_json(folder / SAMPLES)
    samples = content.get("samples") if isinstance(content, dict) else None
    if not isinstance(samples, list) or not all(isinstance(s, dict) and s.get("filepath") for s in samples):
        remedy = "Export it as fiftyone.types.FiftyOneDataset"
        raise UserError("no list 'samples' whose members have a 'filepath'", file=folder / SAMPLES, remedy=remedy)
    return samples


def _classes(folder: Path) -> list[str]:
    """The names that a data set lists, in their order."""
    content = read_json(folder / FILE)
    members = content if isinstance(content, dict) else {}
    info = members.get("info")
    listed = members.get("default_classes") or (info.get("default_classes") if isinstance(info, dict) else None)
    return [name for name in listed if isinstance(name, str)] if isinstance(listed, list) else []


def _images(samples: list[dict[str, Any]], folder: Path, images: Path | None) -> tuple[list[dict[str, Any]], Path]:
    """What is stated of each image, and the folder that their names start from."""
    stated = [str(sample["filepath"]).replace("\\", "/") for sample in samples]
    paths = [os.path.normpath(folder / name) for name in stated]
    if images is not None:  # a data set that was exported without its pictures names folders of another machine
        place, names = images, [name.rsplit("/", 1)[-1] for name in stated]
    else:
        inner = all(name.startswith("data/") for name in stated)
        place = folder / "data" if inner else Path(os.path.commonpath([os.path.dirname(path) for path in paths]))  # noqa: PTH120
        names = [os.path.relpath(path, place) for path in paths]
    sizes = [sample["metadata"] if isinstance(sample.get("metadata"), dict) else {} for sample in samples]
    listed = [
        {"id": number, "file_name": Path(name).as_posix(), "height": size.get("height"), "width": size.get("width")}
        for number, (name, size) in enumerate(zip(names, sizes, strict=True), start=1)
    ]
    return listed, place


def _field(samples: list[dict[str, Any]], folder: Path) -> str:
    """The name of the field that holds the objects."""
    names = {name for sample in samples for name, value in sample.items() if fiftyone_objects.is_list(value)}
    known = next((name for name in FIELDS if name in names), None)
    if known is None and len(names) > 1:
        listed = ", ".join(sorted(names))
        remedy = "Export one of them, with `label_field=...`, or call it ground_truth"
        raise UserError(f"several fields of objects: {listed}", file=folder / SAMPLES, remedy=remedy)
    return known or next(iter(names), FIELDS[0])
