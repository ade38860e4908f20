"""What a model saw in one image, as NumPy arrays that any tool can use."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64
from PIL import Image

from amodal import mask_arrays, rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.arguments import require_word
from amodal.boxed_masks import BoxedMasks
from amodal.errors import UserError
from amodal.pixels import as_pixels
from amodal.results.depth_order import covered_pixels, front_to_back
from amodal.results.detections import of_image

if TYPE_CHECKING:
    import supervision

    from amodal.drawing.render import Style
    from amodal.pixels import ImageLike


MOST_NAMED = 10
"""Objects that a printed result names."""


@dataclass(frozen=True, eq=False, repr=False)
class Result:
    """The objects of one image, as predicted best score first. Index it with a bool mask, a slice or indices.

    Attributes:
        boxes: Around the whole objects, xyxy in pixels of the image as given.
        labels: Class of each object, from 1 in the order of `categories`.
        scores: Confidence in [0, 1]; NaN for objects that are truth and not predicted.
        categories: Every category that the model knows.
        amodal_masks: The whole objects, visible and invisible. None for a model of visible masks only.
        visible_masks: The visible parts. None for a model of amodal masks only.
        predicted_order: Place of each object from the front, for models that predict it.
    """

    boxes: Float32[np.ndarray, "N 4"]
    labels: Int64[np.ndarray, " N"]
    scores: Float32[np.ndarray, " N"]
    categories: tuple[Category, ...]
    amodal_masks: Bool[np.ndarray, "N H W"] | None
    visible_masks: Bool[np.ndarray, "N H W"] | None
    predicted_order: Int64[np.ndarray, " N"] | None = None

    def __post_init__(self) -> None:
        if self.amodal_masks is None and self.visible_masks is None:
            raise ValueError("a result needs amodal masks, visible masks or both")
        counts = {name: len(value) for name, value in self._arrays().items()}
        if len(set(counts.values())) > 1:
            raise ValueError(f"fields of one result differ in their number of objects: {counts}")

    def _arrays(self) -> dict[str, np.ndarray]:
        names = ("boxes", "labels", "scores", "amodal_masks", "visible_masks", "predicted_order")
        return {name: value for name in names if (value := getattr(self, name)) is not None}

    @staticmethod
    def of_truth(annotation_set: AnnotationSet, image_id: int) -> "Result":
        """The annotations of one image, to draw and measure them as predictions are."""
        image = next((image for image in annotation_set.images if image.id == image_id), None)
        if image is None:
            raise UserError(f"there is no image {image_id}", file=annotation_set.source)
        annotations = annotation_set.by_image.get(image_id, [])
        return from_annotations(annotations, annotation_set.categories, (image.height, image.width))

    def __len__(self) -> int:
        return len(self.labels)

    def __repr__(self) -> str:
        """`3 objects: apple 0.93 (3 % occluded), ...`: the first ones, by name, score and occlusion rate."""
        parts = list(self.names[:MOST_NAMED])
        for index in range(len(parts)):
            if not np.isnan(self.scores[index]):
                parts[index] += f" {self.scores[index]:.2f}"
            if self.has_both_masks:
                parts[index] += f" ({self.occlusion_rates[index]:.0%} occluded)".replace("%", " %")
        listed = ", ".join([*parts, "..."] if len(self) > MOST_NAMED else parts)
        return f"{len(self)} object{'' if len(self) == 1 else 's'}" + (f": {listed}" if listed else "")

    def __getitem__(self, keep: "np.ndarray | slice | Sequence[int] | int") -> "Result":
        index = [int(keep)] if isinstance(keep, int | np.integer) else keep
        return replace(self, **{name: value[index] for name, value in self._arrays().items()})

    @property
    def has_both_masks(self) -> bool:
        """Whether amodal and visible masks are there, and so what is invisible and who stands in front."""
        return self.amodal_masks is not None and self.visible_masks is not None

    @property
    def masks(self) -> Bool[np.ndarray, "N H W"]:
        """The amodal masks, or the visible ones of a model that predicts no others."""
        masks = self.amodal_masks if self.amodal_masks is not None else self.visible_masks
        assert masks is not None  # __post_init__ holds it
        return masks

    @property
    def size(self) -> tuple[int, int]:
        """The image's (height, width)."""
        return self.masks.shape[1], self.masks.shape[2]

    @property
    def names(self) -> tuple[str, ...]:
        """Each object's category name."""
        return tuple(self.categories[label - 1].name for label in self.labels)

    @cached_property
    def invisible_masks(self) -> Bool[np.ndarray, "N H W"]:
        """The invisible parts: amodal and not visible. Raises UserError for a model that predicts one of the two."""
        if self.amodal_masks is None or self.visible_masks is None:
            known = "visible" if self.amodal_masks is None else "amodal"
            raise UserError(
                f"this model predicts {known} masks only", remedy="Use one that predicts both, as VRSP does"
            )
        return self.amodal_masks & ~self.visible_masks

    @cached_property
    def occlusion_rates(self) -> Float32[np.ndarray, " N"]:
        """Occlusion rate of each object, in [0, 1]; 0 for an empty mask. Raises UserError as `invisible_masks`."""
        invisible = np.count_nonzero(self.invisible_masks, axis=(1, 2))
        whole = np.count_nonzero(self.masks, axis=(1, 2))
        return mask_arrays.occlusion_rates(whole, whole - invisible).astype(np.float32)

    @cached_property
    def depth_order(self) -> Int64[np.ndarray, " N"]:
        """Place of each object from the front, 0 nearest: as predicted, or read off the masks.

        Objects that do not overlap have no order among them; they keep the order of their scores.
        Raises UserError as `invisible_masks` does.
        """
        if self.predicted_order is not None:
            return np.argsort(np.argsort(self.predicted_order, kind="stable"), kind="stable")
        invisible = self.invisible_masks
        assert self.visible_masks is not None
        return front_to_back(covered_pixels(self.visible_masks, invisible))

    def to_detections(self, image_id: int) -> list[Detection]:
        """The objects with run-length masks and the data set's category ids, as evaluation takes them."""
        found = self.to_annotations(image_id)
        masks = (
            None if self.amodal_masks is None else [annotation.amodal for annotation in found],
            None if self.visible_masks is None else [annotation.visible for annotation in found],
        )
        ids, orders = [annotation.category_id for annotation in found], [annotation.depth_order for annotation in found]
        return of_image(image_id, ids, self.scores, self.boxes, masks, orders)

    def to_coco(self, image_id: int = 1) -> list[dict[str, Any]]:
        """COCO result dicts, ready for JSON: amodal `segmentation` and xywh `bbox`, and the `visible_mask`."""
        from amodal.results.result_files import to_json

        return [to_json(detection) for detection in self.to_detections(image_id)]

    def to_labelme(self, image_path: str) -> dict[str, Any]:
        """The content of a labelme file, for correction by hand; `image_path` is relative to that file.

        Each object is drawn whole (`cup_amodal`) and as far as it is visible (`cup_visible`), paired by group id.
        """
        from amodal.formats.labelme import page, shapes_of

        image = ImageRecord(1, image_path, *self.size)
        categories = {category.id: category for category in self.categories}
        return page(image, image_path, shapes_of(self.to_annotations(1), categories))

    def to_annotations(self, image_id: int, first_id: int = 1) -> list[Annotation]:
        """The objects as if they were truth. Where only one kind of mask is predicted it stands for both."""
        masks = rle.encode(self.masks)
        visible = masks if self.visible_masks is None else rle.encode(self.visible_masks)
        order: list[int | None] = self.depth_order.tolist() if self.has_both_masks else [None] * len(self)
        ids = [self.categories[label - 1].id for label in self.labels]
        return [
            Annotation(first_id + i, image_id, ids[i], masks[i], visible[i], depth_order=order[i])
            for i in range(len(self))
        ]

    def to_supervision(self, masks: Literal["amodal", "visible"] = "amodal") -> "supervision.Detections":
        """`supervision.Detections` with one kind of masks and boxes around them; `.data` has the masks of both kinds.

        Args:
            masks: Which of the two its annotators and trackers work on. The other one, and the same again, is in
                `.data["amodal_mask"]` and `.data["visible_mask"]`, as far as the model predicts it.

        Raises:
            UserError: The model predicts no such masks, or supervision is not installed.
        """
        require_word("masks", masks, ("amodal", "visible"))
        try:
            import supervision
        except ImportError as error:
            raise UserError("supervision is not installed", remedy="pip install 'amodal[supervision]'") from error
        kinds = {"amodal": self.amodal_masks, "visible": self.visible_masks}
        known = {kind: found for kind, found in kinds.items() if found is not None}
        chosen = known.get(masks, self.masks if masks == "amodal" else None)
        if chosen is None:
            raise UserError(f"this model predicts {next(iter(known))} masks only", remedy="Use one that predicts both")
        data: dict[str, Any] = {"class_name": np.asarray(self.names, dtype=np.str_)}
        data |= {f"{kind}_mask": found for kind, found in known.items()}
        return supervision.Detections(
            xyxy=self.boxes if masks == "amodal" else mask_arrays.boxes(chosen),
            mask=chosen,
            confidence=self.scores,
            class_id=self.labels.astype(int),
            data=data,
        )

    def draw(
        self, image: "ImageLike", style: "Style | None" = None, identities: Sequence[int] | None = None
    ) -> Image.Image:
        """The image with every object's visible part tinted, its invisible part hatched, outlines, names and scores.

        Args:
            image: The image that was predicted, in any form that `predict` takes.
            style: What to draw and how; see `amodal.drawing.render.Style`.
            identities: A number for each object that its colour follows; its place in the result by default.
        """
        from amodal.drawing.render import Objects, Style, draw

        visible = self.masks if self.visible_masks is None else self.visible_masks
        order = self.depth_order if self.has_both_masks else np.arange(len(self))
        style = style or Style()
        captions = self._captions() if style.labels else [""] * len(self)
        return draw(as_pixels(image), Objects(self.masks, visible, captions, order), style, identities)

    def _captions(self) -> list[str]:
        """Each object's name and score; the name alone where nobody gave a score."""
        scored = zip(self.names, self.scores, strict=True)
        return [name if np.isnan(score) else f"{name} {score:.2f}" for name, score in scored]


