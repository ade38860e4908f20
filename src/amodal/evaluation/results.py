"""Detections as COCO results JSON, the form that every system can write; and what must hold of them.

One object a detection: `image_id`, `category_id`, `score`, and of these what the system predicts: `segmentation`
(amodal mask), `visible_mask` (both run lengths of the whole image, or polygons), `bbox` (xywh of the whole object),
`depth_order` (0 nearest). Files in which `segmentation` is the visible mask, as ordinary instance segmentation has
it, are read with `segmentation="visible"`.
"""

import gc
import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import orjson

from amodal import rle
from amodal.annotations import AnnotationSet, Detection, ImageRecord
from amodal.errors import UserError
from amodal.evaluation.detections import Detections, Masks
from amodal.files import read_json, replacing, require_file
from amodal.soundness import are_sound

REMEDY = "Each detection needs image_id, category_id, score, and segmentation, visible_mask or bbox"


def read(
    path: str | Path, truth: AnnotationSet, *, segmentation: Literal["amodal", "visible"] = "amodal"
) -> Detections:
    """The detections of a COCO results file, checked against the truth that they are about.

    Raises:
        UserError: The file is missing or no results file, or a detection names an unknown image or category, or has
            a mask of the wrong size or no score.
    """
    images = {image.id: image for image in truth.images}
    found = _usual_file(require_file(path), images)
    if found is None:
        content = read_json(path)
        if not isinstance(content, list):
            raise UserError("not COCO results (a list of detections)", file=path, remedy=REMEDY)
        found = Detections.of(_one_by_one(content, images, path))
    if segmentation == "visible":
        found = replace(found, amodal=[None] * len(found), visible=found.amodal)
    check(truth, found, file=path)
    return found


def _usual_file(path: Path, images: dict[int, ImageRecord]) -> Detections | None:
    """All of a file in the usual form; None for any other."""
    parts: list[Detections] = []
    try:
        with _uncollected():
            for content in _some_at_a_time(path):
                part = _usual(content, images)
                if part is None:
                    return None
                parts.append(part)
    except orjson.JSONDecodeError:
        return None
    return Detections.joined(parts)


@contextmanager
def _uncollected() -> Iterator[None]:
    """No looking for cycles among millions of new objects that have none: half of the time of decoding JSON."""
    collects = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collects:
            gc.enable()


_BETWEEN = re.compile(rb"}\s*,\s*(?={)")
_BYTES_AT_ONCE = 1 << 20


def _some_at_a_time(path: Path) -> Iterator[list[Any]]:
    """The elements of a JSON array of objects, so that neither its text nor all its objects are in memory at once.

    It is cut where one object may end and the next begin. A cut elsewhere, inside a text or an inner list, leaves what
    no parser takes. Raises orjson.JSONDecodeError for that, and for anything but such an array.
    """
    with path.open("rb") as file:
        waiting = file.read(_BYTES_AT_ONCE).lstrip()
        while block := file.read(_BYTES_AT_ONCE):
            end, between = len(waiting), None
            while between is None and end > 0:
                end = waiting.rfind(b"}", 0, end)
                between = _BETWEEN.match(waiting, max(end, 0))
            if between:
                yield orjson.loads(waiting[: end + 1] + b"]")
                waiting = b"[" + waiting[between.end() :]
            waiting += block
    last = orjson.loads(waiting)
    if not isinstance(last, list):
        raise orjson.JSONDecodeError("not an array", "", 0)
    yield last


def _usual(content: list[Any], images: dict[int, ImageRecord]) -> Detections | None:
    """Detections in the usual form, column by column; None where any is in another, or wrong."""
    try:
        image_ids, category_ids = (np.array([raw[key] for raw in content]) for key in ("image_id", "category_id"))
        scores = np.array([raw["score"] for raw in content])
        boxes = _boxes([raw.get("bbox") for raw in content])
        orders: list[Any] = [raw.get("depth_order") for raw in content]
        amodal, visible = (_encoded([raw.get(key) for raw in content]) for key in ("segmentation", "visible_mask"))
        sizes = {image.id: [image.height, image.width] for image in images.values()}
        wanted = [sizes[image_id] for image_id in image_ids.tolist()]
        fit = _fit(amodal, wanted) and _fit(visible, wanted)
    except (KeyError, TypeError, ValueError, AttributeError):
        return None
    kinds = image_ids.dtype.kind + category_ids.dtype.kind + scores.dtype.kind
    if not fit or kinds not in ("iif", "iii") or not {type(order) for order in orders} <= {int, type(None)}:
        return None
    return Detections(image_ids, category_ids, scores.astype(np.float64), boxes, amodal, visible, orders)


def _boxes(stated: list[Any]) -> np.ndarray:
    """Boxes as xyxy, float64 (D, 4), of xywh or None each. Raises ValueError or TypeError for anything else."""
    nowhere = (np.nan,) * 4
    boxes = np.array([nowhere if box is None else box for box in stated])
    if boxes.shape != (len(stated), 4) or boxes.dtype.kind not in "if":
        raise ValueError("a box is not four numbers")
    boxes = boxes.astype(np.float64)
    boxes[:, 2:] += boxes[:, :2]
    return boxes


