"""COCO-like files of one record an object: D2SA, COCOA-cls, KINS 2019 and 2020, aistron's, plain COCO.

They differ in the names of a few keys. Files mix them, and leave the visible mask out where an object is fully
seen, so that the names are looked up record by record. This package writes D2SA's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

from amodal import mask_arrays, rle
from amodal.annotations import Annotation, AnnotationSet, Extra
from amodal.errors import UserError
from amodal.formats import coco_at_once, image_folder, json_stream, outlines
from amodal.formats.contents import Contents, Record, called, extra_of
from amodal.formats.json_stream import JsonDocument
from amodal.formats.losses import FIELDS
from amodal.formats.problems import Problem


@dataclass(frozen=True, slots=True)
class Dialect:
    """Which key holds what. `marker` is the key that tells the dialect; `order_from` is the nearest depth order."""

    name: str
    marker: str
    amodal: str = "segmentation"
    visible: str = "visible_mask"
    box: str = "bbox"
    area: str = "area"
    order: str = "occl_depth"
    order_from: int = 0


D2SA = Dialect("d2sa", "visible_mask")
PLAIN = Dialect("coco", "segmentation")
DIALECTS = (
    # KINS 2020's `ico_id` counts inside a cluster of objects that overlap: 1 in front, 0 for one that stands alone.
    Dialect("kins2020", "a_segm", "a_segm", "i_segm", "a_bbox", "a_area", "ico_id", order_from=1),
    Dialect("aistron", "amodal_segm", "amodal_segm", "visible_segm", "amodal_bbox", "amodal_area"),
    Dialect("aistron", "amodal_seg", "amodal_seg", "visible_seg", "amodal_bbox", "amodal_area"),
    Dialect("kins", "inmodal_seg", visible="inmodal_seg"),
    D2SA,
    Dialect("d2sa", "occlude_rate"),
    Dialect("d2sa", "occl_depth"),
)
KEYS = frozenset(
    {"id", "image_id", "category_id", "iscrowd", "isStuff", "visible_mask", "invisible_mask", "occlude_rate"}
    # What follows from the masks, under the names that some dialect has for it.
    | {"inmodal_bbox", "i_bbox", "i_area", "visible_bbox"}
    | {key for d in (PLAIN, *DIALECTS) for key in (d.amodal, d.visible, d.box, d.area, d.order)}
)
"""Keys of an annotation that mean something here; all others are its `extra`."""


def dialect_of(raw: dict[str, Any]) -> Dialect:
    """The dialect of one record."""
    return _told_by(tuple(raw))[0]


@lru_cache(maxsize=64)
def _told_by(keys: tuple[str, ...]) -> tuple[Dialect, bool]:
    """The dialect of records with these keys, and whether others are among them."""
    dialect = next((dialect for dialect in DIALECTS if dialect.marker in keys), PLAIN)
    return dialect, not KEYS.issuperset(keys)


def contents(document: JsonDocument, images: Path | None) -> Contents:
    """What a COCO-like file states."""
    first = next(document.annotations(), None)
    listed, categories = (_list(document, key) for key in ("images", "categories"))
    return Contents(
        document.path,
        dialect_of(first).name if isinstance(first, dict) else PLAIN.name,
        listed,
        categories,
        _records(document.annotations()),
        image_folder.find(document.path, listed, images),
        document.members,
        at_once=partial(coco_at_once.read, document),
    )


def _list(document: JsonDocument, key: str) -> list[Any]:
    if not isinstance(document.members.get(key), list):
        remedy = "See `amodal convert --help` for the formats that are read"
        raise UserError(f"of no known annotation format: no list '{key}'", file=document.path, remedy=remedy)
    return document.members[key]


def _records(raw_records: Iterable[Any]) -> Iterator[Record | Problem]:
    """Each annotation of a file as a Record, whatever its dialect."""
    for place, raw in enumerate(raw_records):
        if not isinstance(raw, dict):
            yield Problem("bad_record", called("annotation", raw, place), "not a JSON object")
            continue
        keys, has_others = _told_by(tuple(raw))
        order = raw.get(keys.order)
        if keys.order_from and isinstance(order, int):
            order = max(order - keys.order_from, 0)
        yield Record(
            called("annotation", raw, place),
            raw.get("id"),
            raw.get("image_id"),
            raw.get("category_id"),
            raw.get(keys.amodal),
            raw.get(keys.visible),
            raw.get("invisible_mask"),
            raw.get(keys.box),
            raw.get(keys.area),
            raw.get("occlude_rate"),
            raw.get("iscrowd"),
            raw.get("isStuff"),
            order,
            extra_of(raw, KEYS) if has_others else None,
        )


HOLDS = frozenset(FIELDS)
PLAIN_HOLDS = HOLDS - {"stuff", "depth_order"}


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes D2SA's format: every mask to the pixel, ids kept. `occl_depth` is the depth order, 0 nearest."""
    json_stream.write(path, header(annotation_set), full(annotation_set.annotations))


