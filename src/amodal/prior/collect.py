"""The amodal masks of a data set, as the shape prior sees them: each cropped to its box."""

from collections.abc import Iterable, Iterator
from typing import Protocol, TypedDict, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int64
from torch import Tensor
from tqdm import tqdm

from amodal import masks, rle
from amodal.annotations import Annotation, Category, labels_of
from amodal.instances import Target, select
from amodal.prior.autoencoder import MASK_SIDE

MARGIN = 1
"""Pixels kept around a mask's box: bilinear sampling at its edge sees its neighbours."""


class HasTarget(TypedDict):
    """What is used of a sample."""

    target: Target


class Samples(Protocol):
    """A data set of samples by index."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> HasTarget: ...


@runtime_checkable
class Annotated(Protocol):
    """What is used of annotations: an `AnnotationSet`, or one that is mapped from a file."""

    @property
    def annotations(self) -> Iterable[Annotation]:
        """All of them."""
        ...

    @property
    def categories(self) -> list[Category]:
        """Theirs."""
        ...


def collect_masks(
    source: Annotated | Samples, *, skip_cut: bool = False
) -> tuple[Bool[Tensor, "M 28 28"], Int64[Tensor, " M"]]:
    """The amodal mask of every object, cropped to its box at 28 x 28, and its label, from 1.

    Args:
        source: Annotations, whose images are not needed (crowds and stuff are left out); or any data set of samples.
        skip_cut: Leave out objects that reach the image's border: they may be cut there.
    """
    found = _of_annotations(source) if isinstance(source, Annotated) else _of_samples(source)
    crops, labels = [], []
    for crop, label, is_cut in found:
        keep = crop.flatten(1).any(1) & ~(is_cut & skip_cut)
        crops.append(crop[keep])
        labels.append(label[keep])
    if not crops:
        return torch.zeros((0, MASK_SIDE, MASK_SIDE), dtype=torch.bool), torch.zeros(0, dtype=torch.int64)
    return torch.cat(crops), torch.cat(labels)


Found = Iterator[tuple[Tensor, Tensor, Tensor]]
"""Of one image: crops bool (N, 28, 28), labels int64 (N,), and which reach the image's border, bool (N,)."""


def _of_samples(samples: Samples) -> Found:
    for index in tqdm(range(len(samples)), "masks", unit="image", disable=None):
        target = samples[index]["target"]
        if "exact" in target:
            target = select(target, target["exact"])
        amodal = target["amodal_masks"]
        yield (
            masks.crop(amodal, masks.boxes(amodal), torch.arange(len(amodal)), MASK_SIDE),
            target["labels"],
            amodal[:, [0, -1]].any(2).any(1) | amodal[:, :, [0, -1]].any(2).any(1),
        )


def _of_annotations(annotation_set: Annotated) -> Found:
    label_of = labels_of(annotation_set.categories)
    for annotation in tqdm(annotation_set.annotations, "masks", unit="object", disable=None):
        if not (annotation.is_crowd or annotation.is_stuff) and rle.areas([annotation.amodal])[0]:
            yield _of_annotation(annotation, label_of[annotation.category_id])


def _of_annotation(annotation: Annotation, label: int) -> tuple[Tensor, Tensor, Tensor]:
    height, width = annotation.amodal["size"]
    x, y, w, h = rle.boxes([annotation.amodal])[0].astype(int)
    left, top = max(x - MARGIN, 0), max(y - MARGIN, 0)
    mask = rle.decode([annotation.amodal], (height, width))[:, top : y + h + MARGIN, left : x + w + MARGIN]
    box = torch.tensor([[x - left, y - top, x - left + w, y - top + h]], dtype=torch.float32)
    crop = masks.crop(torch.from_numpy(np.ascontiguousarray(mask)), box, torch.zeros(1, dtype=torch.int64), MASK_SIDE)
    return crop, torch.tensor([label]), torch.tensor([x == 0 or y == 0 or x + w == width or y + h == height])
