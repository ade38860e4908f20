"""Detections as COCO results JSON, the form that every system can write; and what must hold of them.

One object a detection: `image_id`, `category_id`, `score`, and of these what the system predicts: `segmentation`
(amodal mask), `visible_mask` (both run lengths of the whole image, or polygons), `bbox` (xywh of the whole object),
`depth_order` (0 nearest). Files in which `segmentation` is the visible mask, as ordinary instance segmentation has
it, are read with `segmentation="visible"`.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from amodal import rle
from amodal.annotations import AnnotationSet, Detection, ImageRecord
from amodal.arguments import require_word
from amodal.errors import UserError
from amodal.files import read_json, replacing, require_file
from amodal.formats.json_stream import BYTES_AT_ONCE, CHARACTERS_AT_ONCE, cut, gc_paused, write_array
from amodal.formats.problems import RejectedRecord, shortened
from amodal.formats.records import whole
from amodal.formats.stated_masks import StatedMask, encoded
from amodal.results import own_numbers
from amodal.results.detections import Detections, Masks
from amodal.results.image_ids import Find, finders

OWN_DATA = "Score it on its own data set"
REMEDY = "Each detection needs image_id, category_id, score, and segmentation, visible_mask or bbox"


def read(
    path: str | Path, truth: AnnotationSet, *, segmentation: Literal["amodal", "visible"] = "amodal"
) -> Detections:
    """The detections of a COCO results file, checked against the truth that they are about.

    Images are matched by their ids, else by the names or stems of their files (see `image_ids`). Of results that
    `amodal predict` or `amodal join` wrote, images and categories are matched by their names (see `own_numbers`).

    Raises:
        UserError: The file is missing or no results file, or a detection names an unknown image or category, or has
            a mask of the wrong size or no score.
    """
    require_word("segmentation", segmentation, ("amodal", "visible"))
    images = {image.id: image for image in truth.images}
    path = require_file(path)
    own = own_numbers.beside(path)
    by_name = own.images_in(truth.images) if own is not None else None
    ways = finders(truth.images) if by_name is None else (by_name,)
    found = next((part for way in ways if (part := _usual_file(path, images, way))), None)
    if found is None:
        content = read_json(path)
        if not isinstance(content, list):
            raise UserError("not COCO results (a list of detections)", file=path, remedy=REMEDY)
        found = Detections.of(_one_by_one(content, images, _way(content, ways), path))
    if own is not None:
        found = replace(found, category_ids=own.categories_in(truth.categories, found.category_ids, path))
    if segmentation == "visible":
        found = replace(found, amodal=[None] * len(found), visible=found.amodal)
    check(truth, found, file=path)
    return found


def _way(content: list[Any], ways: tuple[Find, ...]) -> Find:
    """By names if that finds every image, and ids do not; else by ids, which messages are then about."""
    stated = [raw.get("image_id") for raw in content if isinstance(raw, dict)]
    return next((way for way in ways if all(way(one) is not None for one in stated)), ways[0])


def _usual_file(path: Path, images: dict[int, ImageRecord], find: Find) -> Detections | None:
    """All of a file in the usual form; None for any other."""
    sizes = {image.id: (image.height, image.width) for image in images.values()}
    parts: list[Detections] = []
    try:
        with gc_paused():
            for stated in _some_at_a_time(path):
                part = _usual(stated, sizes, find)
                if part is None:
                    return None
                parts.append(part)
    except (msgspec.DecodeError, OverflowError, UnicodeDecodeError, RecursionError):
        return None
    return Detections.joined(parts)


def _some_at_a_time(path: Path) -> Iterator[list["_Stated"]]:
    """The elements of a JSON array of objects, so that neither its text nor all its objects are in memory at once.

    It is cut where one object may end and the next begin. A cut elsewhere, inside a text or an inner list, leaves what
    no parser takes. Raises msgspec.DecodeError for that, and for anything but an array of usual detections.
    """
    with path.open("rb") as file:
        waiting = file.read(CHARACTERS_AT_ONCE).lstrip()
        while block := file.read(CHARACTERS_AT_ONCE):
            if between := cut(waiting, 0, len(waiting)):
                yield _DECODER.decode(waiting[: between.start() + 1] + b"]")
                waiting = b"[" + waiting[between.end() :]
            waiting += block
    yield _DECODER.decode(waiting)


class _Stated(msgspec.Struct, gc=False):
    """A detection in the usual form; the decoder sees to the types."""

    image_id: int | str
    category_id: int
    score: float
    segmentation: StatedMask | None = None
    visible_mask: StatedMask | None = None
    bbox: tuple[float, float, float, float] | None = None
    depth_order: int | None = None


_DECODER = msgspec.json.Decoder(list[_Stated])
_NOWHERE = (np.nan,) * 4
ROUNDING = 1e-3
"""Pixels by which a box may end before it begins: what is left of an empty one by rounding."""


def _usual(stated: list[_Stated], sizes: dict[int, tuple[int, int]], find: Find) -> Detections | None:
    """Detections column by column; None where one is of an unknown image, or has a mask that does not fit."""
    named = [one.image_id for one in stated]
    known = {image_id: find(image_id) for image_id in set(named)}
    if None in known.values():
        return None
    image_ids: list[int] = [known[image_id] for image_id in named]  # type: ignore[misc]
    amodal = _encoded([one.segmentation for one in stated], image_ids, sizes)
    visible = _encoded([one.visible_mask for one in stated], image_ids, sizes)
    if amodal is None or visible is None:
        return None
    values = chain.from_iterable([one.bbox or _NOWHERE for one in stated])
    boxes = np.fromiter(values, np.float64, 4 * len(stated)).reshape(-1, 4)
    boxes[:, 2:] += boxes[:, :2]
    return Detections(
        np.fromiter(image_ids, np.int64, len(stated)),
        np.fromiter([one.category_id for one in stated], np.int64, len(stated)),
        np.fromiter([one.score for one in stated], np.float64, len(stated)),
        boxes,
        amodal,
        visible,
        [one.depth_order for one in stated],
    )


def _encoded(
    masks: list[StatedMask | None], image_ids: Sequence[int], sizes: dict[int, tuple[int, int]]
) -> Masks | None:
    """Masks as run lengths; None where one is of another size than its image, or damaged."""
    all_masks: Masks = [None] * len(masks)
    if masks.count(None) == len(masks):
        return all_masks
    places = [place for place, mask in enumerate(masks) if mask is not None]
    found = encoded([mask for mask in masks if mask is not None], [sizes[image_ids[place]] for place in places])
    if found is None or len(found) == len(masks):
        return found  # type: ignore[return-value]
    for place, mask in zip(places, found, strict=True):
        all_masks[place] = mask
    return all_masks


def _one_by_one(content: list[Any], images: dict[int, ImageRecord], find: Find, path: str | Path) -> list[Detection]:
    """Detections with masks in any form; the first that is wrong is named."""
    found: list[Detection] = []
    for place, raw in enumerate(content):
        try:
            found.append(_detection(raw, images, find))
        except UserError as error:
            raise UserError(error.problem, file=path, record=f"detection {place}", remedy=error.remedy) from None
        except (KeyError, TypeError, ValueError, OverflowError, RejectedRecord) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(reason, file=path, record=f"detection {place}", remedy=REMEDY) from error
    return found


def _detection(raw: dict[str, Any], images: dict[int, ImageRecord], find: Find) -> Detection:
    if not isinstance(raw, dict):
        raise ValueError("not a JSON object")
    identity = find(raw["image_id"])
    if identity is None:
        named = shortened(raw["image_id"])
        raise UserError(f"image {named} is not in the data set", remedy="Give the data it was predicted for")
    image = images[identity]
    amodal, visible = (
        None if raw.get(key) is None else rle.from_json(raw[key], (image.height, image.width))[0]
        for key in ("segmentation", "visible_mask")
    )
    box = None
    if raw.get("bbox") is not None:
        left, top, width, height = map(float, raw["bbox"])
        box = (left, top, left + width, top + height)
        if not all(map(math.isfinite, box)):
            raise ValueError(f"its box is {shortened(raw['bbox'])}")
    order = raw.get("depth_order")
    order = None if order is None else whole(order, "depth_order")
    category_id = whole(raw["category_id"], "category_id")
    return Detection(image.id, category_id, float(raw["score"]), box, amodal, visible, order)


def write(detections: Sequence[Detection], path: str | Path) -> None:
    """Writes COCO results, whole or not at all, one detection a line; `read` gives them back."""
    write_records(map(to_json, detections), path)


def write_records(records: Iterable[dict[str, Any]], path: str | Path) -> int:
    """As `write`, of detections that are JSON objects already, one after the other; gives their number."""
    with replacing(path) as temporary, temporary.open("wb", BYTES_AT_ONCE) as file:
        count = write_array(file, records)
        file.write(b"\n")
    return count


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
        place, reason, remedy = problem
        raise UserError(reason, file=file, record=f"detection {place}", remedy=remedy)
    for kind, masks in (("amodal", detections.amodal), ("visible", detections.visible)):
        missing = masks.count(None)
        if 0 < missing < len(masks):
            raise UserError(
                f"no {kind} mask, while other detections have one",
                file=file,
                record=f"detection {masks.index(None)}",
                remedy=f"Give all detections their {kind} masks, or none",
            )


def _problems(truth: AnnotationSet, detections: Detections) -> Iterator[tuple[int, str, str]]:
    """Which detection is wrong, in what, and what to do about it."""
    sizes = {image.id: [image.height, image.width] for image in truth.images}
    for name, ids, known in (
        ("image", detections.image_ids, list(sizes)),
        ("category", detections.category_ids, [category.id for category in truth.categories]),
    ):
        unknown = _where(~np.isin(ids, known))
        yield from ((place, f"{name} {ids[place]} is not in the data set", OWN_DATA) for place in unknown)
    no_score = "its score is not a number", "Give every detection a number"
    yield from ((place, *no_score) for place in _where(np.isnan(detections.scores)))
    yield from _turned_boxes(detections)
    for masks in (detections.amodal, detections.visible):
        if masks.count(None) == len(masks):
            continue
        wanted = [sizes[image_id] for image_id in detections.image_ids.tolist()]
        for place, mask in enumerate(masks):
            if mask is not None and mask["size"] != wanted[place]:
                (height, width), size = mask["size"], wanted[place]
                yield place, f"its mask is {height} x {width}, its image {size[0]} x {size[1]}", OWN_DATA
    for place in _where(~detections.has_box):
        if detections.amodal[place] is None and detections.visible[place] is None:
            yield place, "it has neither a box nor a mask", REMEDY


def _turned_boxes(detections: Detections) -> Iterator[tuple[int, str, str]]:
    """Those that end before they begin."""
    lengths = detections.boxes[:, 2:] - detections.boxes[:, :2]
    for place in _where(lengths.min(axis=1, initial=0.0) < -ROUNDING):
        width, height = lengths[place].tolist()
        problem = f"its box is {width:g} wide and {height:g} high: COCO's boxes are [x, y, width, height]"
        yield place, problem, "Give bbox as COCO's results have it"


def _where(flags: np.ndarray) -> list[int]:
    return np.flatnonzero(flags).tolist()
