"""Downloaded archives unpacked where they lie: each file whole or not there, so that it can be stopped and go on."""

import lzma
import os
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from tqdm import tqdm

from amodal.errors import UserError
from amodal.files import appearing, is_hidden, naming_failures

ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.xz")


def unpack(folder: Path) -> int:
    """Unpacks the archives in the folder, leaving what is there; returns how many.

    Raises:
        UserError: One is damaged, or of a kind that cannot be read; the disk is full.
    """
    archives = [p for p in sorted(folder.iterdir()) if p.name.lower().endswith(ENDINGS) and not is_hidden(p.name)]
    for archive in tqdm(archives, "unpacking", unit=" archives", disable=None):
        try:
            _unpack(archive)
        except (zipfile.BadZipFile, tarfile.TarError, EOFError, lzma.LZMAError, zlib.error, KeyError) as error:
            raise UserError(f"the archive is damaged ({error})", file=archive, remedy="Download it again") from error
        except RuntimeError as error:  # zipfile's answer to a password and to unusual compression
            remedy = "Unpack it yourself, in its folder"
            raise UserError(f"cannot be unpacked here ({error})", file=archive, remedy=remedy) from error
    return len(archives)


def _unpack(archive: Path) -> None:
    for name, content in _of_zip(archive) if archive.suffix.lower() == ".zip" else _of_tar(archive):
        place = archive.parent / name
        with naming_failures(place), content, appearing(place) as temporary, temporary.open("wb") as file:
            shutil.copyfileobj(content, file, 2**20)


def _of_zip(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """Each file of an archive that is not there yet: its name, and its content to be read at once."""
    with zipfile.ZipFile(archive) as packed:
        for member in packed.infolist():
            if not member.is_dir() and _is_new(archive, member.filename):
                yield member.filename, packed.open(member)


def _of_tar(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    """As `_of_zip`; what a link points to is its content."""
    with tarfile.open(archive) as packed:
        for member in packed:
            content = packed.extractfile(member) if _is_new(archive, member.name) else None
            if content is not None:  # of a folder
                yield member.name, content


def _is_new(archive: Path, name: str) -> bool:
    """Whether a file is not there yet. Raises UserError for a name that leaves the archive's folder."""
    place, folder = Path(os.path.abspath(archive.parent / name)), Path(os.path.abspath(archive.parent))  # noqa: PTH100
    if not place.is_relative_to(folder):  # links that the user made in it may lead out of it
        remedy = "Unpack it yourself, where nothing can be lost"
        raise UserError(f"holds '{name}', which leaves its folder", file=archive, remedy=remedy)
    return not place.exists()
