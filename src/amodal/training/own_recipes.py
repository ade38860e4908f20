"""A user's own recipes, from a Python file: `amodal train my_recipes.py:shelf`."""

from collections.abc import Callable
from dataclasses import replace
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from amodal.errors import UserError
from amodal.files import require_file
from amodal.training.config import TrainConfig

WRITE_ONE = "Write `def NAME(data: Path) -> TrainConfig`, as in amodal.training.recipes"


def is_own(name: str) -> bool:
    """Whether the name of a recipe is FILE.py:FUNCTION."""
    return name.rpartition(":")[0].endswith(".py")


def own_recipe(name: str, data: Path) -> TrainConfig:
    """What the function of a Python file returns.

    Args:
        name: FILE.py:FUNCTION. The function takes the data folder, as those in `amodal.training.recipes` do.
        data: The data folder.

    Raises:
        UserError: The file is missing or fails, or holds no such function, or it returns no TrainConfig.
    """
    place, _, function = name.rpartition(":")
    path = require_file(place, remedy="Name a recipe of your own as FILE.py:FUNCTION")
    make = getattr(_imported(path), function, None)
    if not callable(make):
        raise UserError(f"has no function '{function}'", file=path, remedy=WRITE_ONE)
    config = _called(make, data, path, function)
    if not isinstance(config, TrainConfig):
        raise UserError(
            f"returns {type(config).__name__}, no TrainConfig", file=path, record=function, remedy=WRITE_ONE
        )
    return replace(config, recipe=function)


def _imported(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None  # of a file that ends in .py
    assert spec.loader is not None
    module = module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # whatever a user's file may raise
        raise UserError(f"cannot be run ({type(error).__name__}: {error})", file=path) from error
    return module


def _called(make: Callable[[Path], Any], data: Path, path: Path, function: str) -> Any:
    try:
        return make(data)
    except UserError:
        raise
    except Exception as error:  # likewise
        problem = f"fails ({type(error).__name__}: {error})"
        raise UserError(problem, file=path, record=function, remedy=WRITE_ONE) from error