def _encoded(masks: list[Any]) -> Masks:
    """Masks with their counts as bytes, changed in place. Raises TypeError, ValueError, KeyError or AttributeError."""
    for mask in masks:
        if mask is not None:
            mask["counts"] = mask["counts"].encode("ascii")
    return masks


def _fit(masks: Masks, sizes: list[list[int]]) -> bool:
    """Whether all masks are sound and of the sizes wanted."""
    given = [mask for mask in masks if mask is not None]
    stated = [mask["size"] for mask in given]
    return stated == [s for s, mask in zip(sizes, masks, strict=True) if mask] and bool(are_sound(given).all())


def _one_by_one(content: list[Any], images: dict[int, ImageRecord], path: str | Path) -> list[Detection]:
    """Detections with masks in any form; the first that is wrong is named."""
    found: list[Detection] = []
    for place, raw in enumerate(content):
        try:
            found.append(_detection(raw, images))
        except UserError as error:
            raise UserError(error.problem, file=path, record=f"detection {place}", remedy=error.remedy) from None
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(reason, file=path, record=f"detection {place}", remedy=REMEDY) from error
    return found


def _detection(raw: dict[str, Any], images: dict[int, ImageRecord]) -> Detection:
    image = images.get(raw["image_id"])
    if image is None:
        raise UserError(f"image {raw['image_id']} is not in the data set", remedy="Give the data it was predicted for")
    amodal, visible = (
        None if raw.get(key) is None else rle.from_json(raw[key], (image.height, image.width))[0]
        for key in ("segmentation", "visible_mask")
    )
    box = None
    if raw.get("bbox") is not None:
        left, top, width, height = map(float, raw["bbox"])
        box = (left, top, left + width, top + height)
    order = raw.get("depth_order")
    order = None if order is None else int(order)
    return Detection(raw["image_id"], raw["category_id"], float(raw["score"]), box, amodal, visible, order)


def write(detections: Sequence[Detection], path: str | Path) -> None:
    """Writes COCO results, whole or not at all, one detection a line; `read` gives them back."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        separator = "["
        for detection in detections:
            file.write(separator + "\n" + json.dumps(to_json(detection)))
            separator = ","
        file.write("\n]\n" if detections else "[]\n")


def to_json(detection: Detection) -> dict[str, Any]:
    """One detection as an object of a COCO results file."""
    record: dict[str, Any] = {
        "image_id": detection.image_id,
        "category_id": detection.category_id,
        "score": detection.score,
    }
    if detection.box is not None:
        left, top, right, bottom = detection.box
        record["bbox"] = [left, top, right - left, bottom - top]
    if detection.amodal is not None:
        record["segmentation"] = rle.to_json(detection.amodal)
    if detection.visible is not None:
        record["visible_mask"] = rle.to_json(detection.visible)
    if detection.depth_order is not None:
        record["depth_order"] = detection.depth_order
    return record


def check(truth: AnnotationSet, detections: Detections, *, file: str | Path | None = None) -> None:
    """Raises UserError, naming the first detection that cannot be scored against this truth."""
    if not truth.images:
        raise UserError("no images in the data set", file=truth.source, remedy="Give a file with images to score on")
    problem = next(_problems(truth, detections), None)
    if problem:
        place, reason = problem
        raise UserError(reason, file=file, record=f"detection {place}", remedy="Score it on its own data set")
    for kind, masks in (("amodal", detections.amodal), ("visible", detections.visible)):
        missing = masks.count(None)
        if 0 < missing < len(masks):
            raise UserError(
                f"no {kind} mask, while other detections have one",
                file=file,
                record=f"detection {masks.index(None)}",
                remedy=f"Give every detection a {kind} mask, or none",
            )


def _problems(truth: AnnotationSet, detections: Detections) -> Iterator[tuple[int, str]]:
    """What is wrong, and with which detection."""
    sizes = {image.id: [image.height, image.width] for image in truth.images}
    for name, ids, known in (
        ("image", detections.image_ids, list(sizes)),
        ("category", detections.category_ids, [category.id for category in truth.categories]),
    ):
        yield from ((place, f"{name} {ids[place]} is not in the data set") for place in _where(~np.isin(ids, known)))
    yield from ((place, "its score is not a number") for place in _where(np.isnan(detections.scores)))
    wanted = [sizes[image_id] for image_id in detections.image_ids.tolist()]
    for masks in (detections.amodal, detections.visible):
        for place, mask in enumerate(masks):
            if mask is not None and mask["size"] != wanted[place]:
                (height, width), size = mask["size"], wanted[place]
                yield place, f"its mask is {height} x {width}, its image {size[0]} x {size[1]}"
    for place in _where(~detections.has_box):
        if detections.amodal[place] is None and detections.visible[place] is None:
            yield place, "it has neither a box nor a mask"


def _where(flags: np.ndarray) -> list[int]:
    return np.flatnonzero(flags).tolist()
