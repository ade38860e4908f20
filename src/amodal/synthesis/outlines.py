"""Outlines of drawn objects: closed polygons (P, 2) of x, y, with x to the right and y down, about a unit in size."""

from collections.abc import Sequence

import numpy as np

Outline = np.ndarray
"""A closed polygon, float64 (P, 2): x and y of its corners, without repeating the first."""


def smooth(points: Sequence[tuple[float, float]] | np.ndarray, steps: int = 12) -> Outline:
    """A closed curve through the points: uniform Catmull-Rom spline with `steps` corners from point to point."""
    p1 = np.asarray(points, dtype=np.float64)
    p0, p2, p3 = np.roll(p1, 1, axis=0), np.roll(p1, -1, axis=0), np.roll(p1, -2, axis=0)
    return _catmull_rom((p0, p1, p2, p3), steps)


def curve(points: Sequence[tuple[float, ...]] | np.ndarray, steps: int = 12) -> np.ndarray:
    """An open curve (P, D) through points of D coordinates, by the same spline."""
    p = np.asarray(points, dtype=np.float64)
    p = np.concatenate([2 * p[:1] - p[1:2], p, 2 * p[-1:] - p[-2:-1]])
    return np.concatenate([_catmull_rom((p[:-3], p[1:-2], p[2:-1], p[3:]), steps), p[-2:-1]])


def _catmull_rom(corners: tuple[np.ndarray, ...], steps: int) -> np.ndarray:
    p0, p1, p2, p3 = (corner[:, None] for corner in corners)
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    a, b, c = p2 - p0, 2 * p0 - 5 * p1 + 4 * p2 - p3, 3 * (p1 - p2) + p3 - p0
    return ((2 * p1 + a * t + b * t**2 + c * t**3) / 2).reshape(-1, p1.shape[-1])


def ellipse(x: float, y: float, across: float, up: float | None = None, corners: int = 72) -> Outline:
    """An ellipse about (x, y) with half axes `across` and `up` (a circle without `up`)."""
    angle = np.linspace(0, 2 * np.pi, corners, endpoint=False)
    return np.stack([x + across * np.cos(angle), y + (across if up is None else up) * np.sin(angle)], axis=1)


def ribbon(line: np.ndarray, radii: float | Sequence[float] | np.ndarray, *, round_ends: bool = True) -> Outline:
    """The outline of a line (P, 2) that is `radii` wide to either side: one number, or some spread along it."""
    along = np.linspace(0, 1, len(line))
    given = np.atleast_1d(np.asarray(radii, dtype=np.float64))
    radius = np.interp(along, np.linspace(0, 1, len(given)), given) if len(given) > 1 else np.full(len(line), given[0])
    tangent = np.gradient(line, axis=0)
    tangent /= np.maximum(np.linalg.norm(tangent, axis=1, keepdims=True), 1e-9)
    normal = np.stack([-tangent[:, 1], tangent[:, 0]], axis=1)
    sides = [line + normal * radius[:, None], (line - normal * radius[:, None])[::-1]]
    if round_ends:
        sides.insert(1, _cap(line[-1], normal[-1] * radius[-1], tangent[-1] * radius[-1]))
        sides.append(_cap(line[0], -normal[0] * radius[0], -tangent[0] * radius[0]))
    return np.concatenate(sides)


def _cap(centre: np.ndarray, side: np.ndarray, ahead: np.ndarray) -> np.ndarray:
    angle = np.linspace(0, np.pi, 12)[1:-1, None]
    return centre + side * np.cos(angle) + ahead * np.sin(angle)


def turned(profile: Sequence[tuple[float, float]], steps: int = 12) -> Outline:
    """The outline of a body turned on a vertical axis: its (y, radius) from top to bottom, smoothly joined."""
    y, radius = curve(profile, steps).T
    radius = np.maximum(radius, 0)
    return np.concatenate([np.stack([radius, y], axis=1), np.stack([-radius, y], axis=1)[::-1]])


def moved(outline: np.ndarray, x: float = 0.0, y: float = 0.0, angle: float = 0.0, scale: float = 1.0) -> np.ndarray:
    """The outline turned by `angle` radians about the origin (clockwise as seen), scaled, then moved."""
    cosine, sine = np.cos(angle) * scale, np.sin(angle) * scale
    return outline @ np.array([[cosine, sine], [-sine, cosine]]) + (x, y)


def mirrored(outline: np.ndarray) -> np.ndarray:
    """The outline with left and right exchanged."""
    return outline * (-1, 1)
