"""From a model file to answers: `amodal.load("model.safetensors").predict("photograph.jpg")`."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args, overload

import numpy as np

from amodal.annotations import Category
from amodal.arguments import COUNT, SHARE, require_word
from amodal.boxed_masks import BoxedMasks, BoxKind, Prompts
from amodal.categories import key, labels_by_name
from amodal.errors import UserError, unknown
from amodal.inference.completer import Completer
from amodal.inference.detected import Boxes, Detected, checked_boxes, checked_masks, detected
from amodal.inference.fragments import main_boxes
from amodal.inference.model import Model, Pixels
from amodal.inference.model_files import EXPORTED, is_coco, model_file
from amodal.pixels import as_pixels
from amodal.quick_imports import import_torchvision
from amodal.results.result import Result, from_boxed

if TYPE_CHECKING:
    import supervision

    from amodal.pixels import ImageLike

Occluders = Literal["anything", "given"]


class Predictor:
    """A model behind a plain interface: images in any form to `Result`s.

    >>> predictor = amodal.load("model.safetensors")  # doctest: +SKIP
    >>> result = predictor.predict("table.jpg")  # doctest: +SKIP
    >>> result.draw("table.jpg").save("seen.png")  # doctest: +SKIP
    """

    def __init__(self, model: Model) -> None:
        self.model = model

    @property
    def categories(self) -> tuple[Category, ...]:
        """The categories that the model knows: a result's label l stands for `categories[l - 1]`."""
        return tuple(self.model.categories)

    @overload
    def predict(
        self, images: "ImageLike", *, score_threshold: float = 0.5, batch_size: int = 4
    ) -> Result: ...  # fmt: skip

    @overload
    def predict(
        self, images: "Sequence[ImageLike]", *, score_threshold: float = 0.5, batch_size: int = 4
    ) -> list[Result]: ...

    def predict(
        self, images: "ImageLike | Sequence[ImageLike]", *, score_threshold: float = 0.5, batch_size: int = 4
    ) -> Result | list[Result]:
        """The objects of an image, or of each of a list.

        Args:
            images: A path or address, PIL image, uint8 or float array (H, W, 3) or tensor (3, H, W), RGB; or a list
                of them.
            score_threshold: Objects that score less are left out.
            batch_size: Images that the model sees at a time.

        Raises:
            UserError: An image cannot be read.
        """
        if isinstance(images, list | tuple):
            return list(self.stream(images, score_threshold=score_threshold, batch_size=batch_size))
        return next(self.stream([images], score_threshold=score_threshold))  # type: ignore[list-item]

    def stream(
        self, images: "Iterable[ImageLike]", *, score_threshold: float = 0.5, batch_size: int = 1
    ) -> Iterator[Result]:
        """As `predict` for a list, one result after the other: no more than a batch is held in memory."""
        SHARE.check("score_threshold", score_threshold)
        COUNT.check("batch_size", batch_size)
        remaining = iter(images)
        while batch := [as_pixels(image) for image in islice(remaining, int(batch_size))]:
            for pixels, found in zip(batch, self.model.detect(batch, score_threshold=score_threshold), strict=True):
                yield from_boxed(found, (pixels.shape[0], pixels.shape[1]), self.categories, score_threshold)

    def detect(self, images: "Sequence[ImageLike]", *, coarse: bool = False) -> list[BoxedMasks]:
        """All objects of each image with their small masks, not yet pasted: what evaluation takes.

        Args:
            images: In any form that `predict` takes; the model sees them at one time.
            coarse: Also give the coarse masks of a method that refines them.
        """
        return self.model.detect([as_pixels(image) for image in images], coarse=coarse)

    def complete(
        self,
        image: "ImageLike",
        boxes: "Boxes | Detected | Result | supervision.Detections" = None,
        *,
        labels: Sequence[int | str] | np.ndarray | None = None,
        visible_masks: np.ndarray | None = None,
        box_kind: BoxKind = "visible",
        occluders: Occluders = "anything",
    ) -> Result:
        """The whole shapes of objects that another detector or a person has found; this model's detector is not used.

        Args:
            image: The image, in any form that `predict` takes.
            boxes: (N, 4), xyxy in pixels; None takes those of the visible masks, without small far pieces. Or all that
                another system found, as `supervision.Detections` or as a `Result` with visible masks: categories,
                scores and order are kept.
            labels: Each object's class from 1, or its category's name; None lets the model name them.
            visible_masks: The visible parts, bool (N, H, W). They are kept as given, within the completed masks.
            box_kind: What the boxes surround. Boxes of visible parts are grown towards the model's idea of the whole.
            occluders: What may hide the objects: anything in the image, or only each other's `visible_masks`. Where
                every object of the image is given, the latter is sharper: what is bare background hides nothing.

        Returns:
            The objects in the order of the boxes.

        Raises:
            UserError: Boxes, labels and masks do not fit each other, the image or the model.
        """
        require_word("box_kind", box_kind, get_args(BoxKind))
        require_word("occluders", occluders, get_args(Occluders))
        pixels = as_pixels(image)
        given = detected(boxes)
        if isinstance(given, Detected):
            return self._complete_detected(pixels, given, occluders)
        masks = None if visible_masks is None else checked_masks(visible_masks, pixels.shape[:2])
        prompts = Prompts(checked_boxes(given, masks), self._labels(labels), masks, box_kind)
        if prompts.labels is not None and len(prompts.labels) != len(prompts.boxes):
            raise UserError(f"{len(prompts.boxes)} objects, {len(prompts.labels)} labels")
        found = self.model.complete(pixels, prompts)
        result = from_boxed(found, (pixels.shape[0], pixels.shape[1]), self.categories)
        if masks is None or result.amodal_masks is None:
            return result
        whole = result.amodal_masks
        if occluders == "given":
            whole &= masks.sum(axis=0, dtype=np.int32) > masks  # seen there: another of them
        whole |= masks
        return replace(result, amodal_masks=whole, visible_masks=masks, boxes=main_boxes(whole))

    def _complete_detected(self, pixels: Pixels, given: Detected, occluders: Occluders) -> Result:
        """Another system's objects. A class-agnostic model is spared naming them: their own names are kept anyway."""
        masks, count = given.visible, len(given.labels)
        if count == 0:
            masks = np.zeros((0, *pixels.shape[:2]), dtype=bool)
        labels = given.names
        if self.model.is_class_agnostic:
            labels = None if masks is None else np.ones(count, dtype=np.int64)
        return given.named(self.complete(pixels, given.boxes, labels=labels, visible_masks=masks, occluders=occluders))

    def _labels(self, labels: Sequence[int | str] | np.ndarray | None) -> np.ndarray | None:
        if labels is None:
            return None
        label_of = labels_by_name(self.categories)
        for label in labels:
            if isinstance(label, str) and key(label) not in label_of:
                raise unknown(f"the model knows no class '{label}'", label, [c.name for c in self.categories])
        known = [label_of[key(label)] if isinstance(label, str) else int(label) for label in labels]
        for label, given in zip(known, labels, strict=True):
            if not 1 <= label <= len(self.categories):
                raise UserError(f"the model knows no class '{given}'", remedy=f"Its classes are 1 to {len(label_of)}")
        return np.asarray(known, dtype=np.int64)


