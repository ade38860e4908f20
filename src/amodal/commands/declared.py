"""What each command says of its parameters: which ones it reads, which it writes, and within which bounds numbers lie.

`checked` looks at all of it before a command does any work. A parameter that names a file and says neither is a
mistake that a test finds.
"""

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, is_dataclass
from functools import wraps
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from amodal.arguments import Within, require_word
from amodal.errors import UserError
from amodal.outputs import Guard, claim, guarded, require_folder


@dataclass(frozen=True)
class Reads:
    """Marks a parameter that names a file or folder to read. A word that names none on this disk is let be."""


@dataclass(frozen=True)
class Writes:
    """Marks a parameter that names what is written: a file, a folder to put files into, or either, as a format asks.

    Which files go into a folder the command claims itself, as soon as it knows (`amodal.outputs.claim`).

    Attributes:
        kind: What it names.
        shows: Whether `-` stands for standard output in place of a file.
        endings: Of which the file's name must have one, where other programs go by it; () for any.
    """

    kind: Literal["file", "folder", "either"] = "file"
    shows: bool = False
    endings: tuple[str, ...] = ()

    def check_name(self, path: Path) -> None:
        """Raises UserError for a name that tells other programs of another kind of file."""
        if self.endings and path.suffix.lower() not in self.endings:
            remedy = f"Call it {path.with_suffix(self.endings[0]).name}"
            raise UserError(f"is no name of a page, which ends in {self.endings[0]}", file=path, remedy=remedy)


READS, WRITES, WRITES_IN, WRITES_EITHER = Reads(), Writes(), Writes("folder"), Writes("either")
WRITES_OR_SHOWS, WRITES_PAGE = Writes(shows=True), Writes(endings=(".html", ".htm"))
STANDARD_OUTPUT = Path("-")
"""In place of a file, where a command writes or shows."""


@dataclass(frozen=True)
class Leaf:
    """One parameter of a command, or field of a group of them, with its value in a call.

    Attributes:
        flag: As it stands on the command line: `--max-frames`; a positional one, too.
        hint: Its type, with its marks.
        value: What was given for it, or its default.
    """

    flag: str
    hint: Any
    value: Any

    @property
    def marks(self) -> tuple[Any, ...]:
        """What its annotation says beyond the type."""
        return getattr(self.hint, "__metadata__", ())

    @property
    def values(self) -> tuple[Any, ...]:
        """Its value as a tuple; empty for None."""
        if self.value is None:
            return ()
        return self.value if isinstance(self.value, tuple) else (self.value,)

    @property
    def words(self) -> tuple[Any, ...]:
        """The words that its type allows; none where it allows anything else, or is a union."""
        bare = get_args(self.hint)[0] if self.marks else self.hint
        return get_args(bare) if get_origin(bare) is Literal else ()

    def paths(self, kind: type) -> list[Path]:
        """The paths given, if the parameter is marked so."""
        is_marked = any(isinstance(mark, kind) for mark in self.marks)
        return [Path(value) for value in self.values] if is_marked else []


def leaves(hints: dict[str, Any], values: dict[str, Any]) -> Iterator[Leaf]:
    """Every parameter, groups (dataclasses) opened."""
    for name, value in values.items():
        if is_dataclass(value) and not isinstance(value, type):
            inside = {field.name: getattr(value, field.name) for field in fields(value)}
            yield from leaves(get_type_hints(type(value), include_extras=True), inside)
        else:
            yield Leaf(f"--{name.replace('_', '-')}", hints[name], value)


def checked(command: Callable[..., Any]) -> Callable[..., Any]:
    """The command behind its checks: numbers within their bounds, and outputs that may be written.

    Raises:
        UserError: In a call, where a check fails; nothing has been done then.
    """
    signature = inspect.signature(command)

    @wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        found = list(leaves(get_type_hints(command, include_extras=True), bound.arguments))
        _check_values(found)
        flags = {leaf.flag: leaf.value for leaf in found}
        inputs = tuple(path for leaf in found for path in leaf.paths(Reads) if path.exists())
        with guarded(Guard(inputs, flags.get("--overwrite"))):
            _claim(found)
            return command(*args, **kwargs)

    return run


def _check_values(found: list[Leaf]) -> None:
    for leaf in found:
        words = leaf.words
        for value in leaf.values if words else ():
            require_word(leaf.flag, value, words)
        for mark in leaf.marks:
            if isinstance(mark, Within):
                for value in leaf.values:
                    mark.check(leaf.flag, value)


def _claim(found: list[Leaf]) -> None:
    """Claims the files that the command line names, and looks whether folders can be ones."""
    named: list[tuple[Writes, Path]] = []
    for leaf in found:
        mark = next((mark for mark in leaf.marks if isinstance(mark, Writes)), Writes())
        for path in leaf.paths(Writes):
            if mark.kind == "folder" or (mark.kind == "either" and not path.is_file()):
                require_folder(path)
            elif not (mark.shows and path == STANDARD_OUTPUT):
                named.append((mark, path))
    files = [path for _, path in named]
    twice = next((path for path in files if files.count(path) > 1), None)
    if twice is not None:
        raise UserError("is named for two outputs", file=twice, remedy="Give each its own file")
    claim(files)
    for mark, path in named:
        mark.check_name(path)
