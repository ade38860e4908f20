"""From what a file states to annotations: one record at a time, each problem reported, none raised from here."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

from amodal import rle
from amodal.annotations import TEXT_ID, Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.files import place_of
from amodal.formats import box_masks, text_ids
from amodal.formats.choices import Choices
from amodal.formats.contents import CATEGORY_KEYS, IMAGE_KEYS, Contents, Record, called, extra_of
from amodal.formats.problems import Problem, RejectedRecord, Report, shortened
from amodal.pictures import image_size
from amodal.progress import counted
from amodal.rle import Rle
from amodal.rle_validation import NUM_TOGETHER, sound_areas


def assemble(
    contents: Contents, images: list[ImageRecord], annotations: list[Annotation], categories: list[Category]
) -> AnnotationSet:
    """What is usable of a file's contents, with what else the file holds of it. Ids used twice get new ones."""
    members = {"images", "annotations", "categories"}
    used = {category.id for category in categories}
    return AnnotationSet(
        images,
        renumber(annotations),
        categories,
        contents.image_folder,
        contents.path,
        document={key: value for key, value in contents.document.items() if key not in members},
        category_fields={
            identity: extra
            for raw in contents.categories
            if isinstance(raw, dict)
            and (extra := extra_of(raw, CATEGORY_KEYS))
            and (identity := _identity(raw)) in used
        },
    )


def _identity(raw: dict[str, Any]) -> int | None:
    try:
        return whole(raw.get("id"), "id")
    except RejectedRecord:
        return None


def images(contents: Contents, report: Report) -> list[ImageRecord]:
    """The images that are usable; the others are reported."""
    found: dict[int, ImageRecord] = {}
    numbers = text_ids.numbers(contents.images)
    for index, raw in enumerate(contents.images):
        name = called("image", raw, index)
        try:
            image = _image(raw, contents.image_folder, numbers)
        except RejectedRecord as refused:
            report(Problem(refused.kind, name, refused.detail))
            continue
        if image.id in found:
            report(Problem("duplicate_image", name, f"its id is also that of {found[image.id].file_name}"))
            continue
        found[image.id] = replace(image, stored=contents.stored[index]) if contents.stored else image
    return list(found.values())


def _image(raw: Any, folder: Path | None, numbers: dict[str, int]) -> ImageRecord:
    if not isinstance(raw, dict):
        raise RejectedRecord("bad_record", "not a JSON object")
    file_name = raw.get("file_name")
    if not isinstance(file_name, str) or not file_name:
        raise RejectedRecord("bad_record", "no 'file_name'")
    height, width = size_of(raw, folder)
    identity, extra = raw.get("id"), extra_of(raw, IMAGE_KEYS)
    if isinstance(identity, str) and identity in numbers:
        return ImageRecord(numbers[identity], file_name, height, width, {**(extra or {}), TEXT_ID: identity})
    return ImageRecord(whole(identity, "id"), file_name, height, width, extra)


def size_of(raw: dict[str, Any], folder: Path | None) -> tuple[int, int]:
    """Height and width of an image as stated, or else as its file has it. Raises RejectedRecord."""
    if raw.get("height") is None or raw.get("width") is None:
        try:
            return image_size(place_of(folder or Path(), raw["file_name"]))
        except UserError:
            problem = f"no height and width, and '{raw['file_name']}' cannot be opened to measure them"
            raise RejectedRecord("bad_record", problem) from None
    height, width = whole(raw["height"], "height"), whole(raw["width"], "width")
    if not rle.is_size((height, width)):
        raise RejectedRecord("bad_record", f"height {height} and width {width} are no size of an image")
    return height, width


