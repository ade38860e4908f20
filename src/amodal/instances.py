"""Target and Prediction: what travels between data, models and evaluation.

Letters in shapes, here and everywhere: N objects of an image, R regions (RoIs) of a batch, K classes, C channels,
H W image height and width, S side of a region's mask, B images of a batch, V codes of a code book, D embedding size.

Both are plain dicts of tensors at run time, as torchvision's detection contract has them, so torchvision's parts and
transforms, collating and saving need no adapters. Invisible masks, occlusion rates and visible boxes are never
stored: `amodal.masks` computes them.
"""

from typing import NotRequired, TypedDict

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from amodal.errors import UserError


class Target(TypedDict):
    """The truth of one image.

    Boxes are xyxy in pixels, tight around the **amodal** masks. Labels count from 1 (0 is background). Visible masks
    lie within the amodal masks. `depth_order` is each object's place from the front (0 nearest), where it is known.
    `exact` says whose amodal mask is the whole object; without it all are. Of the others the visible part alone is
    known: their class, visible mask and its box are learnt, and they are neither found nor missed in a score.
    """

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    amodal_masks: Bool[Tensor, "N H W"]
    visible_masks: Bool[Tensor, "N H W"]
    depth_order: NotRequired[Int64[Tensor, " N"]]
    exact: NotRequired[Bool[Tensor, " N"]]


class Prediction(TypedDict):
    """A model's answer for one image: as Target, with scores in [0, 1], highest first.

    A key ends in `_masks` when it holds masks in the image's own pixels. Methods that predict only one of the two
    masks leave the other out. `amodal_probabilities` are what the amodal masks were made of, over the boxes.
    """

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    scores: Float[Tensor, " N"]
    amodal_masks: NotRequired[Bool[Tensor, "N H W"]]
    visible_masks: NotRequired[Bool[Tensor, "N H W"]]
    amodal_probabilities: NotRequired[Float[Tensor, "N S S"]]


def select(target: Target, keep: Tensor) -> Target:
    """The objects at `keep` (a bool mask or indices), every field alike."""
    return {key: value[keep] for key, value in target.items()}  # type: ignore[index, return-value]


def move(target: Target, device: torch.device) -> Target:
    """Every field on `device`."""
    return {key: value.to(device, non_blocking=True) for key, value in target.items()}  # type: ignore[return-value]


def as_known(target: Target) -> Target:
    """The target with the visible mask as the amodal one of every object that is not `exact`."""
    if "exact" not in target:
        return target
    known = torch.where(target["exact"][:, None, None], target["amodal_masks"], target["visible_masks"])
    return {**target, "amodal_masks": known}


def check(target: Target, *, record: str | None = None) -> None:
    """Raises UserError where a target breaks its own rules: counts, image sizes, labels, visible within amodal."""
    amodal, visible, boxes, labels = (target[k] for k in ("amodal_masks", "visible_masks", "boxes", "labels"))
    if amodal.dtype != torch.bool or visible.dtype != torch.bool:
        raise UserError(f"masks must be bool, not {amodal.dtype} and {visible.dtype}", record=record)
    if amodal.shape != visible.shape:
        raise UserError(f"amodal masks {tuple(amodal.shape)}, visible masks {tuple(visible.shape)}", record=record)
    if not len(boxes) == len(labels) == len(amodal):
        raise UserError(f"{len(boxes)} boxes, {len(labels)} labels, {len(amodal)} masks", record=record)
    if len(labels) and int(labels.min()) < 1:
        raise UserError("labels count from 1; 0 is background", record=record)
    if bool((visible & ~amodal).any()):
        raise UserError("a visible mask leaves its amodal mask", record=record, remedy="Clamp it with AND")
