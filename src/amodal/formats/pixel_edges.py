"""The closed lines along pixel edges between masks and their background, of many masks at a time.

Everything is found from the run lengths: no mask is drawn. Where two pixels touch at a corner only, two lines pass:
that corner point counts twice.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
from scipy.sparse.csgraph import depth_first_order

from amodal.rle import Rle, runs_of_all

ROWS_AT_ONCE = 1 << 14
"""Rows of corner points of masks that are looked at together, so that all stays in the processor's caches; a mask that
has more comes alone. Numbers of rows then fit 16 bits, which NumPy sorts by radix."""
CHARACTERS_AT_ONCE = 1 << 18
"""And characters of their run lengths, so that memory keeps to some megabytes."""


class Loop(NamedTuple):
    """A closed line: its corners [x0, y0, x1, y1, ...], from the topmost, leftmost on, first to the right.

    Attributes:
        corners: Pixels of the image; the first corner is not repeated.
        is_outer: Whether the mask lies within the line; otherwise it is the edge of a hole.
    """

    corners: list[int]
    is_outer: bool


def loops(masks: Iterable[Rle]) -> Iterator[list[Loop]]:
    """The lines around each (sound) mask, in the order of their first corners from top to bottom; none if empty."""
    some: list[Rle] = []
    rows = characters = 0
    for mask in masks:
        rows += mask["size"][0] + 1
        characters += len(mask["counts"])
        if some and (rows > ROWS_AT_ONCE or characters > CHARACTERS_AT_ONCE):
            yield from _loops(some)
            some, rows, characters = [], mask["size"][0] + 1, len(mask["counts"])
        some.append(mask)
    if some:
        yield from _loops(some)


def _loops(masks: list[Rle]) -> Iterator[list[Loop]]:
    corners = _corners(masks)
    lines = _lines(corners)
    flat = np.stack([corners.x[lines.corners], corners.y[lines.corners]], axis=1).ravel().tolist()
    ends = [*(2 * lines.starts[1:]).tolist(), len(flat)]
    line = zip((2 * lines.starts).tolist(), ends, lines.are_outer.tolist(), strict=True)
    for number in np.bincount(corners.mask[lines.corners[lines.starts]], minlength=len(masks)).tolist():
        found: list[Loop] = []
        for start, end, is_outer in islice(line, number):
            own = flat[start:end]
            found.append(Loop(own if is_outer else _turned(own), is_outer))
        yield found


def _turned(corners: list[int]) -> list[int]:
    """The other way round: what began with an edge to the left now begins with the same edge to the right."""
    turned = corners[:]
    turned[0::2], turned[1::2] = corners[-2::-2], corners[::-2]
    return turned[-4:] + turned[:-4]


class _Corners(NamedTuple):
    """Corner points of many masks, column by column: each two in turn are joined by a vertical edge.

    Attributes:
        mask: Which mask, ascending.
        x: Column of the corner point, that is of the pixel at its right.
        y: Row of the corner point, that is of the pixel beneath.
        row: The row among those of all masks, uint16.
        has_mask: Whether the pixel at its lower right is the mask's; of corners with an edge to the right only.
    """

    mask: np.ndarray
    x: np.ndarray
    y: np.ndarray
    row: np.ndarray
    has_mask: np.ndarray


def _corners(masks: list[Rle]) -> _Corners:
    heights, widths = np.array([mask["size"] for mask in masks], dtype=np.int64).T
    room = heights + 1
    base = np.cumsum(room * (widths + 1)) - room * (widths + 1)
    mask, column, top, bottom = _upright(masks, heights)
    # Each piece of a column has an edge above and one beneath; each is seen from the corner point at its left and from
    # that at its right. A number tells the point, then at which side of it the edge is, then if the mask begins there.
    at = base[mask] + column * room[mask]
    from_left = np.stack([4 * (at + top) + 1, 4 * (at + bottom)], axis=1)
    from_right = from_left + (4 * room[mask] + 2)[:, None]
    seen = np.sort(np.concatenate([from_left.ravel(), from_right.ravel()]), kind="stable")
    point = seen >> 2
    straight = (point[1:] == point[:-1]) & ((seen[1:] ^ seen[:-1]) & 1 == 0)  # an edge that goes on is no corner
    kept = np.ones(len(seen), dtype=bool)
    kept[1:] &= ~straight
    kept[:-1] &= ~straight
    seen, point = seen[kept], point[kept]
    mask = np.repeat(np.arange(len(masks)), np.diff(point.searchsorted(base), append=len(point)))
    x, y = np.divmod(point - base[mask], room[mask])
    row = (y + (np.cumsum(room) - room)[mask]).astype(np.uint16)
    return _Corners(mask, x, y, row, (seen ^ (seen >> 1)) & 1 == 1)


def _upright(masks: list[Rle], heights: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The upright pieces of the masks: of which mask, in which column, from which row to before which; in order."""
    counts, first = runs_of_all([mask["counts"] for mask in masks])
    number = np.diff(first, append=len(counts))
    mask = np.repeat(np.arange(len(masks)), number)
    is_set = (np.arange(len(counts)) - first[mask]) % 2 == 1
    ends = np.cumsum(counts)
    ends -= (ends[first] - counts[first])[mask]
    mask, is_set, ends, counts = (of_runs[counts > 0] for of_runs in (mask, is_set, ends, counts))
    # Between two set runs there may have been one of no length.
    goes_on = is_set[1:] & is_set[:-1] & (mask[1:] == mask[:-1])
    starts = (ends - counts)[is_set & ~np.append(False, goes_on)]
    closed = is_set & ~np.append(goes_on, False)
    mask, ends = mask[closed], ends[closed]

    height = heights[mask]
    left, right = starts // height, (ends - 1) // height
    columns = right - left + 1
    run = np.repeat(np.arange(len(mask)), columns)
    place = np.arange(len(run)) - np.repeat(np.cumsum(columns) - columns, columns)
    top = np.where(place == 0, (starts - left * height)[run], 0)
    bottom = np.where(place == columns[run] - 1, (ends - right * height)[run], height[run])
    return mask[run], left[run] + place, top, bottom


