"""Files within tar archives: where each one lies, found once, so that any of them is read without the others."""

import tarfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from amodal.addresses import file_system, is_address, reaching, said
from amodal.errors import UserError
from amodal.files import is_hidden, require_file

ENDING = ".tar"
AT_ONCE = 8
"""Archives that are looked through at a time: those at an address let one wait."""


def are_archives(name: str | Path) -> bool:
    """Whether a name stands for archives: of one, of many at once, or an address, at which nothing else is read."""
    return str(name).lower().endswith(ENDING) or is_address(name)


@dataclass(frozen=True, slots=True)
class Stored:
    """A file within an archive.

    Attributes:
        archive: Its address, or absolute path.
        name: The file's name in it.
        offset: Byte of the archive at which the file's content begins.
        size: Bytes of its content.
    """

    archive: str
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}/{self.name}"

    def read(self) -> bytes:
        """The content. Raises UserError where the archive is gone, or shorter than it was."""
        with reaching(self.archive):
            fs, path = file_system(self.archive)
            content = fs.cat_file(path, start=self.offset, end=self.offset + self.size)  # S3 has a version before
        if len(content) != self.size:
            raise UserError("is cut off", file=self.archive, record=self.name, remedy="Copy the archive again")
        return content


def content_of(place: Path | Stored) -> bytes:
    """A file's content, wherever it lies. Raises UserError."""
    return place.read() if isinstance(place, Stored) else require_file(place).read_bytes()


class Member(NamedTuple):
    """A file of an archive as it was found.

    Attributes:
        place: Where it lies.
        content: What is in it, if that was asked for.
    """

    place: Stored
    content: bytes | None


def members(archives: Sequence[str], read: str) -> list[list[Member]]:
    """The files in each archive, in their order; those whose names end in `read` are read.

    Raises:
        UserError: An archive is missing, compressed, damaged or cut off.
    """
    with ThreadPoolExecutor(AT_ONCE) as threads:
        return list(threads.map(lambda archive: _members(archive, read), archives))


def _members(address: str, read: str) -> list[Member]:
    found = []
    with reaching(address):
        fs, path = file_system(address)
        with fs.open(path, "rb") as file:
            try:
                with tarfile.open(fileobj=file, mode="r:") as archive:
                    for one in archive:
                        if not one.isreg() or one.issparse() or is_hidden(one.name):
                            continue
                        file.seek(one.offset_data)
                        content = file.read(one.size) if one.name.lower().endswith(read) else None
                        name = one.name.removeprefix("./")
                        found.append(Member(Stored(address, name, one.offset_data, one.size), content))
            except (EOFError, tarfile.TarError) as error:
                remedy = "Copy it again; one that is compressed cannot be read from the middle, and has to be unpacked"
                raise UserError(f"is no whole tar archive ({said(error)})", file=address, remedy=remedy) from error
    return found
