"""A checkpoint run by PyTorch behind the predictor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from amodal import processes
from amodal.annotations import Category
from amodal.inference.found import Found
from amodal.inference.predictor import Pixels, Prompts
from amodal.masks import crop
from amodal.models import checkpoint
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import all_regions
from amodal.models.regions import RegionMasks, Regions
from amodal.models.vrsp import VRSP
from amodal.models.zoo import MASK_SIDE

GROWTH = 0.5
"""How far the box of a seen part is grown towards where the box head expects the whole object to end. All the way helps
objects that what covers them cuts short, and blurs the others a little more (`benchmarks/results/prompts.json`)."""


class TorchModel:
    """An `AmodalRCNN` in evaluation mode, as `amodal.inference.predictor.Model`."""

    def __init__(self, model: AmodalRCNN, categories: Sequence[Category]) -> None:
        self.model, self.categories = model, categories

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The model of a checkpoint on `device`. Raises UserError for a file or device that is not there."""
        loaded = checkpoint.load(path, processes.choose_device(device or "auto"))
        return cls(loaded.model, loaded.categories)

    @torch.inference_mode()
    def find(self, images: Sequence[Pixels], least_score: float = 0.0) -> list[Found]:
        """The objects of each image that score at least so much, best first.

        As `AmodalRCNN.forward`, but masks stay small: an image of many megapixels would need gigabytes for those of
        low score, which the caller drops.
        """
        model = self.model
        batch, _ = model.resize([self._tensor(image) for image in images])
        features = model.backbone(batch.tensors)
        proposals, _ = model.propose(batch, features)
        candidates = model.boxes.candidates(features, proposals, batch.image_sizes)
        found = []
        for index, (image, resized) in enumerate(zip(images, batch.image_sizes, strict=True)):
            own = {level: maps[index : index + 1] for level, maps in features.items()}
            found.append(_found(*model.choose(own, candidates[index], least_score), _scale(image, resized)))
        return found

    @torch.inference_mode()
    def complete(self, image: Pixels, prompts: Prompts) -> Found:
        """The objects at the prompts, in their order."""
        model = self.model
        batch, _ = model.resize([self._tensor(image)])
        features, size = model.backbone(batch.tensors), batch.image_sizes[0]
        scale = _scale(image, size)
        boxes = torch.from_numpy(prompts.boxes * scale).to(batch.tensors.device)
        if prompts.labels is None:
            labels, scores = name_boxes(model, features, boxes)
        else:
            labels = torch.from_numpy(prompts.labels).to(boxes.device)
            scores = torch.ones_like(boxes[:, 0])
        if prompts.box_kind == "visible":
            boxes = grow_boxes(model, features, boxes, labels, size)
        regions = all_regions([boxes], [labels])
        if prompts.visible is not None and isinstance(model.branch, VRSP):
            own_boxes = boxes / torch.from_numpy(scale).to(boxes.device)
            masks = model.branch.complete(features, regions, _cropped(prompts.visible, own_boxes))
        else:
            masks = model.branch.predict(features, regions)
        return _found(regions, model.branch.rescored(scores, masks.factors), masks, scale)

    def _tensor(self, image: Pixels) -> Tensor:
        device = next(self.model.parameters()).device
        return torch.from_numpy(image.copy()).to(device).permute(2, 0, 1).float() / 255


def name_boxes(
    model: AmodalRCNN, features: dict[str, Tensor], boxes: Float[Tensor, "N 4"]
) -> tuple[Int64[Tensor, " N"], Float[Tensor, " N"]]:
    """The likeliest class of each box, from 1, and its probability among the classes."""
    logits, _ = model.boxes.predictor(model.boxes.head(model.boxes.pool(features, all_regions([boxes]))))
    scores, classes = logits[:, 1:].float().softmax(1).max(1)
    return classes + 1, scores


def grow_boxes(
    model: AmodalRCNN,
    features: dict[str, Tensor],
    boxes: Float[Tensor, "N 4"],
    labels: Int64[Tensor, " N"],
    size: tuple[int, int],
) -> Float[Tensor, "N 4"]:
    """Boxes of seen parts, grown by `GROWTH` to where the box head, trained on whole objects, sees the object end.

    Box and seen part lie within the whole object, so that the result holds the given box.
    """
    _, deltas = model.boxes.predictor(model.boxes.head(model.boxes.pool(features, all_regions([boxes]))))
    decoded = model.boxes.coder.decode(deltas.float(), [boxes]).reshape(len(boxes), deltas.shape[1] // 4, 4)
    own = clip_boxes_to_image(decoded[torch.arange(len(boxes), device=boxes.device), labels], size)
    whole = torch.cat([torch.minimum(boxes[:, :2], own[:, :2]), torch.maximum(boxes[:, 2:], own[:, 2:])], 1)
    return boxes + GROWTH * (whole - boxes)


def _cropped(masks: np.ndarray, boxes: Float[Tensor, "N 4"]) -> Bool[Tensor, "N S S"]:
    """Each mask over its own box, as the mask heads see it."""
    owners = torch.arange(len(masks), device=boxes.device)
    return crop(torch.from_numpy(masks).to(boxes.device), boxes, owners, 2 * MASK_SIDE)


def _scale(image: Pixels, resized: tuple[int, int]) -> np.ndarray:
    """Resized over own size, for xyxy."""
    height, width = resized[0] / image.shape[0], resized[1] / image.shape[1]
    return np.asarray([width, height, width, height], dtype=np.float32)


def _found(regions: Regions, scores: Tensor, masks: RegionMasks, scale: np.ndarray) -> Found:
    def array(values: Tensor | None) -> np.ndarray | None:
        return None if values is None else values.float().cpu().numpy()

    boxes = regions.boxes.float().cpu().numpy() / scale
    return Found(
        boxes, regions.labels.cpu().numpy(), scores.float().cpu().numpy(), array(masks.amodal), array(masks.visible)
    )
