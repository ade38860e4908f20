"""Distinct colours for any number of objects, the same ones every time."""

import math
from functools import cache

import numpy as np

Colour = tuple[int, int, int]

_GOLDEN_ANGLE = 137.508  # degrees; successive hues never come close to the last few
_LIGHTNESS = (0.72, 0.64, 0.82)


@cache
def colour(index: int) -> Colour:
    """The sRGB colour of object `index`.

    Hues are a golden angle apart, at nearly even lightness and chroma as eyes see them (Oklab, Ottosson 2020).
    """
    hue = math.radians(25 + _GOLDEN_ANGLE * index)
    lightness = _LIGHTNESS[index % len(_LIGHTNESS)]
    a, b = 0.18 * math.cos(hue), 0.18 * math.sin(hue)
    cones = np.array(
        [[1, 0.3963377774, 0.2158037573], [1, -0.1055613458, -0.0638541728], [1, -0.0894841775, -1.291485548]]
    )
    linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.707614701],
        ]
    ) @ ((cones @ [lightness, a, b]) ** 3)
    linear = linear.clip(0, 1)
    encoded = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    red, green, blue = (encoded * 255).round().astype(int).tolist()
    return red, green, blue


def ink_on(background: Colour) -> Colour:
    """Black or white, whichever stands out more on the background (relative luminance of WCAG 2)."""
    linear = [(c / 255 / 12.92) if c <= 10 else ((c / 255 + 0.055) / 1.055) ** 2.4 for c in background]
    luminance = 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
    return (0, 0, 0) if luminance > 0.179 else (255, 255, 255)
