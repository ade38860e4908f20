"""Annotated photographs at one size, with which of their objects are wholly visible."""

from collections import Counter
from collections.abc import Sequence, Set
from copy import copy
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord, require_images
from amodal.categories import key, labels_by_name, listed
from amodal.errors import UserError
from amodal.pictures import read_annotated_image
from amodal.synthesis.wholeness import has_amodal_masks, whole


@dataclass(frozen=True)
class Photograph:
    """A photograph with its own objects, resized.

    Attributes:
        image: RGB, uint8 (H, W, 3).
        masks: What is visible of each object, bool (N, H, W).
        labels: Places of the categories in the source's list, from 1.
        is_whole: Whether the object is wholly visible, so that its mask is its amodal mask.
        names: What cut-outs of its own objects are called: none of them is laid over it.
    """

    image: UInt8[np.ndarray, "H W 3"]
    masks: Bool[np.ndarray, "N H W"]
    labels: Int64[np.ndarray, " N"]
    is_whole: Bool[np.ndarray, " N"]
    names: frozenset[str] = frozenset()


class Photographs:
    """The annotated photographs that show an object of some categories, resized to a longer side of `side` pixels.

    Args:
        annotation_set: Photographs with masks of what is visible.
        categories: Names of the categories that count; none given: all. Objects of others are background.
        merged: All of them count as one category of this name, for what is to work on any object.
        side: Longer side of a photograph, in pixels.
        min_area: Least area of a whole object at that size, in pixels.
        up_to_border: Whether an object that the border cuts counts as whole up to there, as in the field's data sets.
    """

    def __init__(
        self,
        annotation_set: AnnotationSet,
        categories: Sequence[str] = (),
        side: int = 256,
        *,
        merged: str | None = None,
        min_area: int = 256,
        up_to_border: bool = False,
    ) -> None:
        self.folder, self.side = require_images(annotation_set.image_folder, annotation_set.source), side
        self.min_area, self.up_to_border = min_area, up_to_border
        known = sorted(annotation_set.categories, key=lambda category: category.id)
        wanted, names = {key(name) for name in categories}, labels_by_name(known)
        if unknown := [name for name in categories if key(name) not in names]:
            raise UserError(f"it has no category {listed(unknown)}", file=annotation_set.source)
        chosen = [category for category in known if not categories or key(category.name) in wanted]
        self.categories = tuple(category.name for category in chosen) if merged is None else (merged,)
        self._label_of = {c.id: label if merged is None else 1 for label, c in enumerate(chosen, start=1)}
        self._label_of_name = {category.name: self._label_of[category.id] for category in chosen}
        self._objects = annotation_set.by_image
        self._amodal_known = has_amodal_masks(annotation_set.annotations)
        ordered = sorted(annotation_set.images, key=lambda image: image.id)
        self._whole: dict[int, Bool[np.ndarray, " N"]] = {}
        self._show([image for image in ordered if self._labels_in(image.id)])
        if not self.images:
            raise UserError("no photograph shows an object of these categories", file=annotation_set.source)

    def __len__(self) -> int:
        return len(self.images)

    def repeated(self, threshold: float) -> "Photographs":
        """The same, those of rare categories several times (`repeats`)."""
        often, times = copy(self), repeats([self._labels_in(image.id) for image in self.images], threshold)
        often._show([image for image, number in zip(self.images, times, strict=True) for _ in range(number)])
        return often

    def _show(self, images: list[ImageRecord]) -> None:
        """Takes these images, in their order."""
        self.images = images
        self.wide = bytes(image.width >= image.height for image in images)  # looked up for every scene

    def _is_whole(self, image_id: int, least: int) -> Bool[np.ndarray, " N"]:
        """`whole` of an image's objects, found when first asked for."""
        if image_id not in self._whole:
            self._whole[image_id] = whole(
                self._objects[image_id], least, up_to_border=self.up_to_border, amodal_known=self._amodal_known
            )
        return self._whole[image_id]

    def _labels_in(self, image_id: int) -> set[int]:
        """Labels of the objects that count in an image."""
        objects = self._objects.get(image_id, ())
        return {self._label_of[a.category_id] for a in objects if a.category_id in self._label_of and not a.is_crowd}

    def label_of(self, category: str) -> int:
        """The label of a category's name, from 1; 0 if it does not count."""
        return self._label_of_name.get(category, 0)

    def __getitem__(self, index: int) -> Photograph:
        """A photograph, read from its file. Raises UserError where that is missing, damaged or of another size."""
        record = self.images[index]
        size = (record.height, record.width)
        pixels = read_annotated_image(record.place_in(self.folder), size)
        everything = self._objects[record.id]
        scale = self.side / max(size)
        least = max(round(self.min_area / scale**2), 1)
        is_whole = self._is_whole(record.id, least)
        kept = [i for i, a in enumerate(everything) if a.category_id in self._label_of and not a.is_crowd]
        new_size = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
        image = Image.fromarray(pixels).resize((new_size[1], new_size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return Photograph(
            np.asarray(image),
            _resized([everything[i] for i in kept], size, new_size),
            np.array([self._label_of[everything[i].category_id] for i in kept], dtype=np.int64),
            is_whole[kept],
            frozenset(str(a.id) for a in everything),
        )


def repeats(labels_of: Sequence[Set[int]], threshold: float) -> list[int]:
    """How often each image comes in a round: the root of `threshold` over the share of its rarest category, rounded.

    Args:
        labels_of: The categories that each image shows.
        threshold: Images whose categories all are this frequent, a share of the images, come once.
    """
    frequency = Counter(label for labels in labels_of for label in labels)
    rarest = [min((frequency[label] for label in labels), default=len(labels_of)) for labels in labels_of]
    return [max(round((threshold * len(labels_of) / number) ** 0.5), 1) for number in rarest]


def _resized(annotations: Sequence[Annotation], size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """Visible masks (N, H, W) at another size."""
    masks = rle.decode([annotation.visible for annotation in annotations], size)
    resized = np.zeros((len(masks), *new_size), dtype=bool)
    for own, mask in zip(resized, masks, strict=True):
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        own[:] = np.asarray(grey.resize((new_size[1], new_size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)) >= 128
    return resized


def photograph_of(photographs: Photographs, seed: int, index: int, group: int = 1) -> Photograph:
    """The photograph of scene `index`: each comes once before any comes again, in an order of the seed's.

    With a `group`, runs of so many scenes show photographs that are all wide or all upright, so that batches of one
    shape need little padding; what fills no group sits out one round.
    """
    order = _order(seed, 0, photographs.wide, group)
    epoch, place = divmod(index, len(order))
    return photographs[int(_order(seed, epoch, photographs.wide, group)[place])]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, wide: bytes, group: int) -> np.ndarray:
    """Places of all photographs, of each of which `wide` says whether (1) it is as wide as high, or not (0)."""
    rng = np.random.default_rng((seed, epoch))
    if group == 1:
        return rng.permutation(len(wide))
    runs = []
    for shape in (True, False):
        members = rng.permutation(np.flatnonzero(np.frombuffer(wide, dtype=np.uint8) == shape))
        runs += [members[i : i + group] for i in range(0, len(members) - group + 1, group)]
    return np.concatenate([runs[i] for i in rng.permutation(len(runs))]) if runs else rng.permutation(len(wide))
