"""A completer as one file: its weights, and what it is built from."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from amodal.completion.config import KIND, CompleterConfig
from amodal.completion.network import CompletionNetwork, build
from amodal.errors import UserError
from amodal.files import replacing, require_file
from amodal.settings import from_json, to_json

REMEDY = "Give a file that `amodal train completer` wrote"


def save(path: str | Path, model: CompletionNetwork, details: dict[str, Any], *, half: bool = False) -> None:
    """Writes the model whole or not at all; `half` keeps its numbers in 16 bits, which halves the file."""
    weights = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    about = json.dumps({"config": to_json(model.config), "details": details})
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata={"kind": KIND, "about": about})


def load(path: str | Path, device: torch.device | str = "cpu") -> CompletionNetwork:
    """The completer of a file, in evaluation mode.

    Raises:
        UserError: The file is missing, damaged, of another kind, or does not fit its own settings.
    """
    try:
        about, weights = _read(path)
        model = fitted(from_json(CompleterConfig, about["config"]), weights)
    except UserError as error:
        raise UserError(error.problem, file=path, record=error.record, remedy=error.remedy) from error
    except SafetensorError as error:
        raise UserError(f"not a completer, or a damaged one ({error})", file=path, remedy=REMEDY) from error
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError("its weights do not fit its settings", file=path, remedy=REMEDY) from error
    return model.to(device).eval().requires_grad_(False)


def take(path: str | Path, model: CompletionNetwork) -> set[str]:
    """Copies every tensor of a completer's file whose name and shape the model has; gives their names.

    Raises:
        UserError: The file is missing, damaged or of another kind.
    """
    try:
        _, weights = _read(path)
    except SafetensorError as error:
        raise UserError(f"not a completer, or a damaged one ({error})", file=path, remedy=REMEDY) from error
    own = model.state_dict()
    fitting = {name: v.to(own[name]) for name, v in weights.items() if name in own and own[name].shape == v.shape}
    model.load_state_dict(fitting, strict=False)
    return set(fitting)


def _read(path: str | Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """What a file says of its completer, and its tensors."""
    path = require_file(path, remedy=REMEDY)
    with safe_open(str(path), framework="pt") as file:
        metadata = file.metadata() or {}
        if metadata.get("kind") != KIND:
            raise UserError("is no completer", file=path, remedy=REMEDY)
        return json.loads(metadata["about"]), {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118


def fitted(config: CompleterConfig, weights: dict[str, torch.Tensor]) -> CompletionNetwork:
    """The network with these weights, in 32 bits. Their shapes are compared before anything is allocated."""
    with torch.device("meta"):
        expected = {name: value.shape for name, value in build(config).state_dict().items()}
    if expected != {name: value.shape for name, value in weights.items()}:
        raise ValueError("tensors of other names or shapes")
    model = build(config)
    model.load_state_dict({name: v.float() if v.is_floating_point() else v for name, v in weights.items()})
    return model
