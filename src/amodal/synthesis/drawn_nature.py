"""Drawn objects that grow: each function gives the parts of one object, of random shape and colours."""

import numpy as np

from amodal.synthesis.outlines import curve, ellipse, mirrored, moved, ribbon, smooth, turned
from amodal.synthesis.painting import Colour, Part, mottled

Rng = np.random.Generator


def pick(rng: Rng, *choices: Colour) -> Colour:
    """One of the colours, slightly changed."""
    red, green, blue = np.clip(np.array(choices[int(rng.integers(len(choices)))]) + rng.uniform(-0.05, 0.05, 3), 0, 1)
    return float(red), float(green), float(blue)


def _stalk(rng: Rng, x: float, y: float, length: float) -> Part:
    bend = rng.uniform(-0.15, 0.15)
    line = curve([(x, y), (x + bend / 3, y - length / 2), (x + bend, y - length)])
    return Part(ribbon(line, [0.035, 0.03, 0.05]), (0.36, 0.25, 0.13), gloss=0.1)


def _small_leaf(rng: Rng, x: float, y: float) -> Part:
    blade = smooth([(0, 0), (0.16, -0.13), (0.38, -0.15), (0.56, 0), (0.36, 0.1), (0.15, 0.09)])
    angle, colour = rng.uniform(-0.9, 0.3), pick(rng, (0.3, 0.52, 0.16), (0.22, 0.45, 0.18))
    return Part(moved(blade, x, y, angle), colour, roundness=0.5, gloss=0.15)


