"""The names of files that are being written, and the removal of those that a killed process left behind.

A name says who writes: `.amodal-HOST-PID-RANDOM.png`. Nothing is removed whose writer may be alive.
"""

import os
import re
import socket
import tempfile
import time
import zlib
from pathlib import Path

PREFIX = ".amodal-"
PATIENCE = 24 * 3600
"""Seconds without a change after which another machine's file, in a folder that is shared, is taken for abandoned."""

_NAME = re.compile(re.escape(PREFIX) + r"(?P<host>[0-9a-f]{8})-(?P<pid>\d+)-")
_HOST = f"{zlib.crc32(socket.gethostname().encode()):08x}"
_own: set[Path] = set()
"""This process's, being written now."""
_swept: set[Path] = set()
"""Folders that this process has looked through."""


def create(folder: Path, suffix: str) -> Path:
    """A new, empty, private file in the folder. The first one also removes what killed processes left there."""
    folder = folder.absolute()
    if folder not in _swept:
        _swept.add(folder)
        sweep(folder)
    handle, name = tempfile.mkstemp(prefix=f"{PREFIX}{_HOST}-{os.getpid()}-", suffix=suffix, dir=folder)
    os.close(handle)
    _own.add(Path(name))
    return Path(name)


def remove(temporary: Path) -> None:
    """Removes what `create` gave, if it is still there under this name."""
    temporary.unlink(missing_ok=True)
    _own.discard(temporary)


def sweep(folder: Path) -> None:
    """Removes the folder's temporary files whose writer is gone."""
    for entry in os.scandir(folder):
        found = _NAME.match(entry.name)
        path = folder / entry.name
        if found and path not in _own and _abandoned(path, found["host"], int(found["pid"])):
            path.unlink(missing_ok=True)


def _abandoned(path: Path, host: str, pid: int) -> bool:
    if host != _HOST or os.name == "nt":  # where asking whether a process lives would end it
        try:
            return time.time() - path.stat().st_mtime > PATIENCE
        except FileNotFoundError:  # its writer has just finished
            return False
    if pid == os.getpid():  # an earlier process of that number, as in a container, where they start from 1
        return True
    try:
        os.kill(pid, 0)
    except (ProcessLookupError, OverflowError):
        return True
    except PermissionError:  # another user's, alive
        return False
    return False
