"""Reading and writing of files: clear errors for what cannot be read, no half-written output."""

import codecs
import errno
import json
import os
import re
import unicodedata
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from amodal import outputs, temporaries
from amodal.errors import UserError

_UNNAMED = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO)
"""What the system answers to a write in progress; it then names no file."""


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success and removed on failure.

    A reader therefore sees the old file or the whole new one, never a part; and so it is after a power cut. Where
    `path` is a link, the link stays and what it points to is replaced.

    Raises:
        UserError: The command at work may not write there (`amodal.outputs`), the disk is full, or it can be no file.
    """
    outputs.claim([Path(path)])
    path = outputs.target_of(path)
    with naming_failures(path):
        with appearing(path) as temporary:
            yield temporary
            _to_disk(temporary)
        _to_disk(path.parent)


@contextmanager
def appearing(path: Path) -> Iterator[Path]:
    """As `replacing`, of files by the ten thousand that can be made again: whole after a kill, if not a power cut.

    Waiting for the disk after each would take hours.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporaries.create(path.parent, path.suffix)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # it was private; outputs follow the user's umask
        temporary.replace(path)
    finally:
        temporaries.remove(temporary)


@contextmanager
def naming_failures(path: str | Path) -> Iterator[None]:
    """Turns the system's refusal to write, which mostly names no file, into a UserError that names `path`."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        number = _refusal(error, Path(path))
        if number is None:
            raise
        full = number in (errno.ENOSPC, errno.EDQUOT)
        raise UserError(
            f"cannot be written ({os.strerror(number)})",
            file=path,
            remedy="Free some space, or write elsewhere" if full else "Check the folder, or write elsewhere",
        ) from error


def _refusal(error: BaseException | None, path: Path) -> int | None:
    """The system's number of a failure to write `path`; None for any other error.

    Libraries that write in C++ or Rust raise errors of their own, in the wake of the system's or quoting its number.
    """
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            ours = error.errno in _UNNAMED if error.filename is None else _concerns(error.filename, path)
            return error.errno if ours else None
        if quoted := re.search(r"\(os error (\d+)\)", str(error)):
            return int(quoted[1])
        error = error.__cause__ or error.__context__
    return None


def _concerns(name: str | bytes, path: Path) -> bool:
    """Whether a failure at `name` is one of writing `path`: itself, a folder above it, or its temporary file."""
    named = Path(os.fsdecode(name))
    return named.absolute() in (path.absolute(), *path.absolute().parents) or named.name.startswith(temporaries.PREFIX)


def _to_disk(path: Path) -> None:
    """Returns when a file's content, or a folder's list of names, would outlive a power cut."""
    if os.name == "nt":  # has no handles of folders, and flushes files that were not opened to be written never
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # some network file systems know no such thing
            raise
    finally:
        os.close(handle)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name too long, or with a zero byte, names none."""
    return os.path.isfile(path)  # noqa: PTH113 - which raises nothing, unlike pathlib's


def place_of(folder: Path, name: str) -> Path:
    """A file by its name in a folder, also where its accents, or the folders in it, are written otherwise there.

    Unicode has `ä` as one letter and as two signs; macOS and its archives write the second, most annotations the first.
    Annotations made on Windows part them by backslashes.
    """
    path = folder / name
    if (name.isascii() and "\\" not in name) or is_file(path):
        return path
    posix = name.replace("\\", "/")
    others = (folder / unicodedata.normalize(form, posix) for form in ("NFC", "NFD"))
    return next((other for other in others if is_file(other)), path)


def is_hidden(name: str | Path) -> bool:
    """Whether a file within a folder or an archive is hidden, or lies in a folder that is: what systems put there.

    macOS leaves `._photo.jpg` beside each photo.jpg on foreign disks and in archives.
    """
    return any(part.startswith(".") and part != ".." for part in PurePath(name).parts)