class _Lines(NamedTuple):
    """Closed lines, one after another, the mask at the right hand.

    Attributes:
        corners: Places among the corners.
        starts: Where each line begins among those.
        are_outer: Whether the mask lies within each.
    """

    corners: np.ndarray
    starts: np.ndarray
    are_outer: np.ndarray


def _lines(corners: _Corners) -> _Lines:
    """Follows level edges, from one to the next by the upright edge between them."""
    by_row = np.argsort(corners.row, kind="stable")  # each two in turn are joined by a level edge
    place = np.empty_like(by_row)
    place[by_row] = np.arange(len(by_row))
    left, right = by_row[0::2], by_row[1::2]
    is_above = corners.has_mask[left]
    tail, head = np.where(is_above, left, right), np.where(is_above, right, left)
    # A line's topmost, leftmost corner has edges to the right and down. Others have too: they come after it.
    edges, is_first = _walk(place[head ^ 1] // 2, np.flatnonzero(left % 2 == 0))
    starts = np.flatnonzero(is_first)
    return _Lines(np.stack([tail[edges], head[edges]], axis=1).ravel(), 2 * starts, is_above[edges[starts]])


def _walk(following: np.ndarray, starts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All places in the order in which one comes to them, and which are the first of a circle.

    SciPy's depth-first search walks in compiled code. It is led to the starts, in turn, by a chain of further nodes,
    and comes back to the chain where a circle is closed.

    Args:
        following: The next place of each, in circles.
        starts: At least one place of each circle.
    """
    if not len(starts):
        return starts, starts
    chain = len(following) + np.arange(len(starts))
    to = np.concatenate([following, np.stack([starts, chain + 1], axis=1).ravel()[:-1]])
    first = np.concatenate([np.arange(len(following)), len(following) + 2 * np.arange(len(starts)), [len(to)]])
    graph = csr_array((np.ones(len(to)), to, first), shape=(len(first) - 1,) * 2)
    order = depth_first_order(graph, chain[0], return_predecessors=False)
    is_place = order < len(following)
    return order[is_place], np.append(False, ~is_place[:-1])[is_place]
