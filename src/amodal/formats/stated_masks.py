"""Compressed run lengths as files state them, thousands checked at a time."""

from collections.abc import Sequence

import msgspec
import numpy as np

from amodal.rle import Rle
from amodal.rle_validation import sound_areas


class StatedMask(msgspec.Struct, gc=False):
    """A mask in the usual form; the decoder sees to the types."""

    size: tuple[int, int]
    counts: str


def encoded(masks: Sequence[StatedMask], sizes: Sequence[tuple[int, int]]) -> tuple[list[Rle], np.ndarray] | None:
    """Masks as run lengths, and their pixels, int64 (N,); None where one is not of its size (H, W), or is damaged."""
    if any(mask.size != size for mask, size in zip(masks, sizes, strict=True)):
        return None
    lists = {size: list(size) for size in set(sizes)}  # one for all masks of a size
    rles = [Rle(size=lists[mask.size], counts=mask.counts.encode("ascii", "replace")) for mask in masks]
    areas = sound_areas(rles)
    return (rles, areas) if (areas >= 0).all() else None
