"""Placeholder until annotations are mapped."""

from pathlib import Path
from typing import Any


def measure(folder: Path, *, small: bool) -> dict[str, Any]:
    raise NotImplementedError
