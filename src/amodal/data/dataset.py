"""What a model is trained and validated on: samples, each an image and its target."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, TypedDict

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord, labels_of, require_images
from amodal.data.mapped import MappedAnnotations, single_objects
from amodal.errors import UserError
from amodal.instances import Target
from amodal.pictures import read_annotated_image


class Sample(TypedDict):
    """An image in RGB, what is in it, and its id in the annotations."""

    image: UInt8[Tensor, "3 H W"]
    target: Target
    image_id: int


class SampleSet(Protocol):
    """A data set of samples by index. Label l stands for `categories[l - 1]`."""

    categories: list[Category]

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


class AnnotatedImages:
    """The images of an annotation set, read and decoded when they are asked for.

    Crowd regions are left out: they are no single objects. So are objects whose amodal mask is empty.

    Args:
        annotation_set: With its image folder known.
        keep_empty: Whether images without objects take part.
        keep_stuff: Whether regions marked as stuff count as objects.

    Raises:
        UserError: The image folder is unknown, or there is no image left.
    """

    def __init__(self, annotation_set: AnnotationSet, *, keep_empty: bool = True, keep_stuff: bool = False) -> None:
        self.annotation_set = annotation_set
        self.categories = sorted(annotation_set.categories, key=lambda category: category.id)
        self._label_of = annotation_set.label_of
        self._objects = {
            image_id: single_objects(found, keep_stuff=keep_stuff)
            for image_id, found in annotation_set.by_image.items()
        }
        self.images = [image for image in annotation_set.images if keep_empty or self._objects.get(image.id)]
        self.folder = _require_content(annotation_set, len(self.images))

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> Sample:
        """The sample of `images[index]`. Raises UserError where its file is missing, damaged or of another size."""
        record = self.images[index]
        return sample_of(self.folder, record, self._objects.get(record.id, []), self._label_of)


class MappedImages:
    """The same of annotations that all processes of a machine share.

    Args:
        annotations: With their image folder known.

    Raises:
        UserError: As `AnnotatedImages`.
    """

    def __init__(self, annotations: MappedAnnotations) -> None:
        self.annotation_set, self.categories = annotations, annotations.categories
        self._label_of = labels_of(self.categories)
        self.folder = _require_content(annotations, len(annotations))

    def __len__(self) -> int:
        return len(self.annotation_set)

    def __getitem__(self, index: int) -> Sample:
        """As `AnnotatedImages`."""
        return sample_of(self.folder, *self.annotation_set[index], self._label_of)


def _require_content(annotations: AnnotationSet | MappedAnnotations, num_images: int) -> Path:
    """The image folder of a data set that can be sampled. Raises UserError for any other."""
    source = annotations.source
    folder = require_images(annotations.image_folder, source)
    if not num_images or not annotations.categories:
        missing = "images" if annotations.categories else "categories"
        raise UserError(f"the data set has no {missing}", file=source, remedy="Give one that lists some")
    return folder


def sample_of(folder: Path, record: ImageRecord, found: Sequence[Annotation], label_of: dict[int, int]) -> Sample:
    """An image, read, and its objects.

    Args:
        folder: Of the images.
        record: The image.
        found: Its objects; those whose amodal mask is empty are left out.
        label_of: Label of each category id.

    Raises:
        UserError: The image's file is missing, damaged or of another size.
    """
    pixels = read_annotated_image(record.place_in(folder), (record.height, record.width))
    image = torch.from_numpy(pixels.transpose(2, 0, 1).copy())
    objects = [a for a in found if rle.areas([a.amodal])[0]]
    size = (record.height, record.width)
    corners = rle.boxes([a.amodal for a in objects])  # xywh
    corners[:, 2:] += corners[:, :2]
    target: Target = {
        "boxes": torch.from_numpy(corners.astype(np.float32)),
        "labels": torch.tensor([label_of[a.category_id] for a in objects], dtype=torch.int64),
        "amodal_masks": torch.from_numpy(rle.decode([a.amodal for a in objects], size)),
        "visible_masks": torch.from_numpy(rle.decode([a.visible for a in objects], size)),
    }
    order = _depth_order(objects)
    if order is not None:
        target["depth_order"] = order
    return {"image": image, "target": target, "image_id": record.id}


def _depth_order(objects: Sequence[Annotation]) -> Tensor | None:
    """Each object's place from the front, int64 (N,), if every object's is known."""
    places = [a.depth_order for a in objects]
    return torch.tensor(places, dtype=torch.int64) if all(place is not None for place in places) else None
