"""Masks as polygons along pixel edges: rasterised again, each gives the very same mask.

Formats that hold polygons only (KINS, COCOA, labelme, YOLO) thus keep masks to the pixel, holes included.
"""

import numpy as np

from amodal import rle
from amodal.rle import Rle

Loop = list[tuple[int, int]]
"""A closed line along pixel edges: its corners (x, y), the first not repeated."""


def polygons(mask: Rle) -> list[list[int]]:
    """One polygon [x0, y0, x1, y1, ...] for each part of the mask; their union is the mask.

    A hole is joined to the outline around it by a line there and back, which the even-odd rule does not see.
    """
    pixels, left, top = rle.crop(mask)
    loops = _loops(pixels)
    outer = [loop for loop in loops if _is_outer(loop, pixels)]
    holes: list[list[Loop]] = [[] for _ in outer]
    for hole in (loop for loop in loops if not _is_outer(loop, pixels)):
        holes[_innermost_around(hole[0], outer)].append(hole)
    return [_flat(_joined(loop, inside), left, top) for loop, inside in zip(outer, holes, strict=True)]


def outline(mask: Rle) -> list[int]:
    """One polygon [x0, y0, x1, y1, ...] for the whole mask, its parts and holes joined by lines there and back.

    Empty for an empty mask.
    """
    pixels, left, top = rle.crop(mask)
    loops = _loops(pixels)
    return _flat(_joined(loops[0], loops[1:]), left, top) if loops else []


def _loops(pixels: np.ndarray) -> list[Loop]:
    """The closed lines between mask and background.

    Along a row of the pixel grid's corner points, the line's corners come in pairs that a horizontal edge joins;
    along a column, in pairs that a vertical edge joins. Following both in turn closes each loop. Where two pixels
    touch at a corner only, two lines pass: the point counts twice.
    """
    padded = np.pad(pixels, 1)
    upper_left, upper_right, lower_left, lower_right = (
        padded[:-1, :-1],
        padded[:-1, 1:],
        padded[1:, :-1],
        padded[1:, 1:],
    )
    turns = upper_left ^ upper_right ^ lower_left ^ lower_right
    touches = (upper_left == lower_right) & (upper_right == lower_left) & (upper_left != upper_right)
    y, x = np.nonzero(turns | touches)
    twice = 1 + touches[y, x]
    y, x = np.repeat(y, twice), np.repeat(x, twice)
    by_column = np.lexsort((y, x))
    vertical = np.empty(len(x), dtype=np.int64)
    vertical[by_column[0::2]], vertical[by_column[1::2]] = by_column[1::2], by_column[0::2]
    return _follow(list(zip(x.tolist(), y.tolist(), strict=True)), vertical.tolist())


def _follow(corners: Loop, vertical: list[int]) -> list[Loop]:
    """The loops through all corners; corner i is joined to i ^ 1 by a horizontal edge, to vertical[i] by another."""
    visited = bytearray(len(corners))
    loops = []
    for start in range(len(corners)):
        if visited[start]:
            continue
        loop, at = [], start
        while not visited[at]:
            beside = at ^ 1
            visited[at] = visited[beside] = 1
            loop += (corners[at], corners[beside])
            at = vertical[beside]
        loops.append(loop)
    return loops


def _is_outer(loop: Loop, pixels: np.ndarray) -> bool:
    """Whether the mask lies within the loop: its first corner is its topmost, leftmost, with one pixel inside it."""
    x, y = loop[0]
    return bool(pixels[y, x])


def _innermost_around(point: tuple[int, int], loops: list[Loop]) -> int:
    """The index of the smallest loop around the pixel whose upper left corner is `point`."""
    if len(loops) == 1:
        return 0
    around = []
    for index, loop in enumerate(loops):
        corners = np.array(loop)
        above, below = corners[1::2], np.roll(corners, -1, axis=0)[1::2]  # the ends of the vertical edges
        low, high = np.minimum(above[:, 1], below[:, 1]), np.maximum(above[:, 1], below[:, 1])
        crossed = (above[:, 0] <= point[0]) & (low <= point[1]) & (point[1] < high)
        if crossed.sum() % 2:
            around.append((int(np.ptp(corners[:, 0]) * np.ptp(corners[:, 1])), index))
    return min(around)[1]


def _joined(outer: Loop, inner: list[Loop]) -> Loop:
    """One line through all loops: each of `inner` is visited from the corner of `outer` nearest to its first."""
    if not inner:
        return outer
    corners = np.array(outer)
    visits: dict[int, list[Loop]] = {}
    for loop in inner:
        nearest = int(np.abs(corners - np.array(loop[0])).sum(axis=1).argmin())
        visits.setdefault(nearest, []).append(loop)
    joined: Loop = []
    for index, corner in enumerate(outer):
        joined.append(corner)
        for loop in visits.get(index, []):
            joined += (*loop, loop[0], corner)
    return joined


def _flat(loop: Loop, left: int, top: int) -> list[int]:
    return [coordinate for x, y in loop for coordinate in (x + left, y + top)]
