"""Parts of a drawn object painted as rounded, textured, lit bodies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw
from scipy import ndimage

from amodal.synthesis.outlines import Outline

Colour = tuple[float, float, float]
"""Red, green and blue in [0, 1]."""

Pattern = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
"""Share of the second colour, (h, w) in [0, 1], from x, y (in the outlines' units) and smooth noise in [0, 1]."""

_LIGHT = np.array([-0.45, -0.6, 0.66])
_HALFWAY = np.array([-0.25, -0.33, 0.91])  # between the light and the eye: where a gloss shows
_OVERSAMPLING = 4


def mottled(x: np.ndarray, y: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Cloudy patches."""
    return np.clip(2.4 * noise - 0.7, 0, 1) + 0 * (x + y)


@dataclass(frozen=True)
class Part:
    """One body of an object.

    Attributes:
        outline: Its silhouette.
        colour: Main colour.
        second: The colour that `pattern` mixes in.
        pattern: Where and how much.
        holes: Outlines cut out of the silhouette.
        roundness: How far from the edge the surface keeps curving, as a share of the body's half width: 1 a ball or
            a tube, near 0 a sheet.
        gloss: Strength of the highlight. Polished bodies are also less uneven in colour.
        turned: Rounded only to the left and right, as a body turned on a vertical axis; `roundness` plays no part.
    """

    outline: Outline
    colour: Colour
    second: Colour = (0.0, 0.0, 0.0)
    pattern: Pattern | None = None
    holes: Sequence[Outline] = ()
    roundness: float = 1.0
    gloss: float = 0.3
    turned: bool = False


def paint(parts: Sequence[Part], side: int, rng: np.random.Generator) -> np.ndarray:
    """The parts, first at the back, as uint8 (h, w, 4) whose longer side is `side` pixels, antialiased."""
    corners = np.concatenate([part.outline for part in parts])
    origin, extent = corners.min(axis=0), np.ptp(corners, axis=0)
    scale = (side - 2) / extent.max()
    width, height = (int(np.ceil(length * scale)) + 2 for length in extent)
    colours, alpha = np.zeros((height, width, 3), np.float32), np.zeros((height, width), np.float32)
    for part in parts:
        _paint_part(part, (colours, alpha), lambda outline: (outline - origin) * scale + 1, rng)
    straight = colours / np.maximum(alpha, 1e-3)[..., None]
    rgba = np.dstack([np.clip(straight, 0, 1), alpha])
    return np.round(rgba * 255).astype(np.uint8)


def _paint_part(
    part: Part,
    canvas: tuple[np.ndarray, np.ndarray],
    to_pixels: Callable[[Outline], Outline],
    rng: np.random.Generator,
) -> None:
    """Lays a part over the canvas (premultiplied colours (h, w, 3), alpha (h, w)), in the box it needs."""
    colours, alpha = canvas
    outline = to_pixels(part.outline)
    left, top = np.maximum(np.floor(outline.min(axis=0)).astype(int) - 4, 0)
    right, bottom = np.ceil(outline.max(axis=0)).astype(int) + 5
    box = (slice(top, bottom), slice(left, right))
    shape = alpha[box].shape
    cover = _coverage([outline - (left, top), *(to_pixels(hole) - (left, top) for hole in part.holes)], shape)
    unit = to_pixels(np.array([[0.0, 0.0], [1.0, 1.0]]))
    rows, columns = np.mgrid[top : top + shape[0], left : left + shape[1]]
    x, y = (
        (columns + 0.5 - unit[0, 0]) / (unit[1, 0] - unit[0, 0]),
        (rows + 0.5 - unit[0, 1]) / (unit[1, 1] - unit[0, 1]),
    )
    surface = _surface(part, x, y, rng)
    lit = _lit(surface, cover, part)
    # A part darkens what lies just behind its edge, which sets it apart.
    near = ndimage.uniform_filter(cover, size=max(min(alpha.shape) // 24, 3))
    colours[box] *= (1 - 0.45 * near)[..., None]
    colours[box] = lit * cover[..., None] + colours[box] * (1 - cover)[..., None]
    alpha[box] = cover + alpha[box] * (1 - cover)


def _coverage(outlines: Sequence[Outline], shape: tuple[int, int]) -> np.ndarray:
    """Share of each pixel of (h, w) inside the first outline and outside the others, float32."""
    image = Image.new("L", (shape[1] * _OVERSAMPLING, shape[0] * _OVERSAMPLING))
    draw = ImageDraw.Draw(image)
    for i, outline in enumerate(outlines):
        draw.polygon([tuple(corner) for corner in outline * _OVERSAMPLING - 0.5], fill=0 if i else 255)
    return np.asarray(image.reduce(_OVERSAMPLING), dtype=np.float32) / 255


def _surface(part: Part, x: np.ndarray, y: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Colours (h, w, 3) before light: both colours mixed by the pattern, with a little unevenness."""
    shape = (x.shape[0], x.shape[1])
    share = part.pattern(x, y, smooth_noise(shape, 8, rng)) if part.pattern else np.zeros(shape)
    share = share[..., None].astype(np.float32)
    uneven = 0.16 * (1 - min(part.gloss * 1.2, 1)) * (smooth_noise(shape, 24, rng) - 0.5)
    grain = 1 + uneven + 0.05 * (rng.random(shape, dtype=np.float32) - 0.5)
    first, second = np.asarray(part.colour, np.float32), np.asarray(part.second, np.float32)
    mixed = first * (1 - share) + second * share
    return mixed * grain[..., None]


def smooth_noise(shape: tuple[int, int], cells: int, rng: np.random.Generator) -> np.ndarray:
    """Random values in about [0, 1], float32 (h, w), that vary over about 1/`cells` of the longer side."""
    rows, columns = (max(round(length * cells / max(shape)), 2) for length in shape)
    coarse = Image.fromarray(rng.random((rows, columns), dtype=np.float32))
    return np.asarray(coarse.resize((shape[1], shape[0]), Image.Resampling.BICUBIC))


def _lit(surface: np.ndarray, cover: np.ndarray, part: Part) -> np.ndarray:
    """The surface under a light from the upper left: diffuse by Lambert, a highlight by Blinn and Phong."""
    slope_y, slope_x = np.gradient(_turned_height(cover) if part.turned else _height(cover, part.roundness))
    normal = np.stack([-slope_x, -slope_y, np.ones_like(slope_x)], axis=-1)
    normal /= np.linalg.norm(normal, axis=-1, keepdims=True)
    diffuse = 0.42 + 0.75 * np.clip(normal @ _LIGHT, 0, 1)
    highlight = part.gloss * np.clip(normal @ (_HALFWAY / np.linalg.norm(_HALFWAY)), 0, 1) ** 40
    return np.clip(surface * diffuse[..., None] + highlight[..., None], 0, 1).astype(np.float32)


def _height(cover: np.ndarray, roundness: float) -> np.ndarray:
    """Height (h, w) of a rounded body in pixels: a quarter circle of the distance from its edge.

    Smoothed, which takes away the crease along the middle.
    """
    distance = np.asarray(ndimage.distance_transform_edt(np.pad(cover > 0.5, 1)), dtype=np.float32)[1:-1, 1:-1]
    reach = max(roundness * float(distance.max()), 1.5)
    height = reach * np.sqrt(1 - (1 - np.minimum(distance / reach, 1)) ** 2)
    return ndimage.gaussian_filter(height, sigma=max(0.12 * reach, 0.7))


def _turned_height(cover: np.ndarray) -> np.ndarray:
    """Height (h, w) in pixels of a body turned on a vertical axis: a half circle over each row, a little flattened."""
    radius = cover.sum(axis=1, keepdims=True) / 2
    centre = (cover * np.arange(cover.shape[1])).sum(axis=1, keepdims=True) / np.maximum(2 * radius, 1)
    height = np.sqrt(np.maximum(radius**2 - (np.arange(cover.shape[1]) - centre) ** 2, 0))
    return ndimage.gaussian_filter(0.9 * height, sigma=max(0.05 * float(radius.max()), 0.7))
