"""A COCO-like file whose every record is in the usual form, and sound: read in columns, many records at a time.

What is usual: D2SA's keys or plain COCO's, compressed run lengths, and nothing to report. Any other file is read again
record by record (`records`), which says what is wrong with which record, and mends what can be mended.
"""

from collections.abc import Collection, Mapping
from itertools import islice
from typing import Annotated, Any

import msgspec

from amodal import rle
from amodal.annotations import Annotation
from amodal.errors import UserError
from amodal.formats.json_stream import JsonDocument
from amodal.formats.stated_masks import StatedMask, encoded
from amodal.progress import counted
from amodal.rle import Rle
from amodal.rle_validation import all_have_pixels

RECORDS_AT_ONCE = 1024
_Int64 = Annotated[int, msgspec.Meta(ge=1 - 2**63, le=2**63 - 1)]


class _Stated(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A record in the usual form; the decoder sees to the types. What follows from the masks is not looked at."""

    id: _Int64
    image_id: int
    category_id: int
    segmentation: StatedMask
    visible_mask: StatedMask | None = None
    invisible_mask: StatedMask | None = None
    occl_depth: _Int64 | None = None
    iscrowd: bool | int | None = None
    isStuff: bool | int | None = None
    bbox: Any = None
    area: Any = None
    occlude_rate: Any = None


def read(
    document: JsonDocument, sizes: Mapping[int, tuple[int, int]], categories: Collection[int]
) -> list[Annotation] | None:
    """All annotations of the file; None where one is not in the usual form, or there is something to report.

    Args:
        document: The file.
        sizes: Height and width by image id.
        categories: The known categories' ids.
    """
    found: list[Annotation] = []
    waiting = iter(counted(document.annotations(_Stated), f"reading {document.path.name}", "objects"))
    try:
        while some := list(islice(waiting, RECORDS_AT_ONCE)):
            read_on = _annotations(some, sizes, categories)
            if read_on is None:
                return None
            found += read_on
    except (msgspec.ValidationError, UserError):
        return None
    return found if len({annotation.id for annotation in found}) == len(found) else None


def _annotations(
    some: list[_Stated], sizes: Mapping[int, tuple[int, int]], categories: Collection[int]
) -> list[Annotation] | None:
    wanted = [sizes.get(one.image_id) for one in some]
    if None in wanted or any(one.category_id not in categories for one in some):
        return None
    amodal = encoded([one.segmentation for one in some], wanted)  # type: ignore[arg-type]
    if amodal is None or not all_have_pixels(amodal):
        return None
    visible = _visible(some, amodal)
    if visible is None:
        return None
    return [
        Annotation(
            one.id,
            one.image_id,
            one.category_id,
            whole,
            visible_mask,
            bool(one.iscrowd),
            bool(one.isStuff),
            one.occl_depth,
        )
        for one, whole, visible_mask in zip(some, amodal, visible, strict=True)
    ]


def _visible(some: list[_Stated], amodal: list[Rle]) -> list[Rle] | None:
    """The visible masks; None where one is told by the invisible mask, or leaves the amodal one."""
    if any(one.invisible_mask is not None for one in some if one.visible_mask is None):
        return None
    places = [place for place, one in enumerate(some) if one.visible_mask is not None]
    masks = encoded([mask for one in some if (mask := one.visible_mask)], [tuple(amodal[p]["size"]) for p in places])  # type: ignore[misc]
    if masks is None:
        return None
    visible = amodal[:]
    for place, mask in zip(places, masks, strict=True):
        if mask["counts"] == amodal[place]["counts"]:
            continue  # one mask and not two alike
        if rle.intersect(amodal[place], mask)["counts"] != mask["counts"]:
            return None
        visible[place] = mask
    return visible
