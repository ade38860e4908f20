"""JSON for a script: in a file, or alone on standard output, everything else then on standard error."""

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

from amodal.commands.declared import STANDARD_OUTPUT


@contextmanager
def json_to(out: Path | None) -> Iterator[Callable[[Any], None]]:
    """Gives, for the `with` block, the function that writes JSON.

    Args:
        out: A file; `-` for standard output, on which nothing else is then said; None for nowhere.
    """
    from amodal.files import write_json

    if out != STANDARD_OUTPUT:
        yield lambda content: None if out is None else write_json(out, content, indent=1)
        return
    stream = sys.stdout
    with redirect_stdout(sys.stderr):
        yield lambda content: print(json.dumps(content, indent=1, ensure_ascii=False), file=stream)
