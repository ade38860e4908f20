"""The library calls that a scene is made of, and nothing else: what no program that uses Pillow goes far below.

Nothing is chosen, checked or cropped; files are read, and colours multiplied by alpha, beforehand. What is left, in as
few calls and as cheap ones as Pillow has: the background's resampling; of each object its reduction, its turning, its
colours, its shadow, the paste, and its masks.
"""

from dataclasses import dataclass
from math import cos, radians, sin

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from amodal.synthesis.config import SceneConfig

COLOURS = [level * 9 // 10 for level in range(256)] * 3 + list(range(256))
LIGHTS = bytes(255 - level // 2 for level in range(256))


@dataclass(frozen=True)
class Decoded:
    """Pictures ready for use: cut-outs (RGBa) and a background (RGB)."""

    cutouts: list[Image.Image]
    background: Image.Image

    def compose(self, config: SceneConfig, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Image, amodal and visible masks of every cut-out at a random place: the calls of a scene of as many."""
        height, width = config.size
        fit = 0.75 * min(self.background.width / width, self.background.height / height)
        canvas = self.background.resize((width, height), Image.Resampling.BILINEAR, (0, 0, fit * width, fit * height))
        amodal, visible = np.zeros((2, len(self.cutouts), height, width), dtype=bool)
        covered = np.zeros((height, width), dtype=bool)
        for i, cut_out in enumerate(self.cutouts):
            length, angle = (
                rng.uniform(*config.scale) * min(config.size),
                rng.uniform(-config.rotation, config.rotation),
            )
            turned = turn(cut_out, length, angle).convert("RGBA").point(COLOURS)
            left, top = int(rng.integers(width - turned.width // 2)), int(rng.integers(height - turned.height // 2))
            alpha = turned.getchannel("A")
            shade(canvas, alpha, left, top)
            canvas.paste(turned, (left, top), turned)
            box = slice(top, top + turned.height), slice(left, left + turned.width)
            mask = (np.asarray(alpha) >= 128)[: height - top, : width - left]
            amodal[i][box] = mask
            visible[i][box] = mask & ~covered[box]
            covered[box] |= mask
        return np.asarray(canvas), amodal, visible


def turn(cut_out: Image.Image, length: float, angle: float) -> Image.Image:
    """A cut-out scaled and turned, in as many pixels as it then has between upright edges."""
    scale = length / max(cut_out.size)
    factor = max(int(1 / scale), 1)
    reduced = cut_out.reduce(factor) if factor > 1 else cut_out
    cosine, sine = cos(radians(angle)), sin(radians(angle))
    width = int(scale * (cut_out.width * abs(cosine) + cut_out.height * abs(sine))) + 1
    height = int(scale * (cut_out.width * abs(sine) + cut_out.height * abs(cosine))) + 1
    step = 1 / (scale * factor)
    a, b, d, e = cosine * step, -sine * step, sine * step, cosine * step
    c, f = (reduced.width - (a * width + b * height)) / 2, (reduced.height - (d * width + e * height)) / 2
    affine = Image.Transform.AFFINE
    if step < 1:
        return reduced.transform((width, height), affine, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
    matrix = (a / 2, b / 2, c, d / 2, e / 2, f)
    return reduced.transform((2 * width, 2 * height), affine, matrix, Image.Resampling.NEAREST).reduce(2)


def shade(canvas: Image.Image, alpha: Image.Image, left: int, top: int) -> None:
    """Darkens the canvas by a soft shadow, found at a quarter of the resolution."""
    blur = ImageFilter.BoxBlur(min(alpha.size) / 64)
    soft = alpha.reduce(4).filter(blur).filter(blur)
    light = Image.frombytes("L", soft.size, soft.tobytes().translate(LIGHTS)).resize(alpha.size)
    behind = canvas.crop((left, top, left + alpha.width, top + alpha.height))
    canvas.paste(ImageChops.multiply(behind, Image.merge("RGB", (light, light, light))), (left, top))
