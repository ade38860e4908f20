"""KINS' file of 2019: amodal polygons, visible run lengths. Read by `coco`; here it is written."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet
from amodal.formats import coco, json_stream, outlines

HOLDS = coco.PLAIN_HOLDS


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes KINS' format: every mask to the pixel, ids kept. It has no place for depth order and stuff."""
    json_stream.write(path, coco.header(annotation_set), _records(annotation_set.annotations))


def _records(annotations: list[Annotation]) -> Iterator[dict[str, Any]]:
    amodal, visible = [a.amodal for a in annotations], [a.visible for a in annotations]
    measures = zip(rle.boxes(amodal).tolist(), rle.areas(amodal).tolist(), rle.boxes(visible).tolist(), strict=True)
    for annotation, polygons, (box, area, visible_box) in zip(
        annotations, outlines.polygons(amodal), measures, strict=True
    ):
        record = coco.common(annotation, box, area) | {
            "segmentation": polygons,
            "inmodal_bbox": visible_box,
            "inmodal_seg": rle.to_json(annotation.visible),
        }
        yield coco.with_extra(record, annotation.extra)
