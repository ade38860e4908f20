"""Run-length masks: the compact form in which annotations and predictions are kept, on disk and in memory.

Masks are made and merged by pycocotools; decoded and measured by hotcoco, since with NumPy 2.4 pycocotools 2.0.11
warns at the one and fails from 256 masks on at the other.
"""

from collections.abc import Iterator, Sequence
from typing import Any, TypedDict

import hotcoco
import numpy as np
from pycocotools import mask as codec

from amodal.mask_arrays import window

_ALPHABET = bytes(range(48, 112))
"""Characters of compressed counts: 48 and six bits."""


LONGEST_SIDE = 65_535
"""Of an image, in pixels; JPEG's limit. More is a mistyped number that would ask for more memory than there is."""


class Rle(TypedDict):
    """A mask as COCO's compressed run lengths: `size` is [height, width], `counts` are ASCII bytes."""

    size: list[int]
    counts: bytes


def encode(masks: np.ndarray) -> list[Rle]:
    """Bool or uint8 masks (N, H, W) as run lengths."""
    found = []
    for mask in masks.astype(bool, copy=False):
        rows, columns = window(mask)
        found.append(from_crop(mask[rows, columns], columns.start, rows.start, mask.shape))
    return found


def from_crop(pixels: np.ndarray, left: int, top: int, size: Sequence[int]) -> Rle:
    """The mask of an image of `size` (H, W) that is `pixels`, bool (h, w), from (left, top) on and clear elsewhere.

    Takes time for the crop alone, whatever the size of the image.
    """
    height, width = size
    # The crop's columns one after another, a clear pixel before the first and behind each: each ends its own run.
    room = pixels.shape[0] + 1
    line = np.zeros(pixels.shape[1] * room + 1, dtype=bool)
    line[1:].reshape(pixels.shape[1], room)[:, :-1] = pixels.T
    column, row = np.divmod(np.flatnonzero(line[1:] != line[:-1]), room)
    changes = (left + column) * height + top + row
    if room > height and len(changes):  # runs that go on in the next column
        twice = changes[1:] == changes[:-1]
        changes = changes[~(np.append(twice, False) | np.append(False, twice))]
    counts = np.diff(changes, prepend=0, append=height * width)
    if len(changes) and changes[-1] == height * width:
        counts = counts[:-1]
    return codec.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)  # type: ignore[arg-type, return-value]


def decode(rles: Sequence[Rle], size: tuple[int, int]) -> np.ndarray:
    """Run lengths as bool masks (N, H, W); `size` is (H, W), needed when there are none."""
    if not rles:
        return np.zeros((0, *size), dtype=bool)
    columns = hotcoco.mask.decode(list(rles))  # type: ignore[arg-type]
    return np.ascontiguousarray(columns.transpose(2, 0, 1)).astype(bool, copy=False)


def crop(rle: Rle) -> tuple[np.ndarray, int, int]:
    """The pixels within a mask's tight box, bool (h, w), and the box's left and top; (0, 0) for an empty mask."""
    left, top, width, height = boxes([rle])[0].astype(int).tolist()
    return _window(runs(rle), (left, top, width, height), rle["size"][0]), left, top


Frame = tuple[int, int, int, int]
"""Left, top, width and height in pixels, within the image."""


def windows(rles: Sequence[Rle], frames: Sequence[Frame]) -> Iterator[np.ndarray]:
    """The pixels of each (sound) mask within a frame of its own, bool (height, width)."""
    if not rles:
        return
    counts, first = runs_of_all([rle["counts"] for rle in rles])
    for rle, frame, own in zip(rles, frames, np.split(counts, first[1:]), strict=True):
        yield _window(own, frame, rle["size"][0])


def _window(counts: np.ndarray, frame: Frame, rows: int) -> np.ndarray:
    left, top, width, height = frame
    ends = (np.cumsum(counts) - left * rows).clip(0, width * rows)
    lengths = ends.copy()
    lengths[1:] -= ends[:-1]
    columns = np.repeat(np.arange(len(ends)) % 2 == 1, lengths).reshape(width, rows)
    return columns.T[top : top + height]


def areas(rles: Sequence[Rle]) -> np.ndarray:
    """Pixels of each mask, int64 (N,)."""
    return np.asarray(hotcoco.mask.area(list(rles)), np.int64) if rles else np.zeros(0, np.int64)  # type: ignore[arg-type]


