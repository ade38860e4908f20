"""A completer as one file: its weights, and what it is built from."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from amodal import tensor_files
from amodal.completion.config import KIND, CompleterConfig
from amodal.completion.network import CompletionNetwork, build
from amodal.errors import UserError
from amodal.files import replacing
from amodal.settings import from_json, to_json

REMEDY = "Give a file that `amodal train completer` wrote"


def save(path: str | Path, model: CompletionNetwork, details: dict[str, Any], *, half: bool = False) -> None:
    """Writes the model whole or not at all; `half` keeps its numbers in 16 bits, which halves the file."""
    weights = {name: value.contiguous() for name, value in model.state_dict().items()}
    if half:
        weights = tensor_files.in_16_bits(weights)
    about = json.dumps({"config": to_json(model.config), "details": details})
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata={"kind": KIND, "about": about})


def load(path: str | Path, device: torch.device | str = "cpu") -> CompletionNetwork:
    """The completer of a file, in evaluation mode.

    Raises:
        UserError: The file is missing, damaged, of another kind, or does not fit its own settings.
    """
    weights, about = tensor_files.read(path, KIND, REMEDY)
    try:
        model = fitted(from_json(CompleterConfig, about.get("config")), weights)
    except UserError as error:
        raise UserError(error.problem, file=path, record=error.record, remedy=error.remedy or REMEDY) from error
    return model.to(device).eval().requires_grad_(False)


def take(path: str | Path, model: CompletionNetwork) -> set[str]:
    """Copies every tensor of a completer's file whose name and shape the model has; gives their names.

    Raises:
        UserError: The file is missing, damaged or of another kind.
    """
    weights, _ = tensor_files.read(path, KIND, REMEDY)
    own = model.state_dict()
    fitting = {name: v.to(own[name]) for name, v in weights.items() if name in own and own[name].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return set(fitting)


def fitted(config: CompleterConfig, weights: dict[str, torch.Tensor]) -> CompletionNetwork:
    """The network with these weights, in 32 bits. Raises UserError where they are others."""
    try:
        tensor_files.require_fit(lambda: build(config, None), weights)
    except UserError as error:
        raise UserError(f"its weights do not fit its settings ({error.problem})") from error
    model = build(config, None)
    model.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in weights.items()})
    return model
