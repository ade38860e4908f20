"""Weights that a run starts from: another model of this package, or torchvision's Mask R-CNN trained on COCO."""

from collections.abc import Sequence
from urllib.error import URLError

import torch
from torch import Tensor, nn
from torchvision.models.detection import MaskRCNN_ResNet50_FPN_Weights, maskrcnn_resnet50_fpn

from amodal.annotations import Category
from amodal.categories import key
from amodal.errors import UserError
from amodal.models import checkpoint

PLACES = {
    "backbone.": "backbone.",
    "rpn.head.": "propose.head.",
    "roi_heads.box_head.": "boxes.head.",
    "roi_heads.box_predictor.": "boxes.predictor.",
}
"""Where torchvision's tensors go. Its mask head stays out: it learnt visible masks only."""


def start_from(source: str, model: nn.Module, categories: Sequence[Category]) -> None:
    """Fills the model with what fits of `coco` or of a model.safetensors.

    Raises:
        UserError: There is no such file, it is of another kind, or nothing of it fits.
    """
    tensors = rename(_download(), categories) if source == "coco" else _without_prior(checkpoint.load(source))
    if not take(model, tensors):
        raise UserError("has no tensor that fits this model", file=source, remedy="Start from one of the same backbone")


def take(model: nn.Module, tensors: dict[str, Tensor]) -> set[str]:
    """Copies every tensor whose name and shape the model has; gives their names."""
    own = model.state_dict()
    fitting = {name: value for name, value in tensors.items() if name in own and own[name].shape == value.shape}
    model.load_state_dict(fitting, strict=False)
    return set(fitting)


def rename(detector: dict[str, Tensor], categories: Sequence[Category]) -> dict[str, Tensor]:
    """The tensors of torchvision's detector under this package's names, its classes reduced to `categories`.

    If COCO does not know every category by its name, the tensors that depend on classes are left out.
    """
    renamed = {
        place + name.removeprefix(prefix): value
        for name, value in detector.items()
        for prefix, place in PLACES.items()
        if name.startswith(prefix)
    }
    known = [key(name) for name in MaskRCNN_ResNet50_FPN_Weights.DEFAULT.meta["categories"]]
    ordered = sorted(categories, key=lambda category: category.id)
    rows = [0, *(known.index(key(category.name)) for category in ordered if key(category.name) in known)]
    for name in [name for name in renamed if name.startswith("boxes.predictor.")]:
        values = renamed.pop(name).unflatten(0, (len(known), -1))
        if len(rows) == len(categories) + 1:
            renamed[name] = values[rows].flatten(0, 1)
    return renamed


def _without_prior(found: checkpoint.Checkpoint) -> dict[str, Tensor]:
    """Its weights, but for the shape prior: the run has its own."""
    return {k: v for k, v in found.model.state_dict().items() if not k.startswith(checkpoint.PRIOR_PREFIX)}


def _download() -> dict[str, Tensor]:
    try:
        with torch.random.fork_rng():
            return maskrcnn_resnet50_fpn(weights=MaskRCNN_ResNet50_FPN_Weights.DEFAULT).state_dict()
    except (URLError, OSError, RuntimeError) as error:
        raise UserError(
            f"torchvision's weights cannot be downloaded ({error})",
            remedy="Try again with a network, or pass --start-from a model.safetensors",
        ) from error