def boxes(rles: Sequence[Rle]) -> np.ndarray:
    """Tight boxes as xywh in pixels, float64 (N, 4); zeros for an empty mask."""
    return np.asarray(hotcoco.mask.to_bbox(list(rles)), dtype=np.float64).reshape(-1, 4)  # type: ignore[arg-type]


def intersect(first: Rle, second: Rle) -> Rle:
    """The pixels in both masks."""
    return codec.merge([first, second], intersect=True)  # type: ignore[arg-type, return-value]


def union(rles: Sequence[Rle]) -> Rle:
    """The pixels in any of the masks."""
    return codec.merge(list(rles), intersect=False)  # type: ignore[arg-type, return-value]


def ious(first: Sequence[Rle], second: Sequence[Rle]) -> np.ndarray:
    """IoU of every pair, float64 (len(first), len(second))."""
    if not first or not second:
        return np.zeros((len(first), len(second)))
    return np.asarray(codec.iou(list(first), list(second), [0] * len(second)))  # type: ignore[arg-type]


def subtract(first: Rle, second: Rle) -> Rle:
    """The pixels of `first` that are not in `second`."""
    return intersect(first, complement(second))


def complement(rle: Rle) -> Rle:
    """The pixels that are not in a (sound) mask."""
    # Runs alternate from background: a mask turns into its complement by one empty run more, or less, in front. As
    # text from the fourth on they are differences to the run before the last, so only the first four are written anew.
    text, ends, head = rle["counts"], [0], []
    while len(head) < 4 and ends[-1] < len(text):
        number, end = _number(text, ends[-1])
        head.append(number + head[1] if len(head) == 3 else number)
        ends.append(end)
    if head[0] == 0:
        flipped = b"".join(map(_text, head[1:])) + text[ends[-1] :]
    else:
        third = _text(head[2] - head[0]) + text[ends[3] :] if len(head) > 2 else b""
        flipped = b"0" + text[: ends[min(2, len(head))]] + third
    return Rle(size=rle["size"], counts=flipped)


def _number(text: bytes, at: int) -> tuple[int, int]:
    """The number that begins at a place of a legible text, and where it ends."""
    value = shift = 0
    while True:
        code = text[at] - 48
        value |= (code & 31) << shift
        at, shift = at + 1, shift + 5
        if code < 32:
            return value - ((code & 16) << (shift - 4)), at


def _text(value: int) -> bytes:
    """A number as compressed counts write it: five bits a character, lowest first."""
    codes = bytearray()
    while not -16 <= value < 16:
        codes.append((value & 31) + 80)
        value >>= 5
    codes.append((value & 31) + 48)
    return bytes(codes)


def runs(rle: Rle) -> np.ndarray:
    """Run lengths in column-major order, background first, int64 (R,).

    pycocotools trusts the text and reads past its end where it is damaged; this reads every character itself.

    Raises:
        ValueError: The counts are damaged: they are not the run lengths of a mask of this size.
    """
    if not is_legible(rle["counts"]):
        raise ValueError("run lengths are cut short or hold characters that do not belong there")
    counts, _ = runs_of_all([rle["counts"]])
    _check_runs(counts, rle["size"])
    return counts


def is_legible(text: bytes) -> bool:
    """Whether the characters are those of counts, and the last one ends a number."""
    return bool(text) and text[-1] < 48 + 32 and not text.translate(None, _ALPHABET)


def runs_of_all(texts: Sequence[bytes]) -> tuple[np.ndarray, np.ndarray]:
    """The run lengths of masks one after another, int64, and where each mask's begin. The texts are legible."""
    # LEB128-like: 5 bits a character from 48 up, 32 says that more follow, 16 in the last is the sign.
    codes = np.frombuffer(b"".join(texts), dtype=np.uint8).astype(np.int64) - 48
    (last,) = (codes < 32).nonzero()
    starts = np.empty_like(last)
    starts[0], starts[1:] = 0, last[:-1] + 1
    lengths = last - starts + 1
    places = np.arange(len(codes)) - np.repeat(starts, lengths)
    told = np.add.reduceat((codes & 31) << (5 * places), starts)
    told -= ((codes[last] & 16) >> 4) << (5 * lengths)

    # From the fourth run on, each is told as the difference to the one before the last: two running sums a mask. All
    # masks are summed at once, each from an even place on, so that odd and even runs stay apart.
    ends = np.searchsorted(last, np.cumsum([len(text) for text in texts]) - 1) + 1
    first = np.concatenate([[0], ends[:-1]])
    pairs = (ends - first + 1) // 2
    begins = np.cumsum(pairs) - pairs
    at = np.arange(len(told)) + np.repeat(2 * begins - first, ends - first)
    sums = np.zeros((int(pairs.sum()) + 1, 2), dtype=np.int64)
    sums[1:].reshape(-1)[at] = told
    sums[1 + begins, 0] = 0  # the first run stands alone
    sums = sums.cumsum(axis=0)
    counts = (sums[1:] - np.repeat(sums[begins], pairs, axis=0)).reshape(-1)[at]
    counts[first] = told[first]
    counts[lengths > 7] = -1  # more than any image has, and more than 64 bits hold
    return counts, first


