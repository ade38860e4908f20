"""The one place that decodes pictures: a few well-kept formats, and every kind of pixel as 8-bit RGB.

Anything else, PostScript for one, is refused by its first bytes, before a decoder is started.

**One rule for turned photographs.** Cameras store a picture as the sensor lay and note in EXIF how to turn it. A
picture without annotations is read upright, as people see it. Annotations mean the frame that they were drawn in: the
stored one if its size fits theirs, the upright one if only that fits. Formats that state no size (YOLO) mean what
labelling tools show: upright.
"""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import ExifTags, Image

from amodal.addresses import content, spelled
from amodal.archives import Stored
from amodal.errors import UserError
from amodal.files import found_in, replacing, require_file

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""Pillow's names of those that are decoded; of a GIF, or any file of several pictures, the first one."""
NAMES = "JPEG, PNG, WebP, BMP, TIFF or GIF"
IMAGE_SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff", ".gif")
MOST_PIXELS = 89_478_485
"""More are refused before they are decoded: a few kilobytes can claim gigabytes. Pillow's own line."""

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""What turns a picture upright, by EXIF's orientation."""
_SIDEWAYS = (5, 6, 7, 8)
"""Orientations whose turn swaps height and width."""
_TO_8_BITS = ((np.arange(2**16) * 255 + 2**15) // (2**16 - 1)).astype(np.uint8)
"""Of every 16-bit value, by the full range."""

# The limit on pixels is this module's, and what Pillow finds odd in a file's notes concerns nobody who has its pixels.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
warnings.filterwarnings("ignore", category=UserWarning, module=r"PIL\.")


Place = str | Path | Stored
"""Where a picture is: a file, or a file in an archive."""


class OtherSize(UserError):
    """A picture that is whole, but not of the size that its annotations are about."""


def read_image(path: Place | bytes) -> np.ndarray:
    """A picture as people see it, uint8 (H, W, 3) RGB: upright, of a GIF the first frame, transparency ignored.

    Args:
        path: A file, in an archive or not, or the content of one.

    Raises:
        UserError: The file is missing, no picture of `FORMATS`, damaged, too large, or of pixels without a known range.
    """
    with _opened(path) as image:
        return to_rgb(_upright(image))


def read_at(address: str | Path) -> np.ndarray:
    """As `read_image`, of the picture at an address (`https://`, `s3://`).

    For what a user names himself: a name in an annotation file must not make this machine ask another.
    """
    with _told(spelled(address)):
        return read_image(content(address))


def read_annotated_image(path: Place, size: tuple[int, int]) -> np.ndarray:
    """A picture in the frame that annotations of `size` (height, width) mean, uint8 (H, W, 3) RGB.

    Raises:
        UserError: As `read_image`.
        OtherSize: The picture has another size, stored and upright.
    """
    with _opened(path) as image:
        turned = _is_turned(image, size, path)
        return to_rgb(_upright(image) if turned else image)


def read_rgba(path: str | Path | bytes) -> np.ndarray:
    """A picture with transparency, upright, as uint8 (H, W, 4), colours not multiplied by alpha.

    Raises:
        UserError: As `read_image`; or it has no transparency.
    """
    with _opened(path) as image:
        if not image.has_transparency_data:
            raise UserError(
                "has no transparency",
                file=None if isinstance(path, bytes) else path,
                remedy="A cut-out is a PNG or WebP whose alpha channel is its mask",
            )
        return np.asarray(_upright(image).convert("RGBA"))


def read_indices(path: str | Path) -> np.ndarray:
    """The numbers that a picture stores: of its palette, or its greys, uint8 (H, W); else its colours, (H, W, 3).

    Raises:
        UserError: As `read_image`.
    """
    with _opened(path) as image:
        return np.asarray(image, dtype=np.uint8) if image.mode in ("P", "L", "1") else to_rgb(image)


def read_mask(data: bytes) -> np.ndarray:
    """The pixels of a picture in memory that are not black, bool (H, W). Raises UserError as `read_image`."""
    with _opened(data) as image:
        return to_rgb(image).max(axis=2) > 0


def image_size(path: Place) -> tuple[int, int]:
    """Height and width of a picture, upright, from its header alone. Raises UserError as `read_image`."""
    with _opened(path) as image:
        height, width = image.height, image.width
        return (width, height) if _orientation(image) in _SIDEWAYS else (height, width)


def check_image(path: Place, size: tuple[int, int]) -> None:
    """Reads a picture to its end, in as little time as tells whether it is whole.

    Raises:
        UserError: As `read_annotated_image`, and OtherSize too.
    """
    with _opened(path) as image:
        _is_turned(image, size, path)
        if image.format == "PNG":
            image.verify()  # checks the sums of its chunks, which is enough and spares unpacking
        else:
            image.draft("L", (1, 1))  # a JPEG is then unpacked at an eighth of its size
            image.load()


def upright_rgb(image: Image.Image) -> np.ndarray:
    """A Pillow image that someone else opened, as `read_image` would give it. Raises UserError."""
    with _told(None):
        return to_rgb(_upright(image))


def to_rgb(image: Image.Image) -> np.ndarray:
    """A picture's pixels, of any mode, as uint8 (H, W, 3).

    16 bits are scaled by their full range, floats from [0, 1]. Transparency is left out.

    Raises:
        UserError: Floats outside [0, 1], or whole numbers of 32 bits: their range is not known.
    """
    if image.mode.startswith("I;16"):
        return _grey(_TO_8_BITS[np.asarray(image)])
    if image.mode == "F":
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if not (low >= 0 and high <= 1):  # NaN too
            raise _no_range(f"floats from {low:g} to {high:g}, not 0 to 1")
        return _grey((values * 255).round().astype(np.uint8))
    if image.mode == "I":
        raise _no_range("whole numbers of 32 bits")
    if image.mode != "RGB":
        image.load()
        image.info.pop("transparency", None)  # Pillow would look for it a place in the palette, and warn
        image = image.convert("RGB")
    return np.asarray(image)


def write_image(path: str | Path, image: np.ndarray | Image.Image, **options: Any) -> None:
    """Writes a picture, or uint8 (H, W, 3 or 4) pixels, in the format of the path's ending, whole or not at all.

    Args:
        path: The file.
        image: What is written.
        options: Pillow's for this format, such as `quality`.

    Raises:
        UserError: The ending is of no picture, the format holds no such picture, or the disk is full.
    """
    path = Path(path)
    kind = Image.registered_extensions().get(path.suffix.lower())
    if kind is None:
        raise UserError(f"no picture's ending: '{path.suffix}'", file=path, remedy="Take .png, .jpg or .webp")
    # Pillow itself, given a path, goes on without a word where a full disk takes a part of a JPEG.
    encoded = io.BytesIO()
    try:
        (image if isinstance(image, Image.Image) else Image.fromarray(image)).save(encoded, kind, **options)
    except (OSError, ValueError) as error:
        raise UserError(f"cannot be written as {kind} ({error})", file=path, remedy="Take another size") from error
    with replacing(path) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def find_images(paths: list[Path]) -> list[Path]:
    """Image files as given, folders replaced by the images in them, sorted. Raises UserError for an empty one."""
    found: list[Path] = []
    for path in paths:
        if not path.is_dir():
            found.append(require_file(path, remedy="Give an image file or a folder of images"))
            continue
        inside = found_in(path, IMAGE_SUFFIXES)
        if not inside:
            raise UserError("no images in this folder", file=path, remedy=f"Images end in {', '.join(IMAGE_SUFFIXES)}")
        found.extend(inside)
    return found


@contextmanager
def _opened(source: Place | bytes) -> Iterator[Image.Image]:
    """A picture whose header is read; what goes wrong in it, then and later, becomes a UserError."""
    file = None if isinstance(source, bytes) else Path(str(source))
    if isinstance(source, Stored):
        source = source.read()
    elif file is not None:
        require_file(file)
    with (
        _told(file),
        Image.open(io.BytesIO(source) if isinstance(source, bytes) else source, formats=FORMATS) as image,
    ):
        if image.width * image.height > MOST_PIXELS:
            problem = f"claims {image.width}x{image.height} pixels; at most {MOST_PIXELS:,} are read"
            raise UserError(problem, file=file, remedy="Shrink it, or cut it up")
        yield image


@contextmanager
def _told(file: str | Path | None) -> Iterator[None]:
    """Whatever a decoder raises as a UserError of one line: of a damaged file that may be anything."""
    try:
        yield
    except UserError as error:
        raise type(error)(error.problem, file=error.file or file, remedy=error.remedy) from error
    except Image.UnidentifiedImageError as error:
        problem = f"cannot be read as an image (it is no {NAMES})"
        raise UserError(problem, file=file, remedy="Replace or remove it") from error
    except Exception as error:
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise UserError(f"cannot be read as an image ({reason})", file=file, remedy="Replace or remove it") from error


def _orientation(image: Image.Image) -> int:
    """EXIF's orientation from the header; 1, upright, where there is none or it is damaged."""
    if image.format == "TIFF":
        return 1  # Pillow turns these itself, their size with them
    try:
        # Not a PNG's own method, which unpacks all pixels to look for notes behind them.
        orientation = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:
        return 1
    return orientation if orientation in _TURNS else 1


def _upright(image: Image.Image) -> Image.Image:
    orientation = _orientation(image)
    return image if orientation == 1 else image.transpose(_TURNS[orientation])


def _is_turned(image: Image.Image, size: tuple[int, int], path: Place) -> bool:
    """Whether annotations of a size (height, width) mean the upright frame. Raises OtherSize where neither fits."""
    height, width = size
    if image.size == (width, height):
        return False
    if image.size == (height, width) and _orientation(image) in _SIDEWAYS:
        return True
    problem = f"is {image.width}x{image.height}, the annotations say {width}x{height}"
    raise OtherSize(problem, file=str(path), remedy="Use the images that were annotated")


def _grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def _no_range(what: str) -> UserError:
    return UserError(f"holds {what}: how bright they are is not known", remedy="Save it with 8 or 16 bits")
