"""What a command may write: never an input of its own, and over what was there before only with leave.

The command line puts each command under a `Guard`; `files.replacing`, through which all files are written, asks it.
Without a guard, as in a Python program, files are replaced as they are everywhere in Python.
"""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from amodal.errors import UserError

ELSEWHERE = "Choose another place"


@dataclass
class Guard:
    """What a command reads, and which of the files that are there it may replace.

    Attributes:
        inputs: Files and folders that it reads: no file among them, or in them, is replaced.
        replaces: Whether the user said that what is there may be replaced; None where a command has no such flag.
        own: Files and folders of its own work, now or in an earlier run, which it may replace without being told: by
            their real paths, since a user's name of a file is mostly relative to where they are.
    """

    inputs: tuple[Path, ...] = ()
    replaces: bool | None = False
    own: set[Path] = field(default_factory=set)

    def note(self, paths: Iterable[Path]) -> None:
        """Adds files or folders to its own."""
        self.own.update(Path(os.path.realpath(path)) for path in paths)


_guard: ContextVar[Guard | None] = ContextVar("guard", default=None)


@contextmanager
def guarded(guard: Guard) -> Iterator[None]:
    """Holds the `with` block to the guard."""
    token = _guard.set(guard)
    try:
        yield
    finally:
        _guard.reset(token)


def own(paths: Iterable[Path]) -> None:
    """Says that these files, or all in these folders, are this command's own work and may be replaced by it."""
    guard = _guard.get()
    if guard is not None:
        guard.note(paths)


def claim(paths: Iterable[Path]) -> None:
    """Says, before any work, that these files will be written; they are the command's own from then on.

    Raises:
        UserError: One of them is an input, or is there already and may not be replaced, or cannot be a file. Then
            none is claimed.
    """
    guard, targets = _guard.get(), [(path, target_of(path)) for path in dict.fromkeys(paths)]
    if guard is None:
        return
    for path, target in targets:
        if target.exists() and not _is_own(target, guard):
            _refuse_input(path, target, guard)
    there = [path for path, target in targets if target.exists() and not _is_own(target, guard)]
    if there and not guard.replaces:
        others = f" (and {len(there) - 1:,} more of the files to write)" if len(there) > 1 else ""
        remedy = f"{ELSEWHERE}, or add --overwrite" if guard.replaces is False else ELSEWHERE
        raise UserError(f"is there already{others}", file=there[0], remedy=remedy)
    guard.note(target for _, target in targets)


def target_of(path: str | Path) -> Path:
    """Where what is written to `path` belongs: a link stays, and what it points to is written.

    Raises:
        UserError: It is a folder or a device, or lies in what is no folder, or in one that may not be written.
    """
    path = Path(path)
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target.is_dir():
        raise UserError("is a folder, not a file", file=path, remedy="Give the name of a file")
    if target.exists() and not target.is_file():
        raise UserError("is no ordinary file", file=path, remedy="Give the name of a file")
    require_folder(target.parent)
    return target


def require_folder(folder: Path) -> None:
    """Raises UserError unless `folder` is a folder in which files can be made, or can be made itself."""
    there = next(one for one in (folder, *folder.absolute().parents) if one.exists())
    if not there.is_dir():
        raise UserError("is a file, not a folder", file=there, remedy=ELSEWHERE)
    if not os.access(there, os.W_OK | os.X_OK):
        raise UserError("may not be written to", file=there, remedy=f"{ELSEWHERE}, or change its permissions")


def _is_own(target: Path, guard: Guard) -> bool:
    real = Path(os.path.realpath(target))
    return any(one in guard.own for one in (real, *real.parents))


def _refuse_input(path: Path, target: Path, guard: Guard) -> None:
    """Raises UserError if the file `target` is an input, or lies in a folder that is one."""
    real = Path(os.path.realpath(target))
    for given in guard.inputs:
        if given.is_dir():
            if Path(os.path.realpath(given)) in real.parents:
                raise UserError(
                    "lies in a folder that is read, and would be replaced",
                    file=path,
                    remedy=f"{ELSEWHERE}, or remove the file",
                )
        elif given.exists() and given.samefile(target):
            raise UserError("is an input, and would be replaced", file=path, remedy=ELSEWHERE)
