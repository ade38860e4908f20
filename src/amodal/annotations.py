"""Annotations of a data set in memory: what every file format is read into and written from.

Masks are run lengths, so that a data set of 100,000 objects fits in memory. The amodal box and the areas are
computed from the masks, never stored.
"""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from msgspec import ValidationError, convert

from amodal.archives import Stored
from amodal.errors import UserError
from amodal.files import place_of
from amodal.rle import Rle

Extra = dict[str, Any]
"""Fields of a file that this package gives no meaning to, as they stand there: kept for whoever reads them next."""
TEXT_ID = "text_id"
"""The extra field of an image whose file names it by a text instead of a whole number."""


@dataclass(frozen=True, slots=True)
class Category:
    """A class of objects as the data set's file names it. Ids need not be contiguous."""

    id: int
    name: str
    supercategory: str = ""


def categories_from_json(content: Any) -> list[Category]:
    """The categories of a model's or a prior's description, each `{id, name, supercategory}`. Raises UserError."""
    try:
        return convert(content, list[Category])
    except ValidationError as error:
        raise UserError(f"its categories are no categories ({error})") from error


def labels_of(categories: Iterable[Category]) -> dict[int, int]:
    """Category id -> model label, from 1 in the order of the ids."""
    return {c.id: label for label, c in enumerate(sorted(categories, key=lambda c: c.id), start=1)}


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image of a data set: `file_name` is relative to the data set's image folder, unless it is `stored` elsewhere.

    Attributes:
        stored: Where it lies in an archive.
    """

    id: int
    file_name: str
    height: int
    width: int
    extra: Extra | None = field(default=None, hash=False)
    stored: Stored | None = None

    def place_in(self, folder: Path) -> Path | Stored:
        """Where its picture is, if the data set's image folder is `folder`."""
        return self.stored or place_of(folder, self.file_name)


@dataclass(frozen=True, slots=True)
class Annotation:
    """One object in one image. `visible` lies within `amodal`; `depth_order` counts from the front, 0 nearest."""

    id: int
    image_id: int
    category_id: int
    amodal: Rle
    visible: Rle
    is_crowd: bool = False
    is_stuff: bool = False
    depth_order: int | None = None
    extra: Extra | None = None


@dataclass(frozen=True, slots=True)
class Detection:
    """One predicted object of one image, from any system.

    Attributes:
        image_id: The image's id in the annotations.
        category_id: The category's id in the annotations (not a model's class index).
        score: Confidence; only its order matters to AP.
        box: Amodal box, xyxy in pixels; None derives it from the amodal mask.
        amodal: The whole object. None for a system that predicts visible masks only.
        visible: The visible part. None for a system that predicts amodal masks only.
        depth_order: Place from the front, 0 nearest, where the system predicts it.
    """

    image_id: int
    category_id: int
    score: float
    box: tuple[float, float, float, float] | None = None
    amodal: Rle | None = None
    visible: Rle | None = None
    depth_order: int | None = None


@dataclass(frozen=True)
class AnnotationSet:
    """A data set's annotations. A model's label l (from 1) stands for `categories[l - 1]`: sorted by id.

    Attributes:
        repairs: What reading mended, counted by kind; `amodal data check` tells what each kind means.
        document: Other members of the file: `info`, `licenses`, ...
        category_fields: Extra fields of categories, by id. (A model keeps its categories, but not these.)
    """

    images: list[ImageRecord]
    annotations: list[Annotation]
    categories: list[Category]
    image_folder: Path | None = None
    source: Path | None = field(default=None, compare=False)
    repairs: dict[str, int] = field(default_factory=dict, compare=False)
    document: Extra = field(default_factory=dict)
    category_fields: dict[int, Extra] = field(default_factory=dict)

    @cached_property
    def by_image(self) -> dict[int, list[Annotation]]:
        """The annotations of each image id; an image without any gives an empty list."""
        groups: dict[int, list[Annotation]] = defaultdict(list)
        for annotation in self.annotations:
            groups[annotation.image_id].append(annotation)
        return groups

    @cached_property
    def label_of(self) -> dict[int, int]:
        """Category id -> model label, from 1 in the order of the ids."""
        return labels_of(self.categories)


def require_images(folder: Path | None, source: str | Path | None) -> Path:
    """The image folder of annotations that were read from `source`. Raises UserError where it was not found."""
    if folder is None:
        remedy = "Give their folder (--images FOLDER), or put them into images/ beside the annotations"
        raise UserError("its images were not found", file=source, remedy=remedy)
    return Path(folder)
