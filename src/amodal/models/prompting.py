"""Objects that someone else has found, made ready for a mask branch: named, grown, their visible masks cropped."""

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import clip_boxes_to_image

from amodal.masks import crop
from amodal.models.boxes import BoxStage, all_regions

GROWTH = 0.5
"""How far the box of a visible part is grown towards where the box head expects the whole object to end. All the way
helps objects that what covers them cuts short, and blurs the others a little more
(`benchmarks/results/prompts.json`)."""
SIDE = 28
"""Cells across a mask."""


def named(
    stage: BoxStage, features: dict[str, Tensor], boxes: Float[Tensor, "N 4"]
) -> tuple[Int64[Tensor, " N"], Float[Tensor, " N"]]:
    """The likeliest class of each box, from 1, and its probability among the classes."""
    logits, _ = stage.predictor(stage.head(stage.pool(features, all_regions([boxes]))))
    scores, classes = logits[:, 1:].float().softmax(1).max(1)
    return classes + 1, scores


def grown(
    stage: BoxStage,
    features: dict[str, Tensor],
    boxes: Float[Tensor, "N 4"],
    labels: Int64[Tensor, " N"],
    size: tuple[int, int],
) -> Float[Tensor, "N 4"]:
    """Boxes of visible parts, grown by `GROWTH` to where the box head, trained on whole objects, sees the object end.

    Box and visible part lie within the whole object, so that the result holds the given box.

    Args:
        stage: The model's.
        features: Of one image.
        boxes: xyxy in pixels of the resized image.
        labels: From 1.
        size: Height and width of the resized image.
    """
    _, deltas = stage.predictor(stage.head(stage.pool(features, all_regions([boxes]))))
    decoded = stage.coder.decode(deltas.float(), [boxes]).reshape(len(boxes), deltas.shape[1] // 4, 4)
    own = clip_boxes_to_image(decoded[torch.arange(len(boxes), device=boxes.device), labels], size)
    whole = torch.cat([torch.minimum(boxes[:, :2], own[:, :2]), torch.maximum(boxes[:, 2:], own[:, 2:])], 1)
    return boxes + GROWTH * (whole - boxes)


def cropped(masks: Bool[np.ndarray, "N H W"], boxes: Float[Tensor, "N 4"]) -> Bool[Tensor, "N S S"]:
    """Each mask over its own box, xyxy in pixels of the image, as the mask heads see it."""
    owners = torch.arange(len(masks), device=boxes.device)
    return crop(torch.from_numpy(masks).to(boxes.device), boxes, owners, SIDE)
