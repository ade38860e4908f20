"""A completer as one file: its weights, and what it is built from."""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file

from amodal.completion.config import CompleterConfig
from amodal.completion.network import Completer, build
from amodal.errors import UserError
from amodal.files import replacing, require_file
from amodal.settings import from_json, to_json

KIND = "amodal completer"


def save(path: str | Path, model: Completer, details: dict[str, Any], *, half: bool = False) -> None:
    """Writes the model. `half` keeps floating numbers in 16 bits."""
    weights = {
        name: (value.half() if half and value.is_floating_point() else value).contiguous()
        for name, value in model.state_dict().items()
    }
    described = {"kind": KIND, "config": to_json(model.config), "details": details}
    with replacing(path) as temporary:
        save_file(weights, temporary, metadata={"amodal": json.dumps(described)})


def is_completer(path: str | Path) -> bool:
    """Whether a file holds a completer."""
    return bool(_described(path)) and _described(path).get("kind") == KIND


def load(path: str | Path, device: torch.device | str = "cpu") -> Completer:
    """The completer of a file, in evaluation mode.

    Raises:
        UserError: No such file, or no completer in it.
    """
    described = _described(require_file(path))
    if described.get("kind") != KIND:
        raise UserError("is no completer", file=path, remedy="Give a file that `amodal train completer` wrote")
    model = build(from_json(CompleterConfig, described["config"]))
    with safe_open(str(path), framework="pt") as file:
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    weights = {name: value.float() if value.is_floating_point() else value for name, value in weights.items()}
    try:
        model.load_state_dict(weights)
    except RuntimeError as error:
        raise UserError("its weights do not fit its settings", file=path) from error
    return model.to(device).eval().requires_grad_(False)


def _described(path: str | Path) -> dict[str, Any]:
    try:
        with safe_open(str(path), framework="pt") as file:
            metadata = file.metadata() or {}
        return json.loads(metadata.get("amodal", "{}"))
    except (SafetensorError, OSError, ValueError):
        return {}