def load(path: str | Path, device: str | None = None) -> Predictor:
    """A predictor from a model file.

    Args:
        path: A checkpoint (`.safetensors`), an exported model (`.onnx`, which needs no torch), the name of a model
            that comes with the package ("photos", "completer"), `hf://USER/MODEL` on the Hugging Face hub, or "coco":
            torchvision's Mask R-CNN, downloaded on first use, whose visible masks the packaged completer makes whole.
        device: "cpu", "cuda", "cuda:1"; the GPU where there is one by default.

    Raises:
        UserError: No such file, or no model in it, or no such device.
    """
    if not is_coco(path):
        path = model_file(path)
    if Path(path).suffix == EXPORTED:
        from amodal.inference import onnx

        return Predictor(onnx.load(path, device))
    try:
        import_torchvision()
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise UserError(
            "torch is not installed, which runs checkpoints", remedy="Give an exported .onnx model"
        ) from error
    from amodal.inference import torch_models

    return Predictor(torch_models.load(path, device))


def load_detector(path: str | Path, device: str | None = None) -> Predictor:
    """As `load`. Raises UserError at once, too, for a completer, which finds no objects in any picture."""
    predictor = load(path, device)
    if isinstance(predictor.model, Completer):
        predictor.model.detect([])
    return predictor
