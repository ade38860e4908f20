"""Drawn backgrounds: table tops of wood, stone and cloth, and walls, from formulas."""

import numpy as np
from PIL import Image

from amodal.synthesis.painting import smooth_noise

Rng = np.random.Generator

FAMILIES = (
    (0.62, 0.47, 0.32),
    (0.42, 0.3, 0.22),
    (0.72, 0.7, 0.66),
    (0.5, 0.56, 0.6),
    (0.36, 0.44, 0.4),
    (0.7, 0.62, 0.52),
)
"""Muted colours, red, green and blue in [0, 1], that objects stand out against."""


class DrawnBackgrounds:
    """Surfaces of random kind, colours and light."""

    def sample(self, size: tuple[int, int], rng: Rng) -> np.ndarray:
        """A surface: its pattern as a mix of two colours, under light that falls off to one side."""
        kind = (_wood, _stone, _cloth, _tiles, _haze)[int(rng.integers(5))]
        share = kind(size, rng).astype(np.float32)
        first, second = _colours(rng)
        light = _slope(size, rng) * 0.35 + 0.82
        canvas = np.empty((*size, 3), dtype=np.uint8)
        for channel in range(3):
            mixed = first[channel] + (second[channel] - first[channel]) * share
            canvas[..., channel] = np.clip(mixed * light * 255, 0, 255)
        return canvas


def _colours(rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Two muted colours (3,) of one family, one darker."""
    base = np.asarray(FAMILIES[int(rng.integers(len(FAMILIES)))])
    first = np.clip(base * rng.uniform(0.85, 1.15) + rng.uniform(-0.05, 0.05, 3), 0.05, 0.95)
    return first.astype(np.float32), np.clip(first * rng.uniform(0.62, 0.84), 0, 1).astype(np.float32)


def _grid(size: tuple[int, int], rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates (H, W) along and across a random direction; the shorter side is 1 long."""
    angle = rng.uniform(0, np.pi)
    y, x = (np.arange(length, dtype=np.float32) / min(size) for length in size)
    cosine, sine = np.float32(np.cos(angle)), np.float32(np.sin(angle))
    return cosine * x[None] + sine * y[:, None], cosine * y[:, None] - sine * x[None]


def _slope(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Light from 0 to 1, float32 (H, W): smooth, brightest somewhere at random."""
    corners = Image.fromarray(rng.random((3, 3), dtype=np.float32))
    return np.clip(np.asarray(corners.resize((size[1], size[0]), Image.Resampling.BICUBIC)), 0, 1)


def _wood(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Boards with grain along them."""
    along, across = _grid(size, rng)
    boards = rng.uniform(2, 5)
    board = np.floor(across * boards).astype(int)
    tone = rng.random(64, dtype=np.float32)[board % 64]
    grain = np.sin(across * rng.uniform(50, 90) + 9 * smooth_noise(size, 5, rng) + 1.5 * along + 40 * tone)
    seams = np.abs(across * boards - np.round(across * boards)) < 0.012 * boards
    return np.clip(0.45 * tone + 0.3 + 0.22 * grain * smooth_noise(size, 14, rng) + 0.9 * seams, 0, 1.6)


def _stone(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Speckled, with clouds of three sizes."""
    clouds = 0.45 * smooth_noise(size, 4, rng) + 0.3 * smooth_noise(size, 16, rng) + 0.25 * smooth_noise(size, 60, rng)
    return np.clip(2.2 * clouds - 0.6 + 0.5 * (rng.random(size, dtype=np.float32) - 0.5), 0, 1.3)


def _cloth(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Woven stripes or checks."""
    along, across = _grid(size, rng)
    count, wide = rng.uniform(4, 11), rng.uniform(0.3, 0.6)
    stripes = ((across * count) % 1 < wide).astype(np.float32)
    if rng.random() < 0.5:
        stripes = 0.5 * stripes + 0.5 * ((along * count) % 1 < wide)
    weave = 0.09 * np.sin(across * 160) * np.sin(along * 160)
    return np.clip(stripes * 0.9 + weave + 0.3 * (smooth_noise(size, 6, rng) - 0.5), 0, 1)


def _tiles(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Square tiles of uneven tone with joints."""
    along, across = _grid(size, rng)
    count = rng.uniform(2.5, 5)
    column, row = np.floor(along * count).astype(int), np.floor(across * count).astype(int)
    tone = rng.random(97, dtype=np.float32)[(31 * column + 17 * row) % 97]
    joint = np.maximum(np.abs(along * count % 1 - 0.5), np.abs(across * count % 1 - 0.5)) > 0.475
    return np.clip(0.6 * tone + 0.35 * smooth_noise(size, 20, rng) + 0.8 * joint, 0, 1.4)


def _haze(size: tuple[int, int], rng: Rng) -> np.ndarray:
    """A plain wall, slightly cloudy."""
    return 0.6 * smooth_noise(size, 3, rng) + 0.1 * (rng.random(size, dtype=np.float32) - 0.5)
