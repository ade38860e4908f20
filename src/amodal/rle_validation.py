"""Whether compressed run lengths are those of a mask, and its pixels, for thousands at a time."""

import re
from collections.abc import Sequence

import hotcoco
import numpy as np

from amodal.rle import Rle, areas, runs

_FIRST, _MORE, _END = 48, 80, 112
"""Characters of counts, and the first that is none; one from `_MORE` on belongs to the same number as the next."""
_LONGEST = 6
"""Most characters of a number that are judged here: 30 bits, more than an image of 20,000 x 20,000 pixels has."""
_MOST = 2**32
"""Pixels of the images that hotcoco takes lie below."""
NUM_TOGETHER = 256
"""How many masks are checked at a time: few enough for the arrays to stay in the cache."""
_SEEN = re.compile(rb"[P-o]*[0-?][1-?Q-o]")
"""Legible counts whose second run, which is the first set one, is surely not empty."""


def are_sound(rles: Sequence[Rle]) -> np.ndarray:
    """Whether each is a mask that `amodal.rle.runs` takes, bool (N,); much faster than asking one by one."""
    sound = np.ones(len(rles), dtype=bool)
    for start in range(0, len(rles), NUM_TOGETHER):
        some = rles[start : start + NUM_TOGETHER]
        if not _all_fill(some):
            sound[start : start + len(some)] = [_is_sound(rle) for rle in some]
    return sound


def sound_areas(rles: Sequence[Rle]) -> np.ndarray:
    """Pixels of each mask, int64 (N,); -1 for one that is not sound."""
    found = np.full(len(rles), -1)
    (sound,) = are_sound(rles).nonzero()
    found[sound] = areas([rles[place] for place in sound.tolist()])
    return found


def all_have_pixels(rles: Sequence[Rle]) -> bool:
    """Whether no (sound) mask is empty. Looks at the first run lengths, and on only where these do not tell."""
    return bool(areas([rle for rle in rles if not _SEEN.match(rle["counts"])]).all())


def _all_fill(rles: Sequence[Rle]) -> bool:
    """Whether all are legible and add up to their images; False too where that is hard to tell."""
    texts = [rle["counts"] for rle in rles]
    if not all(texts):
        return False
    characters = np.frombuffer(b"".join(texts), dtype=np.uint8)
    lengths = np.fromiter(map(len, texts), np.int64, len(texts))
    ends = lengths.cumsum()
    first = ends - lengths
    more = characters >= _MORE
    if characters.max() >= _END or more[ends - 1].any() or _longer(more, _LONGEST):
        return False

    # As one column, a mask whose last run is set ends where its box does, if its runs add up. One more empty run in
    # front turns a mask inside out, so that the last run is set; but from the fourth on each is told as the difference
    # to the one before the last, and so every clear run after the first grows by the first.
    numbers = np.add.reduceat(~more, first, dtype=np.int64)
    inside_out = numbers % 2 == 1
    pixels = np.array([rle["size"][0] * rle["size"][1] for rle in rles])
    pixels += inside_out * _numbers(characters, first) * ((numbers - 1) // 2)
    if pixels.min() < 1 or pixels.max() >= _MOST:
        return False
    columns = [
        {"size": [length, 1], "counts": b"0" + text if turned else text}
        for text, length, turned in zip(texts, pixels.tolist(), inside_out.tolist(), strict=True)
    ]
    try:  # which reads every run, and refuses lower characters, negative runs and those that leave the image
        found = np.asarray(hotcoco.mask.to_bbox(columns), np.float64)  # type: ignore[arg-type]
    except ValueError:
        return False
    return bool((found[:, 1] + found[:, 3] == pixels).all())


def _longer(more: np.ndarray, length: int) -> bool:
    """Whether `length` characters or more in a row go on in the next."""
    running = more
    for place in range(1, length):
        running = running[:-1] & more[place:]
    return bool(running.any())


def _numbers(characters: np.ndarray, at: np.ndarray) -> np.ndarray:
    """The numbers that begin at some places of legible texts, none of them negative, int64 (N,)."""
    total, shift = np.zeros(len(at), np.int64), 0
    goes_on = np.ones(len(at), dtype=bool)
    while goes_on.any():
        codes = characters[at[goes_on]].astype(np.int64) - _FIRST
        total[goes_on] += (codes & 31) << shift
        goes_on[goes_on] = codes >= _MORE - _FIRST
        at, shift = at + 1, shift + 5
    return total


def _is_sound(rle: Rle) -> bool:
    try:
        runs(rle)
    except ValueError:
        return False
    return True
