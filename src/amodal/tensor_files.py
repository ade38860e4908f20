"""Models and priors as safetensors files: tensors, and a description of them in JSON. No pickle: safe to open.

A description is believed only as far as the tensors bear it out: memory is asked for what is there, never for what a
file says.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook
from torch.overrides import TorchFunctionMode

from amodal.errors import UserError
from amodal.files import parse_json, require_file

SPARE = 1000
"""Parameters that any module may make and take off again."""


def read(path: str | Path, kind: str, remedy: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors of a file by name, and what is said about them.

    Args:
        path: The file.
        kind: What its description says that it is.
        remedy: What messages advise.

    Raises:
        UserError: The file is missing, damaged, or of another kind.
    """
    path, name = require_file(path, remedy=remedy), f"a {kind.removeprefix('amodal ')}"
    try:
        with safe_open(path, "pt") as file:
            metadata = file.metadata() or {}
            if metadata.get("kind") != kind:
                found = metadata.get("kind", "a file without a description")
                raise UserError(f"is not {name} but {found}", file=path, remedy=remedy)
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except UserError:
        raise
    except Exception as error:  # of a damaged file PyTorch's part of the reader may raise anything
        raise UserError(f"cannot be read as {name} ({error})", file=path, remedy=remedy) from error
    about = parse_json(metadata["about"], file=path) if "about" in metadata else None
    if not isinstance(about, dict):
        raise UserError(f"cannot be read as {name} (no 'about')", file=path, remedy=remedy)
    return tensors, about


def in_16_bits(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same tensors, those of 32 bits as 16, which halves a file.

    A tensor with numbers beyond what 16 bits hold (65,504) stays as it is: they would become infinite, and a norm that
    divides by them would silently say nothing.
    """
    most = torch.finfo(torch.float16).max
    return {
        name: value.half() if value.dtype == torch.float32 and bool((value.abs() <= most).all()) else value
        for name, value in tensors.items()
    }


class _Undrawn(TorchFunctionMode):
    """Draws no random numbers: on the meta device they are none, and PyTorch would load its compiler for them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if getattr(func, "__name__", "") in ("normal_", "uniform_"):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **(kwargs or {}))


def require_fit(make: Callable[[], nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """Raises UserError where a module cannot be made, or its state is not of these tensors, before memory is asked for.

    It is made without numbers (torch's meta device), and not far beyond the number of tensors.
    """
    left = iter(range(SPARE + 4 * len(tensors)))

    def count(*_: object) -> None:
        if next(left, None) is None:
            raise UserError(f"asks for many more than the {len(tensors)} tensors that are there")

    counting = register_module_parameter_registration_hook(count)
    try:
        with torch.device("meta"), _Undrawn():
            asked = make().state_dict()
    except UserError:
        raise
    except Exception as error:  # settings can be of the right types and make no module
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"nothing can be made of them ({reason})") from error
    finally:
        counting.remove()
    for name, wanted in asked.items():
        found = tensors.get(name)
        if found is None or found.shape != wanted.shape:
            there = "is not there" if found is None else f"is {tuple(found.shape)}"
            raise UserError(f"{name} {there}, and should be {tuple(wanted.shape)}")
