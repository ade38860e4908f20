"""Where a result comes from: commit, machine, versions, date."""

import os
import platform
import subprocess
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy
import torch
import torchvision

import amodal
from amodal import outputs
from amodal.files import read_json


def about(command: str, **details: Any) -> dict[str, Any]:
    """What a result is written with. `details` come first; there are no paths and no host names in it."""
    return {
        **details,
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit(),
        "machine": machine(),
        "versions": {
            "amodal": amodal.__version__,
            "python": platform.python_version(),
            "torch": torch.__version__,
            "torchvision": torchvision.__version__,
            "numpy": numpy.__version__,
        },
    }


def claim_own(paths: Iterable[Path], origin: Path) -> None:
    """Claims the files of a result; those of an earlier one may be replaced, which `origin`, one of them, tells.

    Raises:
        UserError: Files of these names are there that no earlier `amodal bench` wrote.
    """
    paths = list(paths)
    if origin.is_file():
        content: Any = read_json(origin)
        details = content.get("about", content) if isinstance(content, dict) else {}
        if isinstance(details, dict) and str(details.get("command")).startswith("amodal bench "):
            outputs.own(paths)
    outputs.claim(paths)


def commit() -> str | None:
    """The git commit of this code, with "+" where files differ from it; None outside a repository."""
    here = Path(__file__).parent
    try:
        head = _git("rev-parse", "--short=12", "HEAD", folder=here)
        changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".", folder=here.parent)
    except (OSError, subprocess.CalledProcessError):
        return None
    return head + ("+" if changed else "")


def machine() -> str:
    """The GPUs if there are any, and the CPU's cores."""
    cores = f"{len(os.sched_getaffinity(0)) if 'sched_getaffinity' in dir(os) else os.cpu_count()} CPU cores"
    if not torch.cuda.is_available():
        return f"{cores}, {platform.machine()}, no GPU"
    names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
    return f"{len(names)} x {names[0]}, {cores}"


def _git(*arguments: str, folder: Path) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()
