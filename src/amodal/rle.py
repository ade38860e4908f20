"""Run-length masks: the compact form in which annotations and predictions are kept, on disk and in memory.

The codec is pycocotools'. No torch here, so that files can be read, checked and scored without it.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import numpy as np
from pycocotools import mask as codec


class Rle(TypedDict):
    """A mask as COCO's compressed run lengths: `size` is [height, width], `counts` are ASCII bytes."""

    size: list[int]
    counts: bytes


def encode(masks: np.ndarray) -> list[Rle]:
    """Bool or uint8 masks (N, H, W) as run lengths."""
    # The codec wants column-major (H, W, N); a transposed view of contiguous (N, W, H) is just that.
    columns = np.ascontiguousarray(masks.transpose(0, 2, 1)).view(np.uint8)
    return codec.encode(columns.transpose(2, 1, 0)) if len(masks) else []


def decode(rles: Sequence[Rle], size: tuple[int, int]) -> np.ndarray:
    """Run lengths as bool masks (N, H, W); `size` is (H, W), needed when there are none."""
    if not rles:
        return np.zeros((0, *size), dtype=bool)
    columns: np.ndarray = codec.decode(list(rles))  # type: ignore[arg-type]
    return np.ascontiguousarray(columns.transpose(2, 0, 1)).astype(bool, copy=False)


def areas(rles: Sequence[Rle]) -> np.ndarray:
    """Pixels of each mask, int64 (N,)."""
    return np.asarray(codec.area(list(rles)), dtype=np.int64) if rles else np.zeros(0, np.int64)  # type: ignore[arg-type]


def boxes(rles: Sequence[Rle]) -> np.ndarray:
    """Tight boxes as xywh in pixels, float64 (N, 4); zeros for an empty mask."""
    return np.asarray(codec.toBbox(list(rles)), dtype=np.float64).reshape(-1, 4)  # type: ignore[arg-type]


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
    crowd = [0] * len(second)
    return np.asarray(codec.iou(list(first), list(second), crowd))  # type: ignore[arg-type]


def to_json(rle: Rle) -> dict[str, Any]:
    """The run lengths with text counts, as JSON files hold them."""
    return {"size": list(rle["size"]), "counts": rle["counts"].decode("ascii")}
