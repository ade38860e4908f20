"""Reading and writing of files: clear errors for what cannot be read, no half-written output."""

import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from amodal.errors import UserError

IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """A temporary path beside `path`, renamed to it on success and removed on failure.

    A reader therefore sees the old file or the whole new one, never a part.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.stem}-", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        temporary.chmod(0o666 & ~_umask())  # mkstemp makes private files; outputs follow the user's umask
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


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


def write_image(path: str | Path, pixels: np.ndarray) -> None:
    """Writes uint8 (H, W, 3 or 4) pixels in the format of the path's ending, whole or not at all."""
    with replacing(path) as temporary:
        Image.fromarray(pixels).save(temporary)


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