def found_in(folder: Path, endings: tuple[str, ...]) -> list[Path]:
    """The files in a folder and in those within it whose names end so, in upper or lower case; hidden ones left out.

    Raises:
        UserError: One of the folders may not be read: what is in it would be passed over.
    """
    found: list[Path] = []
    for place, folders, names in os.walk(folder, onerror=_refuse_unreadable):
        folders[:] = [name for name in folders if not is_hidden(name) and name not in _OF_DISKS]
        found += [Path(place, name) for name in names if Path(name).suffix.lower() in endings and not is_hidden(name)]
    return sorted(found)


_OF_DISKS = ("lost+found", "System Volume Information", "$RECYCLE.BIN")
"""Folders that systems put at the top of a disk, where mostly nobody may look."""


def _refuse_unreadable(error: OSError) -> None:
    if isinstance(error, PermissionError):
        raise UserError("may not be read", file=error.filename, remedy=_WHO) from error


_WHO = "Check who may read it"


def require_file(path: str | Path, *, remedy: str = "Check the path") -> Path:
    """`path` as a Path, if it is a file that is there and may be read. Raises UserError otherwise."""
    path = Path(path)
    if not is_file(path):
        problem = "is a folder, not a file" if os.path.isdir(path) else "no such file"  # noqa: PTH112
        raise UserError(problem, file=path, remedy=remedy)
    if not os.access(path, os.R_OK):  # readers in C++ and Rust call it missing
        raise UserError("may not be read", file=path, remedy=_WHO)
    return path


def read_text(path: str | Path) -> str:
    """A text file in UTF-8, or in UTF-16 that says so in its first bytes. Raises UserError."""
    path = require_file(path)
    try:
        return decoded(path.read_bytes(), file=path)
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", file=path, remedy=_WHO) from error


_COMPRESSED = (b"\x1f\x8b", b"PK\x03\x04", b"\xfd7zXZ", b"BZh", b"7z\xbc\xaf", b"\x28\xb5\x2f\xfd")
"""How files of gzip, zip, xz, bzip2, 7-Zip and Zstandard begin."""


def decoded(content: bytes, *, file: str | Path) -> str:
    """The text that a file holds, as `read_text`. Raises UserError."""
    if content.startswith(_COMPRESSED):
        raise UserError("is compressed", file=file, remedy="Unpack it first")
    try:
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        return content.decode("utf-16" if marked else "utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"not a text file in UTF-8 ({error.reason})", file=file, remedy="Save it as UTF-8") from error


def read_json_text(path: str | Path, content: bytes | None = None) -> str:
    """The text of a JSON file, or of its content where that has been read, without halves of characters."""
    return _with_whole_characters(read_text(path) if content is None else decoded(content, file=path))


def _with_whole_characters(text: str) -> str:
    """A JSON text without halves of characters: Python's JSON takes them, and no file can hold them."""
    return _ESCAPES.sub(_whole, text) if "\\u" in text else text


_ESCAPES = re.compile(
    r"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[dD][89a-fA-F][0-9a-fA-F]{2}"
)
"""An escaped backslash, both halves of a character, or one without the other."""


def _whole(escape: re.Match[str]) -> str:
    return "\\ufffd" if len(escape[0]) == 6 else escape[0]


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. Raises UserError naming the file, and the line where it breaks."""
    return parse_json(read_text(path), file=path)


def parse_json(text: str, *, file: str | Path) -> Any:
    """The content of a JSON text that stands in a file. Raises UserError naming the file, and the line."""
    try:
        return json.loads(_with_whole_characters(text))
    except json.JSONDecodeError as error:
        raise not_json(f"at line {error.lineno}, column {error.colno} ({error.msg})", file=file) from error
    except RecursionError as error:
        raise not_json("(nested too deeply)", file=file) from error
    except ValueError as error:
        raise not_json("(a number has thousands of digits)", file=file) from error


def not_json(where: str, *, file: str | Path) -> UserError:
    """The error for a file that is no JSON at a place."""
    return UserError(
        f"not valid JSON {where}", file=file, remedy="The file may be cut short: download or export it again"
    )


def write_json(path: str | Path, content: Any, *, indent: int | None = None) -> None:
    """Writes `content` as JSON, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=indent, ensure_ascii=False)
        file.write("\n")
