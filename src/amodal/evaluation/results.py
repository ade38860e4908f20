"""Detections as COCO results JSON, the form that every system can write; and what must hold of them.

One object a detection: `image_id`, `category_id`, `score`, and of these what the system predicts: `segmentation`
(amodal mask), `visible_mask` (both run lengths of the whole image, or polygons), `bbox` (xywh of the whole object),
`depth_order` (0 nearest). Files in which `segmentation` is the visible mask, as ordinary instance segmentation has
it, are read with `segmentation="visible"`.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from amodal import rle
from amodal.annotations import AnnotationSet, Detection, ImageRecord
from amodal.errors import UserError
from amodal.files import read_json, replacing

REMEDY = "Each detection needs image_id, category_id, score, and segmentation, visible_mask or bbox"


def read(
    path: str | Path, truth: AnnotationSet, *, segmentation: Literal["amodal", "visible"] = "amodal"
) -> list[Detection]:
    """The detections of a COCO results file, checked against the truth that they are about.

    Raises:
        UserError: The file is missing or no results file, or a detection names an unknown image or category, or has
            a mask of the wrong size or no score.
    """
    content = read_json(path)
    if not isinstance(content, list):
        raise UserError("not COCO results (a list of detections)", file=path, remedy=REMEDY)
    images = {image.id: image for image in truth.images}
    found: list[Detection] = []
    while content:  # consumed as it is read: the text form of a mask need not outlive its detection
        raw = content.pop()
        try:
            found.append(_detection(raw, images, segmentation))
        except UserError as error:
            raise UserError(error.problem, file=path, record=f"detection {len(content)}", remedy=error.remedy) from None
        except (KeyError, TypeError, ValueError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            raise UserError(reason, file=path, record=f"detection {len(content)}", remedy=REMEDY) from error
    found.reverse()
    check(truth, found, file=path)
    return found


def _detection(raw: dict[str, Any], images: dict[int, ImageRecord], segmentation: str) -> Detection:
    image = images.get(raw["image_id"])
    if image is None:
        raise UserError(f"image {raw['image_id']} is not in the data set", remedy="Give the data it was predicted for")
    masks = {
        key: rle.from_json(raw[key], (image.height, image.width))[0]
        for key in ("segmentation", "visible_mask")
        if raw.get(key) is not None
    }
    box = None
    if raw.get("bbox") is not None:
        left, top, width, height = map(float, raw["bbox"])
        box = (left, top, left + width, top + height)
    order = raw.get("depth_order")
    return Detection(
        raw["image_id"],
        raw["category_id"],
        float(raw["score"]),
        box,
        amodal=masks.get("segmentation") if segmentation == "amodal" else None,
        visible=masks.get("visible_mask" if segmentation == "amodal" else "segmentation"),
        depth_order=None if order is None else int(order),
    )


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
    """One detection as a COCO result dict."""
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


def kinds_of_masks(detections: Sequence[Detection]) -> set[str]:
    """Of "amodal" and "visible", the masks that every detection has; both where there are no detections."""
    kinds = {"amodal", "visible"}
    if any(d.amodal is None for d in detections):
        kinds.remove("amodal")
    if any(d.visible is None for d in detections):
        kinds.remove("visible")
    return kinds


def check(truth: AnnotationSet, detections: Sequence[Detection], *, file: str | Path | None = None) -> None:
    """Raises UserError, naming the first detection that cannot be scored against this truth."""
    if not truth.images:
        raise UserError("no images in the data set", file=truth.source, remedy="Give a file with images to score on")
    images = {image.id: [image.height, image.width] for image in truth.images}
    categories = {category.id for category in truth.categories}
    for place, detection in enumerate(detections):
        problem = _problem(detection, images, categories)
        if problem:
            raise UserError(problem, file=file, record=f"detection {place}", remedy="Score it on its own data set")
    for kind, given in (("amodal", [d.amodal for d in detections]), ("visible", [d.visible for d in detections])):
        missing = [place for place, mask in enumerate(given) if mask is None]
        if missing and len(missing) < len(given):
            raise UserError(
                f"no {kind} mask, while other detections have one",
                file=file,
                record=f"detection {missing[0]}",
                remedy=f"Give every detection a {kind} mask, or none",
            )


def _problem(detection: Detection, images: dict[int, list[int]], categories: set[int]) -> str | None:
    """What is wrong with a detection, in words; None if nothing is."""
    size = images.get(detection.image_id)
    if size is None:
        return f"image {detection.image_id} is not in the data set"
    if detection.category_id not in categories:
        return f"category {detection.category_id} is not in the data set"
    if detection.score != detection.score:
        return "its score is not a number"
    if detection.box is None and detection.amodal is None and detection.visible is None:
        return "it has neither a box nor a mask"
    for mask in (detection.amodal, detection.visible):
        if mask is not None and list(mask["size"]) != size:
            return f"its mask is {mask['size'][0]} x {mask['size'][1]}, its image {size[0]} x {size[1]}"
    return None
