"""A plain background, known from a picture's border: how far each pixel is from it, and whether it is one at all.

Studio light falls off to the sides, so a plain background is a smooth surface of colour rather than one colour.
Differences are in CIE Lab, where 2 is just seen.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float

ToLab = Callable[[np.ndarray], np.ndarray]
"""From one space of colours to another, float32 (H, W, 3): who has a library for it hands it over."""
FRAME = 0.03
"""Width of the border that is looked at, as a share of the shorter side."""
PLAIN_SHARE = 0.6
"""Least share of the border that must lie on the surface: an object may reach the border somewhere."""
LEAST_NOISE = 1.0
MOST_NOISE = 6.0
"""Bounds of the background's spread, in Lab: no camera has less than the first, nothing plain more than the second."""
DARKEST = 0.35
"""Of the background's light, in the deepest shadow."""


@dataclass(frozen=True)
class PlainBackground:
    """What was found.

    Attributes:
        surface: Its colour at each pixel, RGB from 0 to 1.
        noise: Its spread around the surface, in Lab.
        plain_share: Share of the border that lies on it.
    """

    surface: Float[np.ndarray, "H W 3"]
    noise: float
    plain_share: float

    @property
    def is_plain(self) -> bool:
        """Whether there is a plain background at all."""
        return self.plain_share >= PLAIN_SHARE and self.noise <= MOST_NOISE


@dataclass(frozen=True)
class Difference:
    """How each pixel differs from the background, in units of its noise.

    A shadow is the background times a number below 1. So the difference has two parts.

    Attributes:
        shade: How much darker the nearest shade of the background is than the background.
        rest: How far the pixel is from that shade: no shadow explains this.
    """

    shade: Float[np.ndarray, "H W"]
    rest: Float[np.ndarray, "H W"]

    @property
    def total(self) -> Float[np.ndarray, "H W"]:
        """Both; shade counts a third."""
        return np.hypot(self.shade / 3, self.rest)


def find(picture: Float[np.ndarray, "H W 3"], to_lab: ToLab, to_rgb: ToLab) -> PlainBackground:
    """The background of an RGB picture from 0 to 1: a quadratic surface through what most of its border shares."""
    lab = to_lab(picture)
    height, width = lab.shape[:2]
    frame = _frame(height, width)
    places = _quadratic(height, width)
    rows, colours = places[frame], lab[frame]
    fit = np.zeros((rows.shape[1], 3))
    fit[0] = np.median(colours, axis=0)
    for terms in (1, 3, 6, 6):  # first one colour, then a plane, then the surface: strangers must not bend it
        residual = np.linalg.norm(colours - rows @ fit, axis=1)
        spread = np.clip(1.5 * np.median(residual), LEAST_NOISE, MOST_NOISE)
        kept = residual < 3 * spread
        if kept.sum() >= 20 * terms:
            fit[:terms] = np.linalg.lstsq(rows[kept, :terms], colours[kept], rcond=None)[0]
    residual = np.linalg.norm(colours - rows @ fit, axis=1)
    kept = residual < 3 * spread
    noise = max(float(np.sqrt((residual[kept] ** 2).mean())), LEAST_NOISE) if kept.any() else np.inf
    surface = to_rgb((places @ fit).astype(np.float32)).clip(0, 1)
    return PlainBackground(surface, noise, float(kept.mean()))


def difference(picture: Float[np.ndarray, "H W 3"], background: PlainBackground, to_lab: ToLab) -> Difference:
    """How an RGB picture from 0 to 1 differs from its background."""
    surface = background.surface
    brightness = (picture * surface).sum(-1) / np.maximum((surface**2).sum(-1), 1e-4)
    shaded = to_lab((surface * brightness.clip(DARKEST, 1)[..., None]).astype(np.float32))
    shade = np.abs(to_lab(surface)[..., 0] - shaded[..., 0])
    return Difference(shade / background.noise, np.linalg.norm(to_lab(picture) - shaded, axis=-1) / background.noise)


def _frame(height: int, width: int) -> Bool[np.ndarray, "H W"]:
    thickness = max(2, round(FRAME * min(height, width)))
    frame = np.ones((height, width), dtype=bool)
    frame[thickness:-thickness, thickness:-thickness] = False
    return frame


def _quadratic(height: int, width: int) -> Float[np.ndarray, "H W 6"]:
    """1, x, y, x^2, x y, y^2 of each pixel, x and y from -1 to 1."""
    y, x = np.meshgrid(np.linspace(-1, 1, height), np.linspace(-1, 1, width), indexing="ij")
    return np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
