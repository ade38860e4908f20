"""Amodal instance segmentation: whole objects, and which part of them is seen.

Nothing heavy is imported until it is used, so that `amodal --help` answers at once.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from amodal.errors import UserError as UserError
    from amodal.inference.predictor import Predictor as Predictor
    from amodal.inference.predictor import load as load
    from amodal.inference.result import Result as Result
    from amodal.samples import sample as sample

__version__ = "0.1.0"

_PUBLIC = {
    "UserError": "amodal.errors",
    "load": "amodal.inference.predictor",
    "Predictor": "amodal.inference.predictor",
    "Result": "amodal.inference.result",
    "sample": "amodal.samples",
}
__all__ = ["Predictor", "Result", "UserError", "__version__", "load", "sample"]


def __getattr__(name: str) -> Any:
    """Loads a public name from its module when it is first used (PEP 562)."""
    if name not in _PUBLIC:
        raise AttributeError(f"module 'amodal' has no attribute '{name}'")
    return getattr(import_module(_PUBLIC[name]), name)
