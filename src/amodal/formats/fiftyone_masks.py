"""FiftyOne's masks: a NumPy array of the pixels in the object's box, as `.npy`, deflated, in base64."""

import base64
import binascii
import io
import math
import zlib
from typing import Any

import numpy as np

from amodal import rle

MOST_PIXELS = 8192 * 8192
"""Of a mask that is read: a few bytes may stand for any number of them."""
MOST_HEADER = 10_000
"""Bytes of the description before an array's values."""


def encode(pixels: np.ndarray) -> dict[str, Any]:
    """A mask, bool (h, w), as it stands in FiftyOne's files."""
    buffer = io.BytesIO()
    np.save(buffer, pixels, allow_pickle=False)
    text = base64.b64encode(zlib.compress(buffer.getvalue())).decode("ascii")
    return {"$binary": {"base64": text, "subType": "00"}}


def decode(stated: Any, box: tuple[float, float, float, float], size: tuple[int, int]) -> rle.Rle:
    """The mask of a whole image of `size` (H, W) whose pixels in `box` are stated.

    A mask need not have as many pixels as its box: FiftyOne stretches it over the box.

    Args:
        stated: As the file has it.
        box: x, y, width and height in shares of the image.
        size: Of the image.

    Raises:
        ValueError: It is damaged, or is larger than any image's mask.
    """
    pixels = _array(_bytes(stated))
    sides = (size[1], size[0], size[1], size[0])
    left, top, width, height = (round(share * side) for share, side in zip(box, sides, strict=True))
    (top, rows), (left, columns) = (
        _stretched(start, length, stated, side)
        for start, length, stated, side in (
            (top, height, pixels.shape[0], size[0]),
            (left, width, pixels.shape[1], size[1]),
        )
    )
    if len(rows) * len(columns) > MOST_PIXELS:
        raise ValueError("its mask is larger than 8,192 x 8,192 pixels")
    return rle.from_crop(pixels[np.ix_(rows, columns)], left, top, size)


def _stretched(start: int, length: int, stated: int, side: int) -> tuple[int, np.ndarray]:
    """Where a box begins in one direction of the image, and which of the stated pixels each of its own shows."""
    first, end = max(start, 0), min(start + length, side)
    if end <= first:
        raise ValueError("its box lies outside the image, or has no pixel")
    return first, ((np.arange(first, end) - start + 0.5) * (stated / length)).astype(np.intp)


def _bytes(stated: Any) -> bytes:
    text = stated
    if isinstance(stated, dict):
        binary = stated.get("$binary")
        text = binary.get("base64") if isinstance(binary, dict) else binary
    if not isinstance(text, str):
        raise ValueError("its mask is no text in base64")
    try:
        stream = zlib.decompressobj()
        content = stream.decompress(base64.b64decode(text, validate=True), MOST_PIXELS + MOST_HEADER)
    except (binascii.Error, zlib.error, ValueError) as error:
        raise ValueError(f"its mask is damaged ({error})") from None
    if not stream.eof:
        raise ValueError("its mask is cut short, or larger than any image")
    return content


def _array(content: bytes) -> np.ndarray:
    """The mask, bool (h, w), of a `.npy` file's content, of which nothing is believed."""
    file = io.BytesIO(content)
    try:
        version = np.lib.format.read_magic(file)
        read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, is_transposed, kind = read(file, max_header_size=MOST_HEADER)
    except Exception as error:  # the description is Python's text, which NumPy parses: its errors are of many kinds
        raise ValueError(f"its mask is no array ({type(error).__name__})") from None
    start = file.tell()
    if len(shape) != 2 or kind.kind not in "buif" or math.prod(shape) * kind.itemsize != len(content) - start:
        raise ValueError("its mask is no array of rows and columns")
    if not math.prod(shape):
        raise ValueError("its mask has no pixel")
    values = np.frombuffer(content, dtype=kind, offset=start)
    return values.reshape(shape, order="F" if is_transposed else "C") > 0
