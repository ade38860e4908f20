"""Masks as polygons along pixel edges: rasterised again, each gives the very same mask.

Formats that hold polygons only (KINS, COCOA, labelme, YOLO) thus keep masks to the pixel, holes included. Ask for
many masks at once: alone, each takes several times as long.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from amodal.formats.pixel_edges import Loop, loops
from amodal.rle import Rle


def polygons(masks: Iterable[Rle]) -> Iterator[list[list[int]]]:
    """For each mask, one polygon [x0, y0, x1, y1, ...] for each of its parts; their union is the mask.

    A hole is joined to the outline around it by a line there and back, which the even-odd rule does not see.
    """
    return map(_polygons, loops(masks))


def outlines(masks: Iterable[Rle]) -> Iterator[list[int]]:
    """For each mask one polygon [x0, y0, x1, y1, ...], its parts and holes joined by lines there and back.

    Empty for an empty mask.
    """
    return (_joined(found[0], found[1:]) if found else [] for found in loops(masks))


def _polygons(found: list[Loop]) -> list[list[int]]:
    outer = [loop for loop in found if loop.is_outer]
    inner = [loop for loop in found if not loop.is_outer]
    if not inner:
        return [loop.corners for loop in outer]
    holes: list[list[Loop]] = [[] for _ in outer]
    for hole, around in zip(inner, _innermost_around(inner, outer), strict=True):
        holes[around].append(hole)
    return [_joined(loop, inside) for loop, inside in zip(outer, holes, strict=True)]


def _innermost_around(holes: list[Loop], outer: list[Loop]) -> list[int]:
    """For each hole, the index of the smallest line around its first pixel."""
    if len(outer) == 1:
        return [0] * len(holes)
    edge_x, start, end = np.array(
        [
            [x for loop in outer for x in loop.corners[2::4]],  # a vertical edge leaves every second corner
            [y for loop in outer for y in loop.corners[3::4]],
            [y for loop in outer for y in (*loop.corners[5::4], loop.corners[1])],
        ]
    )
    low, high = np.minimum(start, end), np.maximum(start, end)
    line = np.repeat(np.arange(len(outer)), [len(loop.corners) // 4 for loop in outer])
    found = []
    for x, y, *_ in (hole.corners for hole in holes):
        crossed = line[(edge_x <= x) & (low <= y) & (y < high)]
        around = np.flatnonzero(np.bincount(crossed) % 2).tolist()
        found.append(min(around, key=lambda index: _room(outer[index])))
    return found


def _room(loop: Loop) -> int:
    """Pixels of the box around a line."""
    x, y = loop.corners[0::2], loop.corners[1::2]
    return (max(x) - min(x)) * (max(y) - min(y))


def _joined(outer: Loop, inner: list[Loop]) -> list[int]:
    """One line through all: each of `inner` is visited from the corner of `outer` nearest to its first."""
    if not inner:
        return outer.corners
    corners = np.array(outer.corners).reshape(-1, 2)
    visits = [(int(np.abs(corners - loop.corners[:2]).sum(axis=1).argmin()), loop.corners) for loop in inner]
    joined: list[int] = []
    done = 0
    for nearest, visited in sorted(visits, key=lambda visit: visit[0]):
        left_at = 2 * nearest + 2
        joined += outer.corners[done:left_at]
        joined += visited + visited[:2] + outer.corners[left_at - 2 : left_at]
        done = left_at
    return joined + outer.corners[done:]
