"""What can be wrong with a data set's annotations, and what reading does about each."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of problem.

    Attributes:
        meaning: One line for the report.
        outcome: "refused": reading stops there, `amodal data check --fix` leaves the record out. "repaired":
            reading mends it. "noted": legitimate in some data sets, kept as it is.
    """

    meaning: str
    outcome: Literal["refused", "repaired", "noted"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One problem of one record, e.g. `Problem("mask_size", "annotation 7", "mask size [4, 4] is not ...")`."""

    kind: str
    record: str
    detail: str


Report = Callable[[Problem], None]
"""Takes each problem as it is found: reading raises at the first that is refused, the check-up collects them."""


class RejectedRecord(Exception):
    """A record that cannot be used; caught where the records are walked, and reported as a Problem."""

    def __init__(self, kind: str, detail: str) -> None:
        super().__init__(detail)
        self.kind, self.detail = kind, detail


def shortened(value: Any) -> str:
    """What a file holds where something else was expected, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 40 else f"{text[:39]}…"


KINDS = {
    "bad_record": Kind("a record lacks a key or holds a value of the wrong type", "refused"),
    "unknown_image": Kind("an annotation names an image that is not listed", "refused"),
    "unknown_category": Kind("an annotation names a category that is not listed", "refused"),
    "bad_mask": Kind("a mask is damaged or neither run lengths nor polygons", "refused"),
    "mask_size": Kind("run lengths are of another size than the image", "refused"),
    "image_size": Kind("the image file has another size than the annotations say", "refused"),
    "image_missing": Kind("an image file is missing", "refused"),
    "image_damaged": Kind("an image file cannot be read", "refused"),
    "duplicate_image": Kind("an image id is listed twice", "refused"),
    "duplicate_category": Kind("a category id is listed twice", "refused"),
    "unpaired": Kind("a visible mask has no amodal one to belong to", "refused"),
    "duplicate_id": Kind("an annotation id is used twice; the later one gets a new id", "repaired"),
    "second_annotator": Kind("an image is annotated by several people; the first is read", "repaired"),
    "visible_outside": Kind("the visible mask leaves the amodal mask; the part outside is cut off", "repaired"),
    "amodal_empty": Kind("the amodal mask is empty; the annotation is dropped", "repaired"),
    "polygon_dropped": Kind("a polygon of fewer than three points or an odd count is left out", "repaired"),
    "no_area": Kind("a shape encloses no area (points, a line, a tag); it is left out", "repaired"),
    "box_only": Kind("a box stands in place of a mask: left out, or with --boxes-are-objects a rectangle", "repaired"),
    "category_parent": Kind("a category is only the parent of all others, of no object; it is left out", "repaired"),
    "area": Kind("the area stated is not the amodal mask's; it is counted anew", "repaired"),
    "box": Kind("the box stated is not the amodal mask's; it is measured anew", "repaired"),
    "occlusion_rate": Kind("the occlusion rate stated is not the masks'; it is computed anew", "repaired"),
    "box_as_mask": Kind("an object is drawn as a box: its mask is the rectangle", "noted"),
    "stuff_left_out": Kind("a segment of stuff (isthing 0) is no object; it is left out", "noted"),
    "crowd": Kind("a crowd (iscrowd 1) is no object, unless CVAT's brush drew it: --crowds-are-objects", "noted"),
    "visible_empty": Kind("the visible mask is empty: the object is wholly hidden", "noted"),
    "category_empty": Kind("a category has no annotation", "noted"),
    "image_empty": Kind("an image has no annotation", "noted"),
    "images_unseen": Kind("the image folder was not found, so no image was opened", "noted"),
}


def said(repairs: dict[str, int], source: Any) -> Iterator[str]:
    """What reading counted, a line a kind."""
    for kind, count in repairs.items():
        if KINDS[kind].outcome == "noted":
            yield f"noted while reading: {count:,} times {kind}: {KINDS[kind].meaning}"
        else:
            yield f"mended while reading: {kind}, {count:,} (`amodal data check {source}` tells more)"
