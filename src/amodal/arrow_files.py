"""Apache Arrow, where it is installed: tables in files, some of which processes of a machine share without a copy."""

import importlib
from types import ModuleType

from amodal.errors import UserError


def arrow(part: str = "") -> ModuleType:
    """The package `pyarrow`, or a part of it. Raises UserError if it is missing."""
    try:
        return importlib.import_module(f"pyarrow.{part}" if part else "pyarrow")
    except ModuleNotFoundError as error:
        raise UserError("pyarrow is not installed, which reads Parquet", remedy="pip install 'amodal[ray]'") from error
