"""Amodal instance segmentation: whole objects, and which part of them is visible.

Nothing heavy is imported until it is used, so that `amodal --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amodal.api import evaluate as evaluate
    from amodal.api import synth as synth
    from amodal.api import train as train
    from amodal.errors import UserError as UserError
    from amodal.evaluation.compare import compare as compare
    from amodal.formats.annotation_files import read as read
    from amodal.inference.predictor import Predictor as Predictor
    from amodal.inference.predictor import load as load
    from amodal.results.result import Result as Result
    from amodal.samples import sample as sample

__version__ = "0.1.0"

_PUBLIC = {
    "Predictor": "amodal.inference.predictor",
    "Result": "amodal.results.result",
    "UserError": "amodal.errors",
    "compare": "amodal.evaluation.compare",
    "evaluate": "amodal.api",
    "load": "amodal.inference.predictor",
    "read": "amodal.formats.annotation_files",
    "sample": "amodal.samples",
    "synth": "amodal.api",
    "train": "amodal.api",
}
__all__ = [
    "Predictor",
    "Result",
    "UserError",
    "__version__",
    "compare",
    "evaluate",
    "load",
    "read",
    "sample",
    "synth",
    "train",
]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'amodal' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    """The public names, whether they are loaded yet or not."""
    return sorted(__all__)
