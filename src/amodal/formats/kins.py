"""KINS' file of 2019: amodal polygons, visible run lengths. Read by `coco`; here it is written."""

from pathlib import Path
from typing import Any

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet
from amodal.formats import coco, json_stream, outlines

HOLDS = coco.PLAIN_HOLDS


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes KINS' format: every mask to the pixel, ids kept. It has no place for depth order and stuff."""
    json_stream.write(path, coco.header(annotation_set), map(_to_json, annotation_set.annotations))


def _to_json(annotation: Annotation) -> dict[str, Any]:
    amodal_box, visible_box = rle.boxes([annotation.amodal, annotation.visible]).tolist()
    record = {
        "id": annotation.id,
        "image_id": annotation.image_id,
        "category_id": annotation.category_id,
        "iscrowd": int(annotation.is_crowd),
        "bbox": amodal_box,
        "area": int(rle.areas([annotation.amodal])[0]),
        "segmentation": outlines.polygons(annotation.amodal),
        "inmodal_bbox": visible_box,
        "inmodal_seg": rle.to_json(annotation.visible),
    }
    return coco.with_extra(record, annotation.extra)
