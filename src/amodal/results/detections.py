"""Many detections as columns: half a million of them are read, checked and scored without an object for each."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import overload

import numpy as np

from amodal.annotations import Detection
from amodal.rle import Rle

Masks = list[Rle | None]


@dataclass(frozen=True, eq=False)
class Detections(Sequence[Detection]):
    """A sequence of `Detection`s, kept as columns; an item is made when it is asked for.

    Attributes:
        image_ids: int64 (D,).
        category_ids: int64 (D,).
        scores: float64 (D,).
        boxes: Amodal boxes, xyxy in pixels, float64 (D, 4); NaN where a detection states none.
        amodal: Amodal masks, D of them.
        visible: Visible masks, D of them.
        depth_orders: Places from the front, D of them.
    """

    image_ids: np.ndarray
    category_ids: np.ndarray
    scores: np.ndarray
    boxes: np.ndarray
    amodal: Masks
    visible: Masks
    depth_orders: list[int | None]

    @staticmethod
    def of(detections: Sequence[Detection]) -> "Detections":
        """Any detections as columns; columns as they are."""
        if isinstance(detections, Detections):
            return detections
        nowhere = (np.nan,) * 4
        return Detections(
            np.array([d.image_id for d in detections], dtype=np.int64),
            np.array([d.category_id for d in detections], dtype=np.int64),
            np.array([d.score for d in detections], dtype=np.float64),
            np.array([d.box or nowhere for d in detections], dtype=np.float64).reshape(-1, 4),
            [d.amodal for d in detections],
            [d.visible for d in detections],
            [d.depth_order for d in detections],
        )

    @staticmethod
    def joined(parts: Sequence["Detections"]) -> "Detections":
        """The parts one after another; at least one."""
        return Detections(
            np.concatenate([part.image_ids for part in parts]),
            np.concatenate([part.category_ids for part in parts]),
            np.concatenate([part.scores for part in parts]),
            np.concatenate([part.boxes for part in parts]),
            [mask for part in parts for mask in part.amodal],
            [mask for part in parts for mask in part.visible],
            [order for part in parts for order in part.depth_orders],
        )

    def take(self, places: np.ndarray) -> "Detections":
        """Those at `places`, int (P,), in that order."""
        chosen = places.tolist()
        return Detections(
            self.image_ids[places],
            self.category_ids[places],
            self.scores[places],
            self.boxes[places],
            [self.amodal[p] for p in chosen],
            [self.visible[p] for p in chosen],
            [self.depth_orders[p] for p in chosen],
        )

    @cached_property
    def kinds_of_masks(self) -> frozenset[str]:
        """Of "amodal" and "visible", the masks that every detection has; both where there are no detections."""
        return frozenset(
            kind for kind, masks in (("amodal", self.amodal), ("visible", self.visible)) if None not in masks
        )

    @property
    def has_box(self) -> np.ndarray:
        """Whether each states a box, bool (D,)."""
        return ~np.isnan(self.boxes[:, 0])

    def __len__(self) -> int:
        return len(self.scores)

    @overload
    def __getitem__(self, index: int) -> Detection: ...
    @overload
    def __getitem__(self, index: slice) -> "Detections": ...
    def __getitem__(self, index: int | slice) -> "Detection | Detections":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        box = None if np.isnan(self.boxes[index, 0]) else tuple(self.boxes[index].tolist())
        return Detection(
            int(self.image_ids[index]),
            int(self.category_ids[index]),
            float(self.scores[index]),
            box,  # type: ignore[arg-type]
            self.amodal[index],
            self.visible[index],
            self.depth_orders[index],
        )

    def __iter__(self) -> Iterator[Detection]:
        return (self[place] for place in range(len(self)))

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and list(self) == list(other)


def of_image(
    image_id: int,
    category_ids: Sequence[int],
    scores: np.ndarray,
    boxes: np.ndarray,
    masks: tuple[Sequence[Rle] | None, Sequence[Rle] | None],
    depth_orders: Sequence[int | None] | None = None,
) -> list[Detection]:
    """One image's detections, in the order given.

    Args:
        image_id: The image's id in the annotations.
        category_ids: Ids in the annotations, not labels.
        scores: (N,).
        boxes: Amodal boxes, xyxy in pixels (N, 4).
        masks: Amodal and visible ones; None for those that the system does not predict.
        depth_orders: Places from the front, where they are known.
    """
    amodal, visible = ([None] * len(scores) if own is None else own for own in masks)
    orders = depth_orders or [None] * len(scores)
    columns = zip(category_ids, scores.tolist(), boxes.tolist(), amodal, visible, orders, strict=True)
    return [
        Detection(image_id, category_id, score, tuple(box), own_amodal, own_visible, order)
        for category_id, score, box, own_amodal, own_visible, order in columns
    ]


def by_image(image_ids: np.ndarray, wanted: np.ndarray) -> Iterator[np.ndarray]:
    """Where each of the `wanted` image ids (ascending) stands among `image_ids`: its places, ascending, for each."""
    order = np.argsort(image_ids, kind="stable")
    ordered = image_ids[order]
    low, high = ordered.searchsorted(wanted, "left"), ordered.searchsorted(wanted, "right")
    return (order[start:stop] for start, stop in zip(low.tolist(), high.tolist(), strict=True))
