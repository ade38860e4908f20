"""Where pictures come from, cut into parts that any machine can read: folders, lists, Parquet, WebDataset shards.

An address is a path, or a URL of any file system that fsspec knows (`s3://`, `gs://`, `hdfs://`, `https://`, ...). A
picture's id follows from its place in the source alone.
"""

import hashlib
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Protocol

from amodal.addresses import file_system, is_address, reaching, said
from amodal.arrow_files import arrow
from amodal.errors import UserError
from amodal.files import is_hidden
from amodal.pictures import IMAGE_SUFFIXES

MOST_ROWS = 1000
"""Of a part: some minutes of work, which is what a machine that goes away loses at most."""
FEWEST_PARTS = 64
"""Small sources are cut finer, so that several machines have something to do."""
ROWS_AT_ONCE, BUFFER = 16, 2**20
"""Rows of a Parquet file that are read in one go, and bytes of each of its columns."""
IDS_A_TAR = 2**32
"""Ids of an archive's pictures begin at its number times this, since nobody has counted what is in those before."""
REMEDY = "Give a folder of images, a .txt list, .parquet files with a column path, bytes or image, or .tar archives"
KINDS = (".parquet", ".tar", ".txt")
"""Endings of files that hold or name pictures."""

Picture = tuple[int, str, "bytes | UserError"]
"""Id, name, and the file's content, or why it could not be read."""


class Part(Protocol):
    """Pictures for one shard. Can be sent to another machine."""

    def pictures(self) -> Iterator[Picture]:
        """In order; each as it is asked for."""
        ...


@dataclass(frozen=True)
class Files:
    """Pictures that are files.

    Attributes:
        first_id: Of the first one; the others follow.
        names: Their addresses, as they were given.
        base: What paths among them begin from.
    """

    first_id: int
    names: tuple[str, ...]
    base: str

    def pictures(self) -> Iterator[Picture]:
        """As `Part`."""
        for place, name in enumerate(self.names):
            yield self.first_id + place, name, _content(_below(self.base, name))


@dataclass(frozen=True)
class Rows:
    """Pictures in rows of a Parquet file: `start` to `stop` - 1.

    The picture is the column `bytes`, or `image` as Hugging Face writes it, or the address in `path`. The columns
    `image_id` (or `id`) and `file_name` are taken where they are there.
    """

    first_id: int
    address: str
    start: int
    stop: int

    def pictures(self) -> Iterator[Picture]:
        """As `Part`."""
        for place, record in zip(range(self.start, self.stop), self._records(), strict=True):
            image = record.get("image") or {}
            path, data = record.get("path") or image.get("path"), record.get("bytes") or image.get("bytes")
            name = record.get("file_name") or path or f"{self.address}#{place}"
            number = record.get("image_id", record.get("id"))
            number = self.first_id + place - self.start if number is None else int(number)
            if data is None and path is not None:
                data = _content(_beside(self.address, path))
            yield number, str(name), UserError("the row has no picture") if data is None else data

    def _records(self) -> Iterator[dict[str, Any]]:
        fs, path = file_system(self.address)
        with fs.open(path, "rb") as file:
            parquet = arrow("parquet").ParquetFile(file, buffer_size=BUFFER)
            names = parquet.schema_arrow.names
            columns = [name for name in ("bytes", "image", "path", "image_id", "id", "file_name") if name in names]
            before = 0
            for group in range(parquet.num_row_groups):
                rows = parquet.metadata.row_group(group).num_rows
                low, high = max(self.start - before, 0), min(self.stop - before, rows)
                if low < high:
                    yield from _between(parquet.iter_batches(ROWS_AT_ONCE, [group], columns), low, high)
                before += rows


def _between(batches: Iterable[Any], low: int, high: int) -> Iterator[dict[str, Any]]:
    """Rows `low` to `high` - 1 of a row group, which is never in memory as a whole: many hold a million pictures."""
    first = 0
    for batch in batches:
        after = first + batch.num_rows
        if after > low:
            start = max(low - first, 0)
            yield from batch.slice(start, min(high, after) - first - start).to_pylist()
        if after >= high:
            return
        first = after


