"""A model as one file: weights (the shape prior's too), settings and categories. No pickle: safe to open."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from amodal.annotations import Category
from amodal.errors import UserError
from amodal.files import replacing, require_file
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.models.zoo import build, needs_prior
from amodal.prior.shape_prior import ShapePrior
from amodal.settings import from_json, to_json

KIND = "amodal model"
PRIOR_PREFIX = "branch.prior."
REMEDY = "Give a model.safetensors that `amodal train` wrote"


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
        tensors = {name: value.half() if value.dtype == torch.float32 else value for name, value in tensors.items()}
    with replacing(path) as temporary:
        save_file(tensors, temporary, {"kind": KIND, "about": json.dumps(about)})


def load(path: str | Path, device: str | torch.device = "cpu") -> Checkpoint:
    """Reads what `save` wrote, in evaluation mode.

    Raises:
        UserError: The file is missing, damaged, of another kind, or does not fit its own settings.
    """
    path = require_file(path, remedy=REMEDY)
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != KIND:
                kind = metadata.get("kind", "a file without a description")
                raise UserError(f"not a checkpoint of this toolkit but {kind}", file=path, remedy=REMEDY)
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no mapping
        about = json.loads(metadata["about"])
        config = from_json(ModelConfig, about["config"])
        categories = [Category(**category) for category in about["categories"]]
        model = _rebuild(config, categories, tensors)
    except UserError as error:
        raise UserError(error.problem, file=path, record=error.record, remedy=error.remedy) from error
    except SafetensorError as error:
        raise UserError(f"not a checkpoint, or a damaged one ({error})", file=path, remedy=REMEDY) from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(
            f"its weights do not fit its settings ({reason})", file=path, remedy="It may be of another version"
        ) from error
    return Checkpoint(model.to(device).eval(), config, categories, about["details"])


def _rebuild(config: ModelConfig, categories: Sequence[Category], tensors: dict[str, torch.Tensor]) -> AmodalRCNN:
    prior = None
    if needs_prior(config):
        own = {k.removeprefix(PRIOR_PREFIX): v for k, v in tensors.items() if k.startswith(PRIOR_PREFIX)}
        prior = ShapePrior.from_tensors(own, categories)
    model = build(config, len(categories), prior, pretrained=False)
    model.load_state_dict(tensors)
    return model
