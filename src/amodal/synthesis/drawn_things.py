"""Drawn objects that are made: each function gives the parts of one object, of random shape and colours."""

import numpy as np

from amodal.synthesis.drawn_nature import Rng, pick
from amodal.synthesis.outlines import Outline, curve, ellipse, mirrored, moved, ribbon, smooth, turned
from amodal.synthesis.painting import Colour, Part, mottled

STEEL: Colour = (0.68, 0.7, 0.73)
DARK_STEEL: Colour = (0.38, 0.4, 0.44)


def _wood(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.clip(0.5 + 0.5 * np.sin(55 * x + 6 * noise + 1.5 * y), 0, 1) * 0.6


def _brushed(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    return np.clip(0.35 * noise + 0.25 * np.sin(3 * y + 2 * x + 2 * noise) + 0.1, 0, 1)


def _rectangle(left: float, top: float, right: float, bottom: float) -> Outline:
    return np.array([(left, top), (right, top), (right, bottom), (left, bottom)], dtype=np.float64)


def bottle(rng: Rng) -> list[Part]:
    """A glass body with shoulder and neck, a cap and a label."""
    body, neck, shoulder = rng.uniform(0.26, 0.4), rng.uniform(0.09, 0.14), rng.uniform(-0.45, -0.05)
    profile = [(-0.95, neck), (shoulder - 0.25, neck), (shoulder, body * 0.85), (shoulder + 0.18, body)]
    glass = turned([*profile, (0.3, body), (0.9, body), (0.98, body * 0.92), (1, body * 0.7)])
    colour = pick(rng, (0.1, 0.36, 0.18), (0.38, 0.2, 0.07), (0.2, 0.42, 0.62), (0.62, 0.74, 0.74), (0.6, 0.12, 0.12))

    def liquid(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        streak = np.exp(-(((x + 0.5 * body) / (0.1 * body)) ** 2)) * (y > shoulder)
        return np.clip(0.55 * streak + 0.35 * (y < shoulder - 0.1) + 0.1 * noise, 0, 1)

    pale = (min(colour[0] + 0.4, 1), min(colour[1] + 0.4, 1), min(colour[2] + 0.4, 1))
    paper, ink = pick(rng, (0.94, 0.92, 0.85), (0.9, 0.82, 0.55)), pick(rng, (0.7, 0.14, 0.12), (0.14, 0.25, 0.5))
    middle = (shoulder + 0.95) / 2 + 0.08

    def print_lines(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        title = (np.abs(y - middle + 0.08) < 0.07) & (np.abs(x) < 0.6 * body) & (np.sin(70 * x + 4 * noise) > -0.5)
        edge = np.abs(np.abs(y - middle) - 0.21) < 0.018
        return (title | edge | ((np.abs(y - middle - 0.1) < 0.012) & (np.abs(x) < 0.5 * body))) * 0.9

    label = _rectangle(-body, middle - 0.25, body, middle + 0.25)
    cap = _rectangle(-neck * 1.15, -1.08, neck * 1.15, -0.92)
    return [
        Part(glass, colour, pale, liquid, gloss=0.75, turned=True),
        Part(label, paper, ink, print_lines, gloss=0.1, turned=True),
        Part(cap, ink, gloss=0.4, turned=True),
    ]


def mug(rng: Rng) -> list[Part]:
    """A cylinder with an open rim, a handle one can see through, and a printed band."""
    top, bottom, height = rng.uniform(0.52, 0.66), rng.uniform(0.42, 0.6), rng.uniform(0.6, 0.85)
    rim = 0.17 * top
    low = np.linspace(0, np.pi, 30)
    base = np.stack([bottom * np.cos(low), height + 0.14 * bottom * np.sin(low)], axis=1)
    high = np.linspace(np.pi, 2 * np.pi, 30)
    body = np.concatenate([base, np.stack([top * np.cos(high), -height + rim * np.sin(high)], axis=1)])
    reach, thick = rng.uniform(0.38, 0.52), rng.uniform(0.08, 0.12)
    line = curve(
        [
            (top * 0.9, -0.55 * height),
            (top + reach * 0.8, -0.5 * height),
            (top + reach, 0),
            (top + reach * 0.6, 0.45 * height),
            (bottom * 0.9, 0.6 * height),
        ],
        14,
    )
    colour = pick(rng, (0.92, 0.91, 0.88), (0.2, 0.4, 0.62), (0.75, 0.2, 0.17), (0.9, 0.72, 0.25), (0.3, 0.5, 0.42))
    second = pick(rng, (0.2, 0.3, 0.5), (0.95, 0.93, 0.88), (0.85, 0.45, 0.15))
    where, wide, dots = rng.uniform(-0.2, 0.3), rng.uniform(0.06, 0.25), rng.random() < 0.5

    def band(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        bent = y - 0.12 * np.sqrt(np.maximum(1 - (x / top) ** 2, 0))
        inside = np.abs(bent - where) < wide
        return inside * ((np.sin(18 * x) * np.sin(18 * bent) > 0.25) if dots else 1.0) * (0.9 + 0.1 * noise)

    drink = ellipse(0, -height + 0.03, top * 0.84, rim * 0.72)
    return [
        Part(ribbon(line, thick), colour, gloss=0.5),
        Part(body, colour, second, band, gloss=0.4, turned=True),
        Part(
            ellipse(0, -height, top, rim),
            (colour[0] * 0.95, colour[1] * 0.95, colour[2] * 0.95),
            roundness=0.3,
            gloss=0.2,
        ),
        Part(drink, pick(rng, (0.24, 0.13, 0.07), (0.55, 0.3, 0.1), (0.4, 0.38, 0.36)), roundness=0.05, gloss=0.1),
    ]


def spoon(rng: Rng) -> list[Part]:
    """An oval bowl on a slender handle, of steel or wood."""
    long, wide, wooden = rng.uniform(0.36, 0.48), rng.uniform(0.26, 0.36), rng.random() < 0.4
    colour = pick(rng, (0.7, 0.48, 0.26), (0.58, 0.36, 0.18)) if wooden else STEEL
    pattern, second = (_wood, (0.45, 0.28, 0.12)) if wooden else (_brushed, (0.92, 0.93, 0.95))
    line = curve([(0, -0.7 + long * 0.9), (0, 0.2), (0, 1.1)])
    handle = ribbon(line, [0.08, 0.06, 0.055, 0.075, 0.09 + 0.03 * rng.random()])
    bowl = ellipse(0, -0.7, wide, long)
    bowl[:, 0] *= 1 - rng.uniform(0, 0.3) * (bowl[:, 1] + 0.7) / long  # often wider towards the tip
    inner = moved(bowl, 0, -0.14, scale=0.8)
    dark = (colour[0] * 0.8, colour[1] * 0.8, colour[2] * 0.8)
    gloss = 0.1 if wooden else 0.7
    return [
        Part(handle, colour, second, pattern, gloss=gloss),
        Part(bowl, colour, second, pattern, roundness=0.4, gloss=gloss),
        Part(mirrored(moved(inner, 0, -1.42, np.pi)), dark, second, pattern, gloss=gloss),
    ]


def fork(rng: Rng) -> list[Part]:
    """Three or four tines on a slender handle."""
    tines, wide, deep = int(rng.integers(3, 5)), rng.uniform(0.26, 0.36), rng.uniform(0.42, 0.58)
    thick = wide / tines * 0.6
    parts = [
        Part(
            ribbon(curve([(0, -0.3), (0, 0.3), (0, 1.1)]), [0.08, 0.06, 0.055, 0.08, 0.12]),
            STEEL,
            (0.92, 0.93, 0.95),
            _brushed,
            gloss=0.7,
        )
    ]
    for x in np.linspace(-wide + thick, wide - thick, tines):
        parts.append(
            Part(
                ribbon(curve([(x, -1), (x, -1 + deep)]), [thick * 0.5, thick, thick]),
                STEEL,
                (0.9, 0.9, 0.93),
                _brushed,
                gloss=0.7,
            )
        )
    top = -1.02 + deep
    neck = smooth(
        [
            (-wide, top),
            (0, top - 0.03),
            (wide, top),
            (wide * 0.85, top + 0.18),
            (0.05, -0.18),
            (-0.05, -0.18),
            (-wide * 0.85, top + 0.18),
        ]
    )
    return [*parts, Part(neck, STEEL, (0.92, 0.93, 0.95), _brushed, roundness=0.6, gloss=0.7)]


def hammer(rng: Rng) -> list[Part]:
    """A wooden or rubber handle and a steel head with a face and a claw."""
    long, face, claw = rng.uniform(0.9, 1.2), rng.uniform(0.13, 0.2), rng.uniform(0.4, 0.62)
    wooden = rng.random() < 0.6
    colour = (
        pick(rng, (0.72, 0.5, 0.26), (0.6, 0.38, 0.18)) if wooden else pick(rng, (0.75, 0.15, 0.12), (0.15, 0.3, 0.55))
    )
    handle = Part(
        ribbon(curve([(0, -0.7), (0, 0), (0, long)]), [0.1, 0.09, 0.11, 0.14, 0.12]),
        colour,
        (0.42, 0.24, 0.1) if wooden else (0.08, 0.08, 0.09),
        _wood if wooden else (lambda x, y, noise: (y > 0.3 * long) * (0.9 - 0.3 * (np.sin(45 * y) > 0.6))),
        gloss=0.3,
    )
    poll = [(-0.12, -0.86), (0.12, -0.86), (0.3, -0.83), (0.46, -0.86), (0.48, -0.6), (0.3, -0.62), (0.13, -0.55)]
    tip = (-claw, -0.5 + 0.1 * rng.random())
    head = smooth([*poll, (-0.13, -0.55), (-0.28, -0.6), tip, (-claw * 0.75, -0.76)])
    cheek = _rectangle(0.44, -0.72 - face, 0.58, -0.72 + face)
    return [
        handle,
        Part(head, DARK_STEEL, (0.75, 0.76, 0.78), _brushed, roundness=0.7, gloss=0.6),
        Part(cheek, STEEL, (0.9, 0.9, 0.9), _brushed, roundness=0.5, gloss=0.6),
    ]


def key(rng: Rng) -> list[Part]:
    """A bow with a hole, a shaft and a toothed bit, of brass or steel."""
    kind, radius = int(rng.integers(3)), rng.uniform(0.36, 0.48)
    metal, bright = ((0.76, 0.58, 0.22), (0.95, 0.85, 0.5)) if rng.random() < 0.5 else (STEEL, (0.93, 0.94, 0.96))
    y = -0.68
    if kind == 0:
        bow, holes = ellipse(0, y, radius), [ellipse(0, y, radius * rng.uniform(0.45, 0.65))]
    elif kind == 1:
        bow = smooth(
            [
                (-radius, y - 0.8 * radius),
                (radius, y - 0.8 * radius),
                (radius * 1.05, y + 0.5 * radius),
                (0.12, y + radius * 1.1),
                (-0.12, y + radius * 1.1),
                (-radius * 1.05, y + 0.5 * radius),
            ]
        )
        holes = [ellipse(0, y - 0.45 * radius, 0.3 * radius, 0.22 * radius)]
    else:
        angle = np.linspace(0, 2 * np.pi, 120, endpoint=False)
        lobes = radius * (0.95 + 0.2 * np.cos(3 * angle))
        bow = np.stack([lobes * np.sin(angle), y - lobes * np.cos(angle)], axis=1)
        holes = [ellipse(0.5 * radius * np.sin(a), y - 0.5 * radius * np.cos(a), 0.17 * radius) for a in (0, 2.1, 4.2)]
    wide = rng.uniform(0.09, 0.12)
    teeth = [(wide, 0.35)]
    for start in np.linspace(0.4, 0.85, int(rng.integers(3, 6))):
        deep = rng.uniform(0.14, 0.34)
        teeth += [(wide, start), (wide + deep, start), (wide + deep, start + 0.07), (wide, start + 0.07)]
    shaft = np.array([(-wide, y + 0.75 * radius), (wide, y + 0.75 * radius), *teeth, (wide, 1), (0, 1.06), (-wide, 1)])
    return [
        Part(shaft, metal, bright, _brushed, roundness=0.5, gloss=0.6),
        Part(bow, metal, bright, _brushed, holes=holes, roundness=0.45, gloss=0.6),
    ]


def scissors(rng: Rng) -> list[Part]:
    """Two crossed blades, each with a ring handle."""
    opening, long, radius = rng.uniform(0.12, 0.36), rng.uniform(0.9, 1.2), rng.uniform(0.24, 0.32)
    colour = pick(rng, (0.8, 0.15, 0.12), (0.1, 0.1, 0.12), (0.95, 0.55, 0.1), (0.15, 0.4, 0.65))
    blade = np.array([(-0.1, 0.12), (-0.13, -0.3), (-0.04, -long), (0.03, -long * 0.9), (0.1, -0.1), (0.08, 0.12)])
    arm = ribbon(curve([(0, 0.02), (-0.05, 0.3), (-0.16, 0.5)]), [0.1, 0.08, 0.09])
    centre, tall = (-0.22, 0.46 + radius), radius * rng.uniform(1.05, 1.4)
    ring, hole = ellipse(*centre, radius, tall), ellipse(*centre, radius * 0.62, tall * 0.66)
    parts = []
    for side in (1, -1):

        def place(outline: Outline, side: int = side) -> Outline:
            return moved(outline * (side, 1), angle=side * opening)

        parts.append(Part(place(blade), STEEL, (0.93, 0.94, 0.96), _brushed, roundness=0.35, gloss=0.7))
        parts.append(Part(place(arm), colour, gloss=0.4))
        parts.append(Part(place(ring), colour, holes=[place(hole)], gloss=0.4))
    return [*parts, Part(ellipse(0, 0, 0.05), DARK_STEEL, gloss=0.6)]


def star(rng: Rng) -> list[Part]:
    """A star of five to seven points, sharp or rounded, plain or dotted."""
    points, inner, rounded = int(rng.integers(5, 8)), rng.uniform(0.4, 0.55), rng.random() < 0.5
    angle = np.arange(2 * points) * np.pi / points
    radius = np.where(np.arange(2 * points) % 2 == 0, 1.0, inner)
    corners = np.stack([radius * np.sin(angle), -radius * np.cos(angle)], axis=1)
    colour = pick(rng, (0.95, 0.75, 0.15), (0.88, 0.42, 0.2), (0.8, 0.2, 0.25), (0.35, 0.55, 0.8))

    def dots(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        direction = np.arctan2(x, -y) * points / (2 * np.pi)
        on_arm = np.abs(direction - np.round(direction)) < 0.07
        return (on_arm & (np.sin(26 * np.hypot(x, y)) > 0.2)) * 0.7 + np.clip(0.6 * noise - 0.25, 0, 0.4)

    pale = (min(colour[0] + 0.2, 1), min(colour[1] + 0.25, 1), min(colour[2] + 0.3, 1))
    return [
        Part(
            smooth(corners) if rounded else corners,
            colour,
            pale,
            dots if rounded else mottled,
            roundness=0.9,
            gloss=0.25,
        )
    ]
