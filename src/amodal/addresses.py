"""Files by path or by address: on this disk, or on any file system that fsspec knows (`s3://`, `gs://`, `memory://`)."""

import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from amodal.errors import UserError
from amodal.files import is_hidden

_ONE_SLASH = re.compile(r"\b([a-z][a-z0-9+.-]+):/(?!/)")
_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")
_PATTERN = re.compile(r"[*?\[]")


def is_address(name: str | Path) -> bool:
    """Whether this is an address rather than a path."""
    return "://" in spelled(name)


def spelled(name: str | Path) -> str:
    """The name as text; an address that went through a Path, which leaves one slash of several, as it was."""
    return _ONE_SLASH.sub(lambda found: f"{found[1]}:{'///' if found[1] == 'file' else '//'}", str(name))


def absolute(name: str) -> str:
    """The name as it is understood in any folder."""
    return spelled(name) if is_address(name) else str(Path(name).absolute())


def file_system(address: str) -> tuple[Any, str]:
    """The file system of a path or address, and the path in it. Raises UserError where there is none."""
    from fsspec.core import url_to_fs  # takes a tenth of a second, which most commands need not wait for

    try:
        fs, path = url_to_fs(address)
    except (ImportError, ValueError) as error:
        raise UserError(f"cannot be reached ({said(error)})", file=address, remedy="Install what it needs") from error
    return fs, path


@contextmanager
def reaching(address: str) -> Iterator[None]:
    """Turns whatever a file system raises into a UserError with the address."""
    try:
        yield
    except UserError:
        raise
    except FileNotFoundError as error:
        raise UserError("no such file", file=address, remedy="Check the path") from error
    except Exception as error:  # each has its own
        problem = f"cannot be reached ({said(error)})"
        raise UserError(problem, file=address, remedy="Check the address, and who may read it") from error


def content(address: str | Path) -> bytes:
    """What is in the file at an address. Raises UserError."""
    address = spelled(address)
    with reaching(address):
        fs, path = file_system(address)
        return fs.cat_file(path)


def listed(names: Iterable[str | Path], ending: str) -> list[str]:
    """The files that names stand for, in their order, each once: an address, or an absolute path.

    Args:
        names: Paths or addresses of files; of folders, for the files in them; or of many files at once, as in
            `shard-{000..012}.tar` and `shard-*.tar`.
        ending: Of the files that are looked for in folders.

    Raises:
        UserError: There is no such file or folder.
    """
    found = (file for name in names for one in _numbered(absolute(str(name))) for file in _files(one, ending))
    return list(dict.fromkeys(found))


def _numbered(name: str) -> Iterator[str]:
    """`a{08..10}` as a08, a09 and a10."""
    found = _RANGE.search(name)
    if found is None:
        yield name
        return
    low, high = found[1], found[2]
    width = len(low) if low.startswith("0") or high.startswith("0") else 0
    for number in range(int(low), int(high) + 1):
        yield from _numbered(f"{name[: found.start()]}{number:0{width}d}{name[found.end() :]}")


def _files(name: str, ending: str) -> list[str]:
    with reaching(name):
        fs, path = file_system(name)
        if _PATTERN.search(path) and not fs.exists(path):
            found = sorted(fs.glob(path))
        elif path.lower().endswith(ending):  # many thousands may be named: none is asked for before it is read
            return [name]
        elif fs.isdir(path):
            inside = (one for one in fs.find(path) if one.lower().endswith(ending))
            found = sorted(one for one in inside if not is_hidden(one.removeprefix(path)))
        elif fs.exists(path):
            return [name]
        else:
            raise FileNotFoundError(path)
    if not found:
        raise UserError(f"no such files ({ending})", file=name, remedy="Check the path")
    return [fs.unstrip_protocol(one) if is_address(name) else one for one in found]


def changes(address: str) -> str:
    """What is another text once the file has changed. Raises UserError where it is not there."""
    with reaching(address):
        fs, path = file_system(address)
        return str(fs.ukey(path))


def said(error: Exception) -> str:
    """What a library's error says, in one line."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]