def apple(rng: Rng) -> list[Part]:
    """A dimpled ball with streaks, a stalk and often a leaf."""
    angle = np.linspace(0, 2 * np.pi, 160, endpoint=False)
    above = np.exp(-(((angle - 1.5 * np.pi) / 0.33) ** 2))
    below = np.exp(-(((angle - 0.5 * np.pi) / 0.4) ** 2))
    radius = 1 - rng.uniform(0.12, 0.2) * above - 0.035 * below
    taper = 1 - rng.uniform(0.02, 0.12) * np.sin(angle)
    body = np.stack([radius * np.cos(angle) * taper, rng.uniform(0.86, 1.02) * radius * np.sin(angle)], axis=1)
    top = float(body[np.abs(angle - 1.5 * np.pi).argmin(), 1])
    skin = pick(rng, (0.78, 0.1, 0.1), (0.62, 0.72, 0.2), (0.85, 0.3, 0.12), (0.68, 0.07, 0.14))

    def streaks(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        meridian = x / np.sqrt(np.maximum(1.15 - y**2, 0.05))
        return np.clip(0.45 * np.sin(26 * meridian + 5 * noise) * noise + 1.1 * noise - 0.35, 0, 0.8)

    parts = [Part(body, skin, pick(rng, (0.93, 0.78, 0.3), (0.85, 0.5, 0.2)), streaks, gloss=0.5)]
    parts.append(Part(ellipse(0, top + 0.06, 0.2, 0.07), (skin[0] * 0.5, skin[1] * 0.5, 0.06), roundness=0.9, gloss=0))
    if rng.random() < 0.6:
        parts.append(_small_leaf(rng, 0.02, top - 0.12))
    return [*parts, _stalk(rng, 0, top + 0.07, rng.uniform(0.3, 0.45))]


def pear(rng: Rng) -> list[Part]:
    """A belly under a neck, speckled, with a stalk."""
    belly, neck, lean = rng.uniform(0.62, 0.78), rng.uniform(0.24, 0.36), rng.uniform(-0.12, 0.12)
    profile = [(-1, 0.04), (-0.96, neck * 0.6), (-0.75, neck), (-0.35, neck * 1.3), (0.15, belly * 0.92)]
    body = turned([*profile, (0.45, belly), (0.75, belly * 0.82), (0.95, belly * 0.42), (1, 0.05)])
    body[:, 0] += lean * np.minimum(body[:, 1], 0) ** 2
    skin = pick(rng, (0.76, 0.75, 0.25), (0.82, 0.66, 0.22), (0.58, 0.66, 0.2))
    blush = pick(rng, (0.72, 0.42, 0.15), (0.75, 0.3, 0.16))

    def speckles(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        dots = np.sin(37 * x + 9 * noise) * np.sin(41 * y + 7 * noise) > 0.9
        return np.clip(0.9 * noise - 0.25 + 0.35 * x, 0, 0.75) + 0.25 * dots

    return [_stalk(rng, lean, -0.93, 0.34), Part(body, skin, blush, speckles, gloss=0.35)]


def banana(rng: Rng) -> list[Part]:
    """A tapered, angular arc with dark ends."""
    sweep, width = rng.uniform(1.5, 2.4), rng.uniform(0.19, 0.26)
    angle = np.linspace(-sweep / 2, sweep / 2, 60)
    radius = 1 / np.sin(sweep / 2)
    line = np.stack([radius * np.sin(angle), radius * np.cos(angle)], axis=1) - (0, radius)
    widths = np.array([0.28, 0.34, 0.75, 0.95, 1, 1, 0.92, 0.7, 0.3]) * width
    skin = pick(rng, (0.93, 0.78, 0.2), (0.9, 0.82, 0.3), (0.78, 0.78, 0.25))

    def bruises(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        from_centre = np.hypot(x, y + radius) - radius
        ridge = np.exp(-(((from_centre - 0.25 * width) / (0.12 * width)) ** 2))
        return np.clip(0.35 * ridge + np.clip(4 * noise - 3.1, 0, 0.6), 0, 0.8)

    body = Part(ribbon(line, widths), skin, (0.5, 0.34, 0.1), bruises, gloss=0.2)
    ends = [
        Part(ribbon(line[part], w * width), (0.28, 0.2, 0.1), gloss=0.05)
        for part, w in ((np.s_[:5], 0.3), (np.s_[-3:], 0.32))
    ]
    return [body, *ends]


def carrot(rng: Rng) -> list[Part]:
    """A tapered, ringed root under a tuft of leaves."""
    width, bend = rng.uniform(0.2, 0.38), rng.uniform(-0.15, 0.15)
    line = curve([(0, -0.6), (bend * 0.3, -0.1), (bend, 0.5), (bend * 0.4, 1.1)])
    blunt = rng.uniform(0.05, 0.35)
    root = ribbon(line, [width * 0.8, width, width * 0.9, width * (0.55 + blunt / 2), width * (0.3 + blunt / 2), 0.02])

    def rings(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        lines = np.sin(24 * y + 14 * noise) > 0.93
        return 0.5 * lines * (noise > 0.4) + np.clip(0.5 * noise - 0.2, 0, 1) + 0 * x

    leaves = []
    for angle in np.linspace(-0.55, 0.55, int(rng.integers(4, 8))) + rng.uniform(-0.1, 0.1):
        length = rng.uniform(0.5, 0.8)
        tip = (length * np.sin(angle), -0.6 - length * np.cos(angle))
        stem = curve([(angle * 0.1, -0.58), (tip[0] * 0.4, -0.6 - 0.5 * length), tip], 20)
        frill = 0.045 + 0.028 * np.sin(np.linspace(0, 22, 30)) + np.linspace(-0.03, 0.03, 30)
        green = pick(rng, (0.25, 0.5, 0.15), (0.33, 0.58, 0.2))
        leaves.append(Part(ribbon(stem, frill), green, (0.12, 0.32, 0.1), mottled, roundness=0.6, gloss=0.05))
    orange = pick(rng, (0.93, 0.45, 0.1), (0.9, 0.52, 0.16), (0.85, 0.36, 0.1))
    return [*leaves, Part(root, orange, (0.66, 0.27, 0.05), rings, gloss=0.2)]


def cucumber(rng: Rng) -> list[Part]:
    """A long, slightly bent tube with pale lengthwise stripes and bumps."""
    width, bend = rng.uniform(0.17, 0.25), rng.uniform(-0.25, 0.25)
    line = curve([(-1, 0), (-0.4, bend), (0.3, bend), (1, 0)], 20)
    body = ribbon(line, np.array([0.55, 0.85, 1, 1, 1, 0.95, 0.7]) * width)

    def stripes(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        across = (y - bend * (1 - x**2)) / width
        pale = np.clip(np.sin(9 * across + 2 * noise) - 0.5, 0, 1) * np.clip(1.6 * np.abs(x) - 0.2, 0, 1)
        bumps = np.sin(38 * x + 11 * noise) * np.sin(17 * across + 5 * noise) > 0.88
        return np.clip(0.8 * pale + 0.4 * bumps, 0, 1)

    green = pick(rng, (0.16, 0.37, 0.13), (0.22, 0.44, 0.15))
    stem = Part(ribbon(line[:2] - (0.1, 0), 0.04), (0.5, 0.55, 0.25), gloss=0)
    return [stem, Part(body, green, (0.55, 0.68, 0.3), stripes, gloss=0.45)]


def mushroom(rng: Rng) -> list[Part]:
    """A cap, often with spots, on a stem."""
    stem_width, cap_height, curl = rng.uniform(0.18, 0.3), rng.uniform(0.55, 0.9), rng.uniform(0, 0.14)
    stem = turned(
        [(-0.1, stem_width * 0.85), (0.4, stem_width * 0.8), (0.85, stem_width * 1.2), (0.98, stem_width * 0.8)]
    )
    left = [(-0.7, 0.1 + curl), (-0.95, 0.02), (-0.85, -0.35), (-0.45, -0.8 * cap_height)]
    right = [(-x, y) for x, y in reversed(left)]
    cap = smooth([*left, (0, -cap_height), *right, (0, 0.12)])
    gills = ellipse(0, 0.1, 0.74, 0.12 + curl / 2)
    colour = pick(rng, (0.75, 0.12, 0.08), (0.55, 0.36, 0.2), (0.78, 0.58, 0.35), (0.85, 0.45, 0.12))
    parts = [
        Part(gills, (0.86, 0.78, 0.65), (0.5, 0.4, 0.3), lambda x, y, noise: np.sin(60 * x) > 0.4, gloss=0),
        Part(stem, (0.92, 0.88, 0.78), (0.7, 0.62, 0.5), mottled, gloss=0.1),
        Part(cap, colour, (colour[0] * 0.7, colour[1] * 0.7, colour[2] * 0.7), mottled, gloss=0.4),
    ]
    if rng.random() < 0.5:
        for x in np.linspace(-0.62, 0.62, int(rng.integers(4, 7))):
            y = -cap_height * (1 - abs(x)) * rng.uniform(0.25, 0.9) - 0.08
            parts.append(
                Part(ellipse(x, y, rng.uniform(0.06, 0.12), rng.uniform(0.05, 0.09)), (0.96, 0.93, 0.86), gloss=0)
            )
    return parts


def leaf(rng: Rng) -> list[Part]:
    """A pointed, toothed or lobed blade with veins, and its stem."""
    kind, width = int(rng.integers(3)), rng.uniform(0.42, 0.7)
    y = np.linspace(-1, 0.8, 80)
    t = (y + 1) / 1.8
    half = width * np.sin(np.pi * t ** rng.uniform(0.9, 1.3)) ** 0.85
    if kind == 1:
        half = half * (1 + 0.12 * (1 - (9 * t) % 1))
    elif kind == 2:
        half = half * (0.78 + 0.32 * np.sin(2 * np.pi * 3.5 * t + 0.7))
    blade = np.concatenate([np.stack([half, y], 1), np.stack([-half, y], 1)[::-1]])
    colour = pick(rng, (0.28, 0.5, 0.15), (0.72, 0.5, 0.1), (0.65, 0.25, 0.1), (0.45, 0.55, 0.2))

    def veins(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        side = np.clip(np.cos(2 * np.pi * 4 * (y + 0.8 * np.abs(x))) * 8 - 7, 0, 1)
        return np.clip(np.maximum(side, np.abs(x) < 0.022) * 0.6 + 0.5 * (noise - 0.5), 0, 1)

    pale = (min(colour[0] + 0.25, 1), min(colour[1] + 0.25, 1), colour[2] + 0.12)
    stem = Part(ribbon(curve([(0, 0.7), (rng.uniform(-0.1, 0.1), 1.25)]), 0.03), (0.45, 0.4, 0.15), gloss=0)
    return [stem, Part(blade, colour, pale, veins, roundness=0.35, gloss=0.15)]


def fish(rng: Rng) -> list[Part]:
    """A body with scales or stripes, tail, fins and an eye."""
    depth, tail = rng.uniform(0.32, 0.55), rng.uniform(0.35, 0.6)
    back = [(-0.6, -0.75 * depth), (-0.1, -depth), (0.4, -0.6 * depth), (0.75, -0.13)]
    body = smooth([(-0.95, 0.02), *back, *((x, -y) for x, y in reversed(back))])
    forked = smooth([(0.65, 0), (1.15, -tail), (1.02 - 0.2 * rng.random(), 0), (1.15, tail)])
    upper = smooth(
        [(-0.4, -0.7 * depth), (0, -depth - rng.uniform(0.15, 0.35)), (0.35, -depth - 0.1), (0.4, -0.5 * depth)]
    )
    lower = moved(mirrored(moved(upper, angle=np.pi, scale=0.7)), 0.12, -0.12 * depth)
    skin = pick(rng, (0.9, 0.45, 0.12), (0.35, 0.5, 0.72), (0.6, 0.62, 0.65), (0.85, 0.75, 0.25), (0.3, 0.62, 0.58))
    mark = pick(rng, (0.95, 0.93, 0.9), (0.12, 0.16, 0.28), (0.75, 0.25, 0.15))
    period, striped = rng.uniform(7, 12), rng.random() < 0.5

    def scales(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
        if striped:
            return np.clip(6 * np.sin(period * x + 1.5 * noise) - 3, 0, 0.9) * (x > -0.55)
        return np.clip(np.abs(np.sin(20 * (x + y)) * np.sin(20 * (x - y))) * 0.6 + 0.6 * (y - 0.2), 0, 0.8)

    fins = (skin[0] * 0.8, skin[1] * 0.8, skin[2] * 0.8)
    parts = [
        Part(fin, fins, mark, lambda x, y, noise: 0.4 * (np.sin(50 * (x + 0.6 * y)) > 0.5), roundness=0.4, gloss=0.1)
        for fin in (forked, upper, lower)
    ]
    parts.append(Part(body, skin, mark, scales, gloss=0.5))
    parts.append(
        Part(smooth([(-0.28, 0.05), (0.08, -0.06), (0.14, 0.16), (-0.1, 0.2)]), fins, roundness=0.6, gloss=0.1)
    )
    eye = (-0.66, -0.18 * depth)
    return [
        *parts,
        Part(ellipse(*eye, 0.085), (0.97, 0.96, 0.88), gloss=0),
        Part(ellipse(*eye, 0.05), (0.04, 0.04, 0.06), gloss=0.8),
    ]
