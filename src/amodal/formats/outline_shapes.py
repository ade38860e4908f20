"""Shapes that labelling tools know by a few numbers, as corners of a polygon in pixels."""

import math

Point = tuple[float, float]


def box(left: float, top: float, right: float, bottom: float) -> list[Point]:
    """The corners of a box."""
    return [(left, top), (right, top), (right, bottom), (left, bottom)]


def ellipse(middle: Point, across: float, down: float) -> list[Point]:
    """72 points of an ellipse of two radii."""
    turns = [2 * math.pi * step / 72 for step in range(72)]
    return [(middle[0] + across * math.cos(turn), middle[1] + down * math.sin(turn)) for turn in turns]


def turned(points: list[Point], middle: Point, degrees: float) -> list[Point]:
    """Points turned clockwise, as a picture shows it, about a middle."""
    if not degrees % 360:
        return points
    sine, cosine = math.sin(math.radians(degrees)), math.cos(math.radians(degrees))
    (x0, y0) = middle
    moved = [(x - x0, y - y0) for x, y in points]
    return [(x0 + x * cosine - y * sine, y0 + x * sine + y * cosine) for x, y in moved]


def flat(points: list[Point]) -> list[float]:
    """The polygon [x0, y0, x1, y1, ...]."""
    return [coordinate for point in points for coordinate in point]