def from_boxed(
    found: BoxedMasks, size: tuple[int, int], categories: Sequence[Category], score_threshold: float = 0.0
) -> Result:
    """What a model found in an image of `size` (height, width), as far as it scores at least the threshold."""
    sure = found.at(found.scores >= score_threshold)
    return Result(sure.boxes, sure.labels, sure.scores, tuple(categories), *sure.pasted(size))


def from_annotations(
    annotations: Sequence[Annotation], categories: Sequence[Category], size: tuple[int, int]
) -> Result:
    """The truth of one image as a Result, to draw it beside predictions.

    Args:
        annotations: The image's annotations.
        categories: All categories of the data set.
        size: The image's (height, width).
    """
    ordered = tuple(sorted(categories, key=lambda category: category.id))
    label_of = {category.id: label for label, category in enumerate(ordered, start=1)}
    boxes = rle.boxes([a.amodal for a in annotations])
    order = [a.depth_order for a in annotations]
    known = [place for place in order if place is not None]
    return Result(
        boxes=np.hstack([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]]).astype(np.float32),
        labels=np.asarray([label_of[a.category_id] for a in annotations], dtype=np.int64),
        scores=np.full(len(annotations), np.nan, dtype=np.float32),
        categories=ordered,
        amodal_masks=rle.decode([a.amodal for a in annotations], size),
        visible_masks=rle.decode([a.visible for a in annotations], size),
        predicted_order=np.asarray(known, dtype=np.int64) if known and len(known) == len(order) else None,
    )