def inside(file_name: str) -> Path:
    """`file_name` as a path that stays in the folder it starts from. Raises UserError for one that leaves it."""
    path = PurePosixPath(file_name.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or not path.name:
        raise UserError(f"the image's name '{file_name}' leaves its folder", remedy="Use names inside the image folder")
    return Path(path)


def categories(contents: Contents, report: Report) -> list[Category]:
    """The categories that are usable; the others are reported."""
    found: dict[int, Category] = {}
    for index, raw in enumerate(contents.categories):
        name = called("category", raw, index)
        try:
            if not isinstance(raw, dict) or not isinstance(raw.get("name"), str):
                raise RejectedRecord("bad_record", "no 'name'")
            category = Category(whole(raw.get("id"), "id"), raw["name"], str(raw.get("supercategory") or ""))
            if category.id in found:
                raise RejectedRecord(
                    "duplicate_category", f"'{category.name}' and '{found[category.id].name}' share it"
                )
        except RejectedRecord as refused:
            report(Problem(refused.kind, name, refused.detail))
            continue
        found[category.id] = category
    return list(found.values())


def annotations(
    contents: Contents, images: list[ImageRecord], categories: list[Category], report: Report
) -> Iterator[tuple[Record, Annotation]]:
    """Each usable record with the annotation made of it; what is wrong is reported, what can be mended is.

    An annotation whose id was used before keeps it here: `renumber` gives new ones when the largest is known.
    """
    sizes = {image.id: (image.height, image.width) for image in images}
    known, seen = {category.id for category in categories}, set()
    numbers = text_ids.numbers(contents.images)
    progress = counted(contents.records, f"reading {contents.path.name}", "objects")
    for record, ready in _with_sound_masks(progress):
        if isinstance(record, Problem):
            report(record)
            continue
        try:
            if isinstance(record.image_id, str):
                record = record._replace(image_id=numbers.get(record.image_id, record.image_id))  # noqa: PLW2901
            annotation = _annotation(record, sizes, known, _Masks(ready, report, contents.choices))
        except RejectedRecord as refused:
            report(Problem(refused.kind, record.name, refused.detail))
            continue
        if annotation is None:
            continue
        if annotation.id in seen:
            report(Problem("duplicate_id", record.name, f"id {annotation.id} is used before"))
        seen.add(annotation.id)
        yield record, annotation


Ready = dict[int, tuple[Rle, int]]
"""Run lengths that are known to be sound, and their pixels, by the `id()` of what a record states."""


def _with_sound_masks(records: Iterable[Record | Problem]) -> Iterator[tuple[Record | Problem, Ready]]:
    """Each record, with its masks that are sound run lengths: checked many at a time, in a fraction of the time."""
    waiting = iter(records)
    while batch := list(islice(waiting, NUM_TOGETHER)):
        ready: Ready = {}
        masks = [mask for record in batch if isinstance(record, Record) for mask in _used(record) if _is_text(mask)]
        encoded = [_as_rle(mask) for mask in masks]
        for mask, found, area in zip(masks, encoded, sound_areas(encoded).tolist(), strict=True):
            if area >= 0:
                ready[id(mask)] = found, area
        for record in batch:
            yield record, ready


def _used(record: Record) -> tuple[Any, Any]:
    """The masks that are used: the invisible one only where it tells the visible one."""
    return record.amodal, record.invisible if record.visible is None else record.visible


def _is_text(mask: Any) -> bool:
    """Whether a mask is compressed run lengths, damaged or not, of an image's size."""
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str | bytes):
        return False
    return rle.is_size(mask.get("size"))


def _as_rle(mask: dict[str, Any]) -> Rle:
    counts = mask["counts"]
    return Rle(size=mask["size"], counts=counts.encode("ascii", "replace") if isinstance(counts, str) else counts)


def renumber(annotations: list[Annotation]) -> list[Annotation]:
    """The annotations with new ids, from the largest on, for those whose id came before."""
    if len({annotation.id for annotation in annotations}) == len(annotations):
        return annotations
    free = max((a.id for a in annotations), default=0) + 1
    seen: set[int] = set()
    unique = []
    for annotation in annotations:
        if annotation.id in seen:
            annotation, free = replace(annotation, id=free), free + 1  # noqa: PLW2901
        seen.add(annotation.id)
        unique.append(annotation)
    return unique


