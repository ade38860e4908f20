"""torchvision's Mask R-CNN, trained on COCO: a detector of visible masks behind the predictor."""

import socket
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.models.detection import MaskRCNN, MaskRCNN_ResNet50_FPN_V2_Weights, maskrcnn_resnet50_fpn_v2

from amodal import processes
from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.errors import UserError
from amodal.inference.model import Pixels

WEIGHTS = MaskRCNN_ResNet50_FPN_V2_Weights.COCO_V1
PATIENCE = 10
"""Seconds without an answer after which a download is given up."""
CATEGORIES = tuple(
    Category(number, name)
    for number, name in enumerate(WEIGHTS.meta["categories"])
    if name not in ("__background__", "N/A")
)
"""COCO's 80 categories under their own ids, which are torchvision's class indices."""


class CocoDetector:
    """torchvision's Mask R-CNN in evaluation mode, as `amodal.inference.predictor.Model` of visible masks.

    Args:
        model: Of 91 classes, as torchvision trains it on COCO.
    """

    categories: Sequence[Category] = CATEGORIES
    is_class_agnostic = False

    def __init__(self, model: MaskRCNN) -> None:
        self.model: Any = model.eval().requires_grad_(False)
        self.ids = torch.tensor([category.id for category in CATEGORIES], device=next(model.parameters()).device)

    @torch.inference_mode()
    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """The objects of each image that score at least so much, best first, with visible masks."""
        del coarse
        return [self._detect(image, score_threshold) for image in images]

    @torch.inference_mode()
    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """Visible masks in the boxes of the prompts, in their order, named where they have no labels."""
        prepared = self._features(image)
        boxes = torch.from_numpy(prompts.boxes * prepared.scale).to(self.ids.device)
        if prompts.labels is None:
            logits, _ = self._classified(prepared, boxes)
            scores, places = logits.softmax(1)[:, self.ids].max(1)
        else:
            places = torch.from_numpy(prompts.labels).to(self.ids.device) - 1
            scores = torch.ones_like(boxes[:, 0])
        masks = self._masks(prepared, boxes, self.ids[places])
        return BoxedMasks(prompts.boxes, _array(places + 1), _array(scores), None, _array(masks))

    def _detect(self, image: Pixels, score_threshold: float) -> BoxedMasks:
        prepared = self._features(image)
        proposals, _ = self.model.rpn(prepared.batch, prepared.features)
        logits, deltas = self._classified(prepared, proposals[0])
        found = self.model.roi_heads.postprocess_detections(logits, deltas, proposals, prepared.batch.image_sizes)
        boxes, scores, ids = (values[0] for values in found)
        keep = (scores >= score_threshold) & torch.isin(ids, self.ids)
        boxes, scores, ids = boxes[keep], scores[keep], ids[keep]
        masks = self._masks(prepared, boxes, ids)
        labels = torch.searchsorted(self.ids, ids) + 1
        return BoxedMasks(_array(boxes) / prepared.scale, _array(labels), _array(scores), None, _array(masks))

    def _features(self, image: Pixels) -> "ImageFeatures":
        tensor = torch.from_numpy(image.copy()).to(self.ids.device).permute(2, 0, 1).float() / 255
        batch, _ = self.model.transform([tensor])
        (height, width) = batch.image_sizes[0]
        across, down = width / image.shape[1], height / image.shape[0]
        scale = np.array([across, down, across, down], dtype=np.float32)
        return ImageFeatures(batch, self.model.backbone(batch.tensors), scale)

    def _classified(self, prepared: "ImageFeatures", boxes: Float[Tensor, "N 4"]) -> tuple[Tensor, Tensor]:
        """Class logits (N, 91) and box deltas (N, 364)."""
        heads = self.model.roi_heads
        return heads.box_predictor(
            heads.box_head(heads.box_roi_pool(prepared.features, [boxes], prepared.batch.image_sizes))
        )

    def _masks(
        self, prepared: "ImageFeatures", boxes: Float[Tensor, "N 4"], ids: Int64[Tensor, " N"]
    ) -> Float[Tensor, "N S S"]:
        heads = self.model.roi_heads
        pooled = heads.mask_roi_pool(prepared.features, [boxes], prepared.batch.image_sizes)
        logits = heads.mask_predictor(heads.mask_head(pooled))
        return logits[torch.arange(len(ids), device=ids.device), ids].sigmoid()


class ImageFeatures:
    """One image as the network sees it.

    Attributes:
        batch: Resized, as torchvision's `ImageList`.
        features: Maps of the pyramid.
        scale: Resized over own size, for xyxy.
    """

    def __init__(self, batch: Any, features: Mapping[str, Tensor], scale: np.ndarray) -> None:
        self.batch, self.features, self.scale = batch, features, scale


def load(device: str | None = None, fetch: Callable[[], Mapping[str, Any]] | None = None) -> CocoDetector:
    """The detector with COCO weights.

    Args:
        device: "cpu", "cuda", "cuda:1"; the GPU where there is one by default.
        fetch: Gives the weights; torchvision's, downloaded on first use, by default.

    Raises:
        UserError: They could not be downloaded, or no such device.
    """
    chosen = processes.choose_device(device or "auto")
    weights = (fetch or downloaded)()
    model = maskrcnn_resnet50_fpn_v2(weights=None, weights_backbone=None)
    model.load_state_dict(weights)
    return CocoDetector(model.to(chosen))


def downloaded() -> Mapping[str, Any]:
    """The weights, from torchvision's cache or from the internet. Raises UserError if neither has them."""
    name = WEIGHTS.url.rsplit("/", 1)[-1]
    target = Path(torch.hub.get_dir()) / "checkpoints" / name
    try:
        with patience(PATIENCE):
            return WEIGHTS.get_state_dict(progress=True, check_hash=True, map_location="cpu", weights_only=True)
    except (OSError, HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        problem = f"torchvision's Mask R-CNN could not be downloaded ({str(reason).strip() or type(error).__name__})"
        remedy = f"Connect to the internet once, or put {WEIGHTS.url} at {target}"
        raise UserError(problem, remedy=remedy) from error
    except Exception as error:  # of a damaged file torch raises whatever its bytes lead to
        raise UserError("is damaged", file=target, remedy="Remove it: it is downloaded again") from error


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """New connections of the `with` block give up after so many silent seconds: `torch.hub` itself waits for ever."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)


def _array(values: Tensor) -> np.ndarray:
    return values.cpu().numpy()
