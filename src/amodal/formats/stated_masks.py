"""Compressed run lengths as files state them, thousands checked at a time."""

from collections.abc import Sequence

import msgspec

from amodal.rle import Rle
from amodal.rle_validation import are_sound


class StatedMask(msgspec.Struct, gc=False):
    """A mask in the usual form; the decoder sees to the types."""

    size: tuple[int, int]
    counts: str


def encoded(masks: Sequence[StatedMask], sizes: Sequence[tuple[int, int]]) -> list[Rle] | None:
    """Masks as run lengths; None where one is not of its size (H, W), or is damaged."""
    if [mask.size for mask in masks] != list(sizes):
        return None
    lists = {size: list(size) for size in set(sizes)}  # one for all masks of a size
    rles = [Rle(size=lists[mask.size], counts=mask.counts.encode()) for mask in masks]
    return rles if are_sound(rles).all() else None
