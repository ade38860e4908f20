"""A folder for one process at a time: of two that write there for long, each would undo what the other has done."""

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic, sleep

from filelock import FileLock, Timeout

from amodal.errors import UserError
from amodal.outputs import ELSEWHERE, require_folder

NAME = ".amodal.lock"
PATIENCE = 10.0
"""Seconds to wait for another process, which may be about to end, as after Ctrl+C."""


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Keeps other processes of this package out of a folder while the `with` block runs.

    It is free again when this process ends, in whatever way. The folder is made where it is missing, and removed where
    it is empty in the end. On a file system without locks nobody is kept out.

    Raises:
        UserError: Another process works there and goes on with it, or no file can be made there.
    """
    require_folder(folder)
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    lock = FileLock(folder / NAME)
    try:
        if _acquire(lock, folder):
            with suppress(OSError):
                (folder / NAME).write_text(f"process {os.getpid()} on {socket.gethostname()}\n", encoding="utf-8")
        yield
    finally:
        if lock.is_locked:
            with suppress(OSError):  # before it is released: who waits sees that the file is gone, and makes a new one
                (folder / NAME).unlink()
            lock.release()
        for place in made:
            with suppress(OSError):  # not empty
                place.rmdir()


def _acquire(lock: FileLock, folder: Path) -> bool:
    """Whether there is a lock now. Raises UserError where another process has it, and keeps it."""
    late = monotonic() + PATIENCE
    while True:
        folder.mkdir(parents=True, exist_ok=True)  # each time: who ends removes the folder that it made, if it is empty
        try:
            lock.acquire(blocking=False)
        except (Timeout, FileNotFoundError):
            if monotonic() >= late:
                raise UserError(
                    f"another process is writing there{_holder(folder)}",
                    file=folder,
                    remedy=f"Wait until it ends, or stop it. {ELSEWHERE} for this one",
                ) from None
            sleep(0.1)
        except (OSError, NotImplementedError):
            return False
        else:
            return True


def _holder(folder: Path) -> str:
    """What the lock's file says of the process that has it."""
    try:
        return f" ({(folder / NAME).read_text(encoding='utf-8', errors='replace').strip()})"
    except OSError:
        return ""
