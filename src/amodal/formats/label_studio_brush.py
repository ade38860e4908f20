"""Label Studio's brush masks: the bytes of an RGBA picture, packed in runs of bits.

A stream of bits, highest first: 32 tell the number of values, 5 the bits of a value less one, then four times 4 the
bits of a count less one. Blocks follow: one bit tells whether it is a run, two which of the four sizes its count has,
then the count less one; a run has one value, another block as many as it counts. The mask is where alpha is not 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

COUNT_BITS = (3, 4, 8, 16)
"""Of counts in what is written."""
MOST_VALUES = 4 * 8192 * 8192
"""In what is read: a few bytes may stand for any number of them."""


def decode(packed: Any, size: tuple[int, int]) -> np.ndarray:
    """The mask, bool (H, W), of the bytes `packed` of an image of `size` (H, W).

    Raises:
        ValueError: They are no bytes, are damaged, or are of another size.
    """
    height, width = size
    stream = _Bits(_as_bytes(packed))
    values, bits = stream.take(32), stream.take(5) + 1
    if values != height * width * 4:
        raise ValueError(f"its brush mask has {values} values, the image {height} x {width} x 4")
    if values > MOST_VALUES:
        raise ValueError("its brush mask is of an image of more than 8,192 x 8,192 pixels")
    if bits != 8:
        raise ValueError(f"its brush mask has values of {bits} bits, not 8")
    counts = [stream.take(4) + 1 for _ in range(4)]
    found = np.empty(values, dtype=np.uint8)
    at = 0
    while at < values:
        is_run = stream.take(1)
        end = at + stream.take(counts[stream.take(2)]) + 1
        if end > values:
            raise ValueError("its brush mask is longer than its image")
        found[at:end] = stream.take(8) if is_run else stream.bytes(end - at)
        at = end
    return found.reshape(height, width, 4)[..., 3] > 0


def encode(mask: np.ndarray) -> list[int]:
    """A mask, bool (H, W), as bytes that `decode` and Label Studio take."""
    line = mask.ravel()
    changes = np.flatnonzero(line[1:] != line[:-1]) + 1
    lengths = 4 * np.diff(changes, prepend=0, append=line.size)
    parts = [f"{line.size * 4:032b}{7:05b}" + "".join(f"{bits - 1:04b}" for bits in COUNT_BITS)]
    is_set = bool(line[0])
    for length in lengths.tolist():
        parts += _runs(length, 255 if is_set else 0)
        is_set = not is_set
    text = "".join(parts)
    text += "0" * (-len(text) % 8)
    return list(int(text, 2).to_bytes(len(text) // 8, "big"))


def _runs(length: int, value: int) -> list[str]:
    """The blocks of one run; a count has at most 16 bits."""
    blocks = []
    while length:
        part = min(length, 1 << COUNT_BITS[-1])
        which = next(place for place, bits in enumerate(COUNT_BITS) if part <= 1 << bits)
        blocks.append(f"1{which:02b}{part - 1:0{COUNT_BITS[which]}b}{value:08b}")
        length -= part
    return blocks


def _as_bytes(packed: Any) -> bytes:
    if not isinstance(packed, Sequence) or isinstance(packed, str):
        raise ValueError("its brush mask is no list of bytes")
    try:
        return bytes(packed)
    except (TypeError, ValueError):
        raise ValueError("its brush mask is no list of bytes") from None


class _Bits:
    """Reads numbers from a stream of bits, highest bit first."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, dtype=np.uint8))
        self._text = (self._bits + 48).tobytes()
        self._at = 0

    def take(self, bits: int) -> int:
        """The number of the next bits. Raises ValueError at the end of the stream."""
        return int(self._text[self._forward(bits) : self._at], 2)

    def bytes(self, count: int) -> np.ndarray:
        """The next values of 8 bits, uint8 (count,). Raises ValueError at the end of the stream."""
        start = self._forward(8 * count)
        return np.packbits(self._bits[start : self._at])

    def _forward(self, bits: int) -> int:
        start, self._at = self._at, self._at + bits
        if self._at > len(self._text):
            raise ValueError("its brush mask is cut short")
        return start
