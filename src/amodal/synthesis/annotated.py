"""The unoccluded objects of an annotated data set as cut-outs: an ordinary data set becomes an amodal one."""

from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from PIL import Image, ImageFilter

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, require_images
from amodal.errors import UserError
from amodal.pictures import read_annotated_image
from amodal.synthesis.config import Split, part_of
from amodal.synthesis.cutouts import CutOut, Recent, choose, num_bytes_of, tight
from amodal.synthesis.wholeness import has_amodal_masks, whole

TRIES = 200
"""Objects looked at, one after the other, for one that stands alone."""


class AnnotatedCutOuts:
    """Objects whose whole mask is seen, cut out of their photographs when first needed.

    Left out: crowds, stuff, objects under `min_area` pixels, and those that touch the image's edge or, where no amodal
    masks say that they are whole, another object (`amodal.synthesis.wholeness`). The split is by image: the first
    `train_share` of the images, by id, train. `uniform` says which is drawn first: a category, so that rare ones come
    as often as others, or at once one of all objects.
    """

    def __init__(
        self,
        annotation_set: AnnotationSet,
        split: Split = "all",
        train_share: float = 0.75,
        *,
        min_area: int = 1024,
        uniform: Literal["categories", "objects"] = "categories",
    ) -> None:
        source = annotation_set.source
        self.folder = require_images(annotation_set.image_folder, source)
        self._label_of = annotation_set.label_of
        by_label = {self._label_of[c.id]: c.name for c in annotation_set.categories}
        self.categories = tuple(by_label[label] for label in sorted(by_label))
        if len(set(self.categories)) < len(self.categories):
            raise UserError("two categories have the same name", file=source, remedy="Rename one of them")
        chosen = part_of(sorted(annotation_set.images, key=lambda image: image.id), split, train_share)
        self._images = {image.id: image for image in chosen}
        self._by_image, self.min_area = annotation_set.by_image, min_area
        self._amodal_known = has_amodal_masks(annotation_set.annotations)
        self._whole: dict[int, frozenset[int]] = {}
        self.objects: dict[int, list[Annotation]] = defaultdict(list)
        for annotation in annotation_set.annotations:
            if annotation.image_id in self._images and _may_be_whole(annotation, min_area):
                self.objects[self._label_of[annotation.category_id] - 1].append(annotation)
        if not self.objects:
            where = "" if split == "all" else f", in the split {split!r}"
            raise UserError(
                f"no unoccluded object of {min_area} pixels or more, away from the edge{where}",
                file=source,
                remedy="Take another file" if split == "all" else "Take another file or split",
            )
        self._labels = sorted(self.objects)
        self._all = [a for label in self._labels for a in self.objects[label]] if uniform == "objects" else []
        self._recent = Recent[CutOut](num_bytes_of)

    def sample(self, rng: np.random.Generator) -> CutOut:
        """An object, its photograph read when it is first needed."""
        for _ in range(TRIES):
            annotation = choose(self._all, rng) if self._all else self._of_any_category(rng)
            if annotation.id in self._whole_in(annotation.image_id):
                return self._recent.get(annotation.id, lambda: self.read(annotation))  # noqa: B023
        raise UserError(
            f"of {TRIES} objects each touches another, and may go on behind it",
            file=self.folder,
            remedy="Take cut-outs from a data set where some objects stand alone",
        )

    def whole_ones(self) -> Iterator[tuple[str, Path, Annotation]]:
        """Category, photograph and annotation of every object that can be sampled, category by category."""
        for label, objects in sorted(self.objects.items()):
            for annotation in objects:
                if annotation.id in self._whole_in(annotation.image_id):
                    path = self.folder / self._images[annotation.image_id].file_name
                    yield self.categories[label], path, annotation

    def _of_any_category(self, rng: np.random.Generator) -> Annotation:
        return choose(self.objects[choose(self._labels, rng)], rng)

    def _whole_in(self, image_id: int) -> frozenset[int]:
        """Ids of an image's whole objects, found when first asked for: over a large data set it takes minutes."""
        if image_id not in self._whole:
            annotations = self._by_image[image_id]
            is_whole = whole(annotations, self.min_area, amodal_known=self._amodal_known)
            self._whole[image_id] = frozenset(a.id for a, w in zip(annotations, is_whole, strict=True) if w)
        return self._whole[image_id]

    def read(self, annotation: Annotation) -> CutOut:
        """The object cut out of its photograph. Raises UserError where that cannot be read."""
        record = self._images[annotation.image_id]
        path = record.place_in(self.folder)
        pixels = read_annotated_image(path, (record.height, record.width))
        left, top, width, height = map(int, rle.boxes([annotation.amodal])[0])
        box = np.s_[top - 1 : top + height + 1, left - 1 : left + width + 1]  # one pixel more, for the soft edge
        mask = rle.decode([annotation.amodal], pixels.shape[:2])[0][box]
        alpha = Image.fromarray(mask.astype(np.uint8) * 255).filter(ImageFilter.BoxBlur(1))
        cut_out = tight(
            np.dstack([pixels[box], np.asarray(alpha)]),
            self.categories[self._label_of[annotation.category_id] - 1],
            str(annotation.id),
        )
        if cut_out is None:
            raise UserError(
                "has no pixel left inside a soft edge", file=str(path), record=f"annotation {annotation.id}"
            )
        return cut_out


def _may_be_whole(annotation: Annotation, min_area: int) -> bool:
    """Whether an object is wholly visible as far as its own masks tell, and large enough: a first, quick choice."""
    if annotation.is_crowd or annotation.is_stuff:
        return False
    area, visible_area = rle.areas([annotation.amodal, annotation.visible])
    height, width = annotation.amodal["size"]
    left, top, box_width, box_height = rle.boxes([annotation.amodal])[0]
    touches_edge = left < 1 or top < 1 or left + box_width > width - 1 or top + box_height > height - 1
    return bool(area == visible_area >= min_area and not touches_edge)