def _annotation(
    record: Record, sizes: dict[int, tuple[int, int]], known: set[int], masks: "_Masks"
) -> Annotation | None:
    identity = whole(record.id, "id")
    image_id, category_id = whole(record.image_id, "image_id"), whole(record.category_id, "category_id")
    size = sizes.get(image_id)
    if size is None:
        raise RejectedRecord("unknown_image", f"image_id {image_id} is not in 'images'")
    if category_id not in known:
        raise RejectedRecord(
            "unknown_category", f"category_id {category_id} is not in 'categories'; list it there, or correct it"
        )
    if record.amodal is None:
        raise RejectedRecord("bad_record", "no amodal mask ('segmentation')")
    if box_masks.is_box(record.amodal):
        masks.report(Problem("box_only", record.name, f"{shortened(record.amodal)} is a box, not a polygon"))
        if not masks.choices.boxes_are_objects:
            return None
        record = record._replace(amodal=box_masks.rectangles(record.amodal, size))
    amodal, area = masks.parse(record.amodal, size, record.name)
    visible = masks.visible(record, amodal, size)
    if not area:
        masks.report(Problem("amodal_empty", record.name, "its amodal mask has no pixel"))
        return None
    order = None if record.depth_order is None else whole(record.depth_order, "depth order")
    crowd, stuff = bool(record.is_crowd) and not masks.choices.crowds_are_objects, bool(record.is_stuff)
    return Annotation(identity, image_id, category_id, amodal, visible, crowd, stuff, order, record.extra)


@dataclass(frozen=True, slots=True)
class _Masks:
    """Makes run lengths of what records state; `ready` holds those that are made already."""

    ready: Ready
    report: Report
    choices: Choices

    def visible(self, record: Record, amodal: Rle, size: tuple[int, int]) -> Rle:
        """The visible mask, within the amodal one."""
        if record.visible is None:
            if record.invisible is None:
                return amodal
            return rle.subtract(amodal, self.parse(record.invisible, size, record.name)[0])
        visible, before = self.parse(record.visible, size, record.name)
        if visible["counts"] == amodal["counts"]:
            return amodal  # one mask and not two alike
        clamped = rle.intersect(amodal, visible)
        if clamped["counts"] == visible["counts"]:
            return visible
        after = rle.areas([clamped])[0]
        if after == before:  # the same mask, written in another way
            return visible
        problem = f"{before - after} of {before} visible pixels lie outside"
        self.report(Problem("visible_outside", record.name, problem))
        return clamped

    def parse(self, mask: Any, size: tuple[int, int], name: str) -> tuple[Rle, int]:
        """The mask as run lengths of the image's size, and its pixels. Raises RejectedRecord."""
        if isinstance(mask, dict) and mask.get("size") != list(size):
            stated = shortened(mask.get("size"))
            raise RejectedRecord("mask_size", f"mask size {stated}, but the image is {list(size)} (height, width)")
        if known := self.ready.get(id(mask)):
            return known
        try:
            parsed, dropped = rle.from_json(mask, size)
        except ValueError as error:
            raise RejectedRecord("bad_mask", str(error)) from None
        if dropped:
            self.report(Problem("polygon_dropped", name, f"{dropped} of its polygons"))
        return parsed, int(rle.areas([parsed])[0])


def whole(value: Any, key: str) -> int:
    """`value` as an int of 64 bits, also from 3.0 or "3". Raises RejectedRecord."""
    number = value if type(value) is int else None
    if number is None and not isinstance(value, bool):
        try:
            number = int(value) if isinstance(value, str) or int(value) == value else None
        except (TypeError, ValueError, OverflowError):
            number = None
    if number is not None and abs(number) >= 2**63:
        raise RejectedRecord("bad_record", f"'{key}' is {shortened(value)}, more than 64 bits hold")
    if number is None:
        raise RejectedRecord("bad_record", f"'{key}' is {shortened(value)}, not a whole number")
    return number