def from_runs(counts: Any, size: Sequence[int]) -> Rle:
    """Uncompressed run lengths (R,), background first, as an Rle. Raises ValueError where they do not fill `size`."""
    try:
        array = np.asarray(counts)
    except ValueError:  # lists in lists
        raise ValueError("uncompressed run lengths must be whole numbers") from None
    if array.ndim != 1 or (array.dtype.kind not in "iu" and array.size):
        raise ValueError("uncompressed run lengths must be whole numbers")
    _check_runs(array, size)
    plain = {"size": list(size), "counts": counts if isinstance(counts, list) else array.tolist()}
    return codec.frPyObjects(plain, *size)  # type: ignore[arg-type, return-value]


def _check_runs(counts: np.ndarray, size: Sequence[int]) -> None:
    pixels = size[0] * size[1]
    if not len(counts) or counts.min() < 0 or counts.max() > pixels or counts.sum() != pixels:
        raise ValueError(f"run lengths do not add up to {size[0]} x {size[1]} pixels")


def from_polygons(polygons: Sequence[Any], size: tuple[int, int]) -> tuple[Rle, int]:
    """The union of polygons, each [x0, y0, x1, y1, ...] in pixels, rasterised as COCO does.

    Args:
        polygons: Any number; those of fewer than three points or an odd number of coordinates enclose nothing
            and are left out.
        size: Height and width of the image; what leaves it is cut off.

    Returns:
        The mask and how many polygons were left out.

    Raises:
        ValueError: A coordinate is no number, or so far away that it cannot belong to the image.
    """
    try:
        points = [np.asarray(polygon, dtype=np.float64).reshape(-1) for polygon in polygons]
    except (TypeError, ValueError, OverflowError):
        raise ValueError("a polygon holds something that is no number") from None
    kept = [p for p in points if len(p) >= 6 and len(p) % 2 == 0]
    side = max(*size, 1000)
    for p in kept:  # written so that NaN fails too; the rasteriser's memory grows with the length of the outline
        if not (p.min() >= -side and p.max() <= 2 * side):
            raise ValueError("a polygon lies far outside the image or holds NaN")
    if not kept:
        return from_crop(np.zeros((0, 0), dtype=bool), 0, 0, size), len(points)
    parts: list[Rle] = codec.frPyObjects(kept, *size)  # type: ignore[arg-type, assignment]
    return (parts[0] if len(parts) == 1 else union(parts)), len(points) - len(kept)


def from_json(mask: Any, size: tuple[int, int]) -> tuple[Rle, int]:
    """A mask as annotation files hold it, and how many polygons were left out, as `from_polygons`.

    Args:
        mask: Run lengths, `{"size": [h, w], "counts": text, bytes or numbers}`; polygons; or one flat one (COCOA).
        size: Height and width of the image, as the file states them.

    Raises:
        ValueError: It is none of these, is damaged, or of another size than the image; or that is no image's size.
    """
    if not is_size(size):
        raise ValueError(f"{size} is no image's (height, width)")
    if isinstance(mask, list):
        return from_polygons([mask] if mask and not isinstance(mask[0], list | tuple) else mask, size)
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str | bytes | list):
        raise ValueError("neither run lengths nor polygons")
    if mask.get("size") != list(size):
        raise ValueError(f"mask size {mask.get('size')} is not the image's [height, width], {list(size)}")
    counts = mask["counts"]
    if isinstance(counts, list):
        return from_runs(counts, size), 0
    rle = Rle(size=list(size), counts=counts.encode("ascii", "replace") if isinstance(counts, str) else counts)
    runs(rle)
    return rle, 0


def is_size(size: Any) -> bool:
    """Whether this is the height and width of an image: two whole numbers from 1 to LONGEST_SIDE."""
    two = isinstance(size, list | tuple) and len(size) == 2
    return two and all(type(side) is int and 0 < side <= LONGEST_SIDE for side in size)


def to_json(rle: Rle) -> dict[str, Any]:
    """The run lengths with text counts, as JSON files hold them."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
