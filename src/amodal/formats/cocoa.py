"""COCOA's files: one record an image and annotator, its regions in depth order, names in free text.

Regions have no id and no category: they are numbered through the file, and each distinct name is a category.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from pathlib import Path, PurePath
from typing import Any

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord
from amodal.formats import coco, image_folder, json_stream, outlines
from amodal.formats.contents import Contents, Record, called, extra_of
from amodal.formats.json_stream import JsonDocument, SmallFile
from amodal.formats.losses import FIELDS
from amodal.formats.problems import Problem
from amodal.mask_arrays import occlusion_rates

Walk = Callable[[], Iterable[Any]]
"""Walks the records of a file from its start."""


def contents(document: JsonDocument, images: Path | None) -> Contents:
    """What a COCOA file states: `images`, and `annotations` with `regions`."""
    listed = document.members.get("images")
    listed = listed if isinstance(listed, list) else []
    folder = image_folder.find(document.path, listed, images)
    return replace(_contents(document.path, listed, document.annotations, folder), document=document.members)


def contents_of_single(path: Path, documents: list[SmallFile], images: Path | None) -> Contents:
    """What files of one bare record each state: their images lie beside them under the same name, or as the `url`."""
    raw_records = [document.members for document in documents]
    finders = cache(image_folder.by_stem)
    names = [_image_name(document, finders(images or document.path.parent)) for document in documents]
    listed = [
        {"id": raw.get("image_id"), "file_name": name, **_size_from_masks(raw)}
        for raw, name in zip(raw_records, names, strict=True)
    ]
    folder = image_folder.find(documents[0].path, listed, images)
    return _contents(path, listed, lambda: raw_records, folder)


def _contents(path: Path, images: list[Any], walk: Walk, folder: Path | None) -> Contents:
    names = sorted({_category_name(region) for raw in walk() for region in _regions(raw)})
    categories = [{"id": number, "name": name} for number, name in enumerate(names, start=1)]
    number_of = {name: number for number, name in enumerate(names, start=1)}
    return Contents(path, "cocoa", images, categories, _records(walk(), number_of), folder)


def _image_name(document: SmallFile, picture_of: Callable[[PurePath], str | None]) -> str:
    return (
        picture_of(PurePath(document.path.stem))
        or str(document.members.get("url", document.path.stem)).rsplit("/", 1)[-1]
    )


def _size_from_masks(raw: dict[str, Any]) -> dict[str, Any]:
    """Height and width from the first run-length mask; without one, the image file is measured."""
    for region in _regions(raw):
        mask = region.get("visible_mask") or region.get("invisible_mask")
        if isinstance(mask, dict) and isinstance(mask.get("size"), list) and len(mask["size"]) == 2:
            return dict(zip(("height", "width"), mask["size"], strict=True))
    return {}


def _regions(raw: Any) -> list[dict[str, Any]]:
    regions = raw.get("regions") if isinstance(raw, dict) else None
    return [region for region in regions if isinstance(region, dict)] if isinstance(regions, list) else []


def _category_name(region: dict[str, Any]) -> str:
    """The name in lower case with single spaces: annotators typed it by hand."""
    return " ".join(str(region.get("name") or "object").lower().split())


def _records(raw_records: Iterable[Any], number_of: dict[str, int]) -> Iterator[Record | Problem]:
    seen: set[Any] = set()
    number = 0
    for place, raw in enumerate(raw_records):
        where = called("annotation", raw, place)
        if not isinstance(raw, dict) or not isinstance(raw.get("regions"), list):
            yield Problem("bad_record", where, "no list 'regions'")
            continue
        image_id = raw.get("image_id")
        if not isinstance(image_id, int | str):
            yield Problem("bad_record", where, "no 'image_id'")
            continue
        if image_id in seen:
            yield Problem("second_annotator", where, f"image {image_id} was annotated before, in this file")
            continue
        seen.add(image_id)
        for index, region in enumerate(raw["regions"], start=1):
            number += 1
            name = f"{where} region {index}"
            if isinstance(region, dict):
                yield _record(name, number, image_id, region, number_of)
            else:
                yield Problem("bad_record", name, "not a JSON object")


def _record(name: str, number: int, image_id: Any, region: dict[str, Any], number_of: dict[str, int]) -> Record:
    order = region.get("order")
    return Record(
        name,
        number,
        image_id,
        number_of[_category_name(region)],
        region.get("segmentation"),
        region.get("visible_mask"),
        region.get("invisible_mask"),
        area=region.get("area"),
        occlusion_rate=region.get("occlude_rate"),
        is_stuff=region.get("isStuff"),
        depth_order=order - 1 if isinstance(order, int) else order,
        extra=extra_of(region, KEYS),
    )


KEYS = coco.KEYS | {"name", "order"}
HOLDS = frozenset(FIELDS) - {"ids", "crowd_marks", "supercategories", "category_fields"}


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes COCOA's format: every mask to the pixel, each object's category as its name.

    Ids of objects, crowds and supercategories have no place in it. Objects without a depth order come last.
    """
    names = {category.id: category.name for category in annotation_set.categories}
    annotated = [image for image in annotation_set.images if annotation_set.by_image[image.id]]
    json_stream.write(
        path,
        {key: value for key, value in coco.header(annotation_set).items() if key != "categories"},
        (_image_to_json(number, image, annotation_set, names) for number, image in enumerate(annotated, start=1)),
    )


def _image_to_json(
    number: int, image: ImageRecord, annotation_set: AnnotationSet, names: dict[int, str]
) -> dict[str, Any]:
    annotations = annotation_set.by_image[image.id]
    order_of = _orders(annotations)
    amodal = [a.amodal for a in annotations]
    regions = [
        _region(annotation, outline, order_of[annotation.id], names)
        for annotation, outline in zip(annotations, outlines.outlines(amodal), strict=True)
    ]
    overlap = rle.ious(amodal, amodal) > 0
    pairs = [
        (orders[0], orders[1])
        for first, second in combinations(range(len(annotations)), 2)
        if overlap[first, second]
        and (orders := sorted((regions[first]["order"], regions[second]["order"])))
        and orders[0] != orders[1]
    ]
    return {
        "id": number,
        "image_id": image.id,
        "author": "",
        "url": image.file_name,
        "size": len(regions),
        "depth_constraint": ",".join(f"{front}-{behind}" for front, behind in sorted(pairs)),
        "regions": regions,
    }


def _orders(annotations: list[Annotation]) -> dict[int, int]:
    """Annotation id -> order from 1; those without a depth order follow the others, each with its own."""
    known = {a.id: a.depth_order + 1 for a in annotations if a.depth_order is not None}
    following = max(known.values(), default=0) + 1
    unknown = (a.id for a in annotations if a.depth_order is None)
    return known | {identity: order for order, identity in enumerate(unknown, start=following)}


def _region(annotation: Annotation, outline: list[int], order: int, names: dict[int, str]) -> dict[str, Any]:
    area, visible_area = rle.areas([annotation.amodal, annotation.visible]).tolist()
    region = {
        "segmentation": outline,
        "name": names[annotation.category_id],
        "area": area,
        "isStuff": int(annotation.is_stuff),
        "occlude_rate": float(occlusion_rates(area, visible_area)),
        "order": order,
    }
    if visible_area < area:
        region["visible_mask"] = rle.to_json(annotation.visible)
        region["invisible_mask"] = rle.to_json(rle.subtract(annotation.amodal, annotation.visible))
    return coco.with_extra(region, annotation.extra)