def write_plain(annotation_set: AnnotationSet, path: Path, mask: Literal["amodal", "visible"]) -> None:
    """Writes plain COCO with one mask an object: polygons that give it to the pixel, run lengths for crowds.

    Objects of which nothing is visible are left out where the visible mask is asked for.
    """
    masks = [a.amodal if mask == "amodal" else a.visible for a in annotation_set.annotations]
    json_stream.write(path, header(annotation_set), _plain(annotation_set.annotations, masks))


def header(annotation_set: AnnotationSet) -> dict[str, Any]:
    """The members beside the annotations: `images`, `categories`, and what else the file had."""
    fields = annotation_set.category_fields
    return {
        **{key: annotation_set.document[key] for key in ("info", "licenses") if key in annotation_set.document},
        "images": [
            with_extra({"id": i.id, "file_name": i.file_name, "height": i.height, "width": i.width}, i.extra)
            for i in annotation_set.images
        ],
        "categories": [
            with_extra({"id": c.id, "name": c.name, "supercategory": c.supercategory}, fields.get(c.id))
            for c in annotation_set.categories
        ],
        **{key: value for key, value in annotation_set.document.items() if key not in ("info", "licenses")},
    }


def with_extra(record: dict[str, Any], extra: Extra | None) -> dict[str, Any]:
    """A record with the fields that it had in the file it came from; its own win."""
    return record | {key: value for key, value in extra.items() if key not in record} if extra else record


def _plain(annotations: list[Annotation], masks: list[rle.Rle]) -> Iterator[dict[str, Any]]:
    measures = zip(rle.boxes(masks).tolist(), rle.areas(masks).tolist(), strict=True)
    polygons = outlines.polygons(mask for a, mask in zip(annotations, masks, strict=True) if not a.is_crowd)
    for annotation, mask, (box, area) in zip(annotations, masks, measures, strict=True):
        shape = rle.to_json(mask) if annotation.is_crowd else next(polygons)
        if area:
            record = common(annotation, box, area) | {"segmentation": shape}
            yield with_extra(record, annotation.extra)


def full(annotations: list[Annotation]) -> Iterator[dict[str, Any]]:
    """Each annotation as D2SA's record."""
    amodal, visible = [a.amodal for a in annotations], [a.visible for a in annotations]
    areas, visible_areas = rle.areas(amodal), rle.areas(visible)
    rates = mask_arrays.occlusion_rates(areas, visible_areas)
    measures = zip(*(one.tolist() for one in (rle.boxes(amodal), areas, visible_areas, rates)), strict=True)
    for annotation, (box, area, visible_area, rate) in zip(annotations, measures, strict=True):
        record = common(annotation, box, area) | {
            "segmentation": rle.to_json(annotation.amodal),
            "visible_mask": rle.to_json(annotation.visible),
            "occlude_rate": rate,
        }
        if visible_area < area:
            record["invisible_mask"] = rle.to_json(rle.subtract(annotation.amodal, annotation.visible))
        if annotation.depth_order is not None:
            record["occl_depth"] = annotation.depth_order
        if annotation.is_stuff:
            record["isStuff"] = 1
        yield with_extra(record, annotation.extra)


def common(annotation: Annotation, box: list[float], area: int) -> dict[str, Any]:
    """What every COCO-like record has beside its masks; the amodal box is xywh."""
    return {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "iscrowd": int(annotation.is_crowd),
        "bbox": box,
        "area": area,
    }