@dataclass(frozen=True)
class Archive:
    """The pictures in a tar archive, as WebDataset writes them, read from front to back."""

    first_id: int
    address: str

    def pictures(self) -> Iterator[Picture]:
        """As `Part`; an archive that is cut off ends with an error in place of a picture."""
        number = self.first_id
        fs, path = file_system(self.address)
        try:
            with fs.open(path, "rb") as file, tarfile.open(fileobj=file, mode="r|*") as archive:
                for member in archive:
                    is_picture = member.name.lower().endswith(IMAGE_SUFFIXES) and not is_hidden(member.name)
                    content = archive.extractfile(member) if is_picture else None
                    if content is not None:
                        yield number, member.name, content.read()
                        number += 1
        except (OSError, EOFError, tarfile.TarError) as error:
            yield number, self.address, UserError(f"the archive cannot be read to its end ({said(error)})")


def open_source(addresses: Sequence[str]) -> list[Part]:
    """The parts of all sources, in order.

    Raises:
        UserError: One is not there, or holds no pictures, or its file system is not known here.
    """
    names = [name for address in addresses for name in _listed(address)]
    tables = {name: _num_rows(name) for name in names if name.lower().endswith(".parquet")}
    archives = [name for name in names if name.lower().endswith(".tar")]
    files = [name for name in names if not name.lower().endswith((".parquet", ".tar"))]
    size = max(1, min(MOST_ROWS, -(-(len(files) + sum(tables.values())) // FEWEST_PARTS)))
    base, first = str(Path.cwd()), 1 + len(files)
    parts: list[Part] = [Files(1 + low, tuple(files[low : low + size]), base) for low in range(0, len(files), size)]
    for name, count in tables.items():
        address = _below(base, name)
        parts += [Rows(first + low, address, low, min(low + size, count)) for low in range(0, count, size)]
        first += count
    parts += [Archive((1 + place) * IDS_A_TAR, _below(base, name)) for place, name in enumerate(archives)]
    if not parts:
        raise UserError("no images", file=addresses[0], remedy=REMEDY)
    return parts


def fingerprint(parts: Sequence[Part]) -> str:
    """Tells whether a source is the same as in another run: of the names in it, not of their content."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(repr(part).encode(errors="surrogatepass"))
    return digest.hexdigest()[:16]


def _listed(address: str) -> list[str]:
    """The files that an address stands for: itself, those of a list, or those in a folder."""
    with reaching(address):
        fs, path = file_system(address)
        if not fs.exists(path):
            raise UserError("no such file or folder", file=address, remedy=REMEDY)
        if fs.isdir(path):
            return _inside(address, sorted(fs.find(path), key=PurePosixPath), path.rstrip("/"))
        if not path.lower().endswith(".txt"):
            return [address]
        lines = fs.cat_file(path).decode(errors="surrogateescape").splitlines()
        return [_beside(address, line.strip()) for line in lines if line.strip()]


def _inside(address: str, names: Sequence[str], folder: str) -> list[str]:
    """The images in a folder; else its Parquet files; else its archives."""
    for suffixes in (IMAGE_SUFFIXES, (".parquet",), (".tar",)):
        found = [name.removeprefix(folder) for name in names if name.lower().endswith(suffixes)]
        if shown := [address.rstrip("/") + name for name in found if not is_hidden(name)]:
            return shown
    raise UserError("no images in this folder", file=address, remedy=REMEDY)


def _num_rows(address: str) -> int:
    fs, path = file_system(address)
    try:
        with fs.open(path, "rb") as file:
            parquet = arrow("parquet").ParquetFile(file)
            count, names = parquet.metadata.num_rows, set(parquet.schema_arrow.names)
    except UserError:
        raise
    except Exception as error:  # of a damaged file it may raise anything
        raise UserError(f"cannot be read as Parquet ({said(error)})", file=address) from error
    if not names & {"bytes", "image", "path"}:
        raise UserError(f"has no pictures, only {', '.join(sorted(names))}", file=address, remedy=REMEDY)
    return count


def _content(name: str) -> bytes | UserError:
    """A file's bytes, or why they could not be read."""
    try:
        fs, path = file_system(name)
        return fs.cat_file(path)
    except FileNotFoundError:
        return UserError("no such file")
    except UserError as error:
        return error
    except Exception as error:  # each file system has its own
        return UserError(f"cannot be read ({said(error)})")


def _beside(address: str, name: str) -> str:
    """What a list means by a name: an address, or a path from the list's own folder."""
    return _below(address.rpartition("/")[0], name)


def _below(folder: str, name: str) -> str:
    return name if not folder or is_address(name) or Path(name).is_absolute() else f"{folder}/{name}"
