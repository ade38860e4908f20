"""Reading and writing of files: clear errors for what cannot be read, no half-written output."""

import errno
import io
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from amodal import outputs, temporaries
from amodal.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


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
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = temporaries.create(path.parent, path.suffix)
        try:
            yield temporary
            temporary.chmod(0o666 & ~_umask())  # it was private; outputs follow the user's umask
            _to_disk(temporary)
            temporary.replace(path)
            _to_disk(path.parent)
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


def require_file(path: str | Path, *, remedy: str = "Check the path") -> Path:
    """`path` as a Path, if it is a file that is there. Raises UserError otherwise."""
    path = Path(path)
    if not path.is_file():
        problem = "is a folder, not a file" if path.is_dir() else "no such file"
        raise UserError(problem, file=path, remedy=remedy)
    return path


def read_json(path: str | Path) -> Any:
    """The content of a JSON file. Raises UserError naming the file, and the line where it breaks."""
    path = require_file(path)
    try:
        return json.loads(path.read_bytes())
    except json.JSONDecodeError as error:
        raise UserError(
            f"not valid JSON at line {error.lineno}, column {error.colno} ({error.msg})",
            file=path,
            remedy="The file may be cut short: download or export it again",
        ) from error
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"not a JSON text file ({error})", file=path, remedy="Give an annotation file") from error


def write_json(path: str | Path, content: Any, *, indent: int | None = None) -> None:
    """Writes `content` as JSON, whole or not at all."""
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as file:
        json.dump(content, file, indent=indent, ensure_ascii=False)
        file.write("\n")


def read_image(path: str | Path, *, upright: bool = False) -> np.ndarray:
    """An image as uint8 (H, W, 3) RGB.

    Args:
        path: An image file.
        upright: Apply the camera's EXIF rotation: for a person's own pictures. Annotated data sets count
            pixels as stored, so their reader leaves it off.

    Raises:
        UserError: The file is missing, or is no image, or is damaged.
    """
    with _opened(path) as image:
        return np.asarray((ImageOps.exif_transpose(image) if upright else image).convert("RGB"))


def read_rgba(path: str | Path) -> np.ndarray:
    """An image with transparency as uint8 (H, W, 4), colours not multiplied by alpha.

    Raises:
        UserError: The file is missing, or is no image, or is damaged, or has no transparency.
    """
    with _opened(path) as image:
        if not image.has_transparency_data:
            raise UserError(
                "has no transparency", file=path, remedy="A cut-out is a PNG or WebP whose alpha channel is its mask"
            )
        return np.asarray(image.convert("RGBA"))


@contextmanager
def _opened(path: str | Path) -> Iterator[Image.Image]:
    """The decoded image of a file; what goes wrong in it becomes a UserError."""
    path = require_file(path)
    try:
        with Image.open(path) as image:
            image.load()
            yield image
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise UserError(f"cannot be read as an image ({error})", file=path, remedy="Replace or remove it") from error


def write_image(path: str | Path, image: np.ndarray | Image.Image, **options: Any) -> None:
    """Writes a picture, or uint8 (H, W, 3 or 4) pixels, in the format of the path's ending, whole or not at all.

    Args:
        path: The file.
        image: What is written.
        options: Pillow's for this format, such as `quality`.

    Raises:
        UserError: The ending is of no picture, or the disk is full.
    """
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise UserError(f"no picture's ending: '{path.suffix}'", file=path, remedy="Take .png, .jpg or .webp")
    # Pillow itself, given a path, goes on without a word where a full disk takes a part of a JPEG.
    encoded = io.BytesIO()
    (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(encoded, kind, **options)
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def find_images(paths: list[Path]) -> list[Path]:
    """Image files as given, folders replaced by the images in them, sorted. Raises UserError for an empty one."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(require_file(path, remedy="Give an image file or a folder of images"))
            continue
        inside = sorted(p for p in path.rglob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
        if not inside:
            raise UserError("no images in this folder", file=path, remedy=f"Images end in {', '.join(IMAGE_SUFFIXES)}")
        found.extend(inside)
    return found
