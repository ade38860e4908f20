"""A model as one file: weights (the shape prior's too), settings and categories. No pickle: safe to open."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from amodal import tensor_files
from amodal.annotations import Category, categories_from_json
from amodal.errors import UserError
from amodal.files import replacing
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.models.zoo import build, needs_prior
from amodal.prior.shape_prior import ShapePrior
from amodal.settings import from_json, to_json

KIND = "amodal model"
PRIOR_PREFIX = "branch.prior."
REMEDY = "Give a model.safetensors that `amodal train` wrote"
OTHER = "It may be of another version"


@dataclass(frozen=True)
class Checkpoint:
    """What a model file holds. `details` is for people: recipe, step, metrics, versions."""

    model: AmodalRCNN
    config: ModelConfig
    categories: list[Category]
    details: dict[str, Any] = field(default_factory=dict)


def save(path: str | Path, checkpoint: Checkpoint, *, half: bool = False) -> None:
    """Writes the model as one safetensors file, whole or not at all.

    Args:
        path: The file.
        checkpoint: What it holds.
        half: Keep numbers in 16 bits: half the size, for a model that is only to be used. Loading gives 32 bits.
    """
    about = {
        "config": to_json(checkpoint.config),
        "categories": [asdict(category) for category in checkpoint.categories],
        "details": checkpoint.details,
    }
    tensors = {name: value.detach().cpu().contiguous() for name, value in checkpoint.model.state_dict().items()}
    if half:
        tensors = tensor_files.in_16_bits(tensors)
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"kind": KIND, "about": json.dumps(about)})


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Reads what `save` wrote, in evaluation mode.

    Raises:
        UserError: The file is missing, damaged, of another kind, or does not fit its own settings.
    """
    tensors, about = tensor_files.read(path, KIND, REMEDY)
    try:
        config = from_json(ModelConfig, about.get("config"))
        categories = categories_from_json(about.get("categories"))
        model = _rebuild(config, categories, tensors)
    except UserError as error:
        raise UserError(error.problem, file=path, record=error.record, remedy=error.remedy or OTHER) from error
    except Exception as error:  # settings can be of the right types and make no model
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"its settings make no model ({reason})", file=path, remedy=OTHER) from error
    details = about.get("details")
    return Checkpoint(model.to(device).eval(), config, categories, details if isinstance(details, dict) else {})


def _rebuild(config: ModelConfig, categories: Sequence[Category], tensors: dict[str, torch.Tensor]) -> AmodalRCNN:
    prior = None
    if needs_prior(config):
        own = {k.removeprefix(PRIOR_PREFIX): v for k, v in tensors.items() if k.startswith(PRIOR_PREFIX)}
        prior = ShapePrior.from_tensors(own, categories)
    try:
        tensor_files.require_fit(lambda: build(config, len(categories), prior, pretrained=False), tensors)
        model = build(config, len(categories), prior, pretrained=False)
        model.load_state_dict(tensors)
    except (UserError, RuntimeError) as error:
        reason = error.problem if isinstance(error, UserError) else str(error).splitlines()[0]
        raise UserError(f"its weights do not fit its settings ({reason})", remedy=OTHER) from error
    return model
