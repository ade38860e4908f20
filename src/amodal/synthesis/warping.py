"""A cut-out turned, scaled and recoloured in one resampling, only as large as the object becomes."""

from dataclasses import dataclass
from functools import cached_property
from math import ceil, cos, radians, sin

import numpy as np
from PIL import Image, ImageFilter

from amodal.synthesis.cutouts import CutOut

INSIDE = 128
"""The least alpha of 255 that belongs to the object's mask: above one half."""


@dataclass(frozen=True)
class Pose:
    """How a cut-out appears in a scene, apart from its place.

    Attributes:
        length: Longer side of the cut-out in pixels, before rotation.
        angle: Rotation in degrees, counter-clockwise.
        flipped: Mirrored left to right, before rotation.
        gains: Factors of red, green and blue.
    """

    length: float
    angle: float = 0.0
    flipped: bool = False
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class Sprite:
    """A cut-out in its pose.

    Attributes:
        image: RGBA pixels, cropped to what can be seen.
        category: The cut-out's category.
    """

    image: Image.Image
    category: str

    @cached_property
    def mask(self) -> np.ndarray:
        """The pixels of the object, bool (h, w): alpha above one half."""
        return np.asarray(self.image.getchannel("A")) >= INSIDE

    @cached_property
    def area(self) -> int:
        """Pixels of the mask."""
        return int(np.count_nonzero(self.mask))


def warp(cut_out: CutOut, pose: Pose) -> Sprite:
    """The cut-out in a pose.

    One affine map leads from the cut-out's pixels to the final ones. A strong reduction first takes block means, so
    that the bilinear filter never skips pixels. Colours are averaged multiplied by alpha: no dark or foreign seams.
    """
    height, width = cut_out.alpha.shape
    scale = pose.length / max(height, width)
    factor = max(int(1 / scale), 1)
    image = cut_out.premultiplied.reduce(factor) if factor > 1 else cut_out.premultiplied
    image = image.crop((-1, -1, image.width + 1, image.height + 1))  # a clear margin keeps the outermost edge soft
    cosine, sine = cos(radians(pose.angle)), sin(radians(pose.angle))
    # The rounding of a quarter turn's sine must not add a pixel: the object would lie between pixels, and blur.
    out_width = ceil(scale * (width * abs(cosine) + height * abs(sine)) - 1e-6) + 2
    out_height = ceil(scale * (width * abs(sine) + height * abs(cosine)) - 1e-6) + 2
    step = 1 / (scale * factor)  # output pixels to pixels of the reduced image
    a, b, d, e = cosine * step, -sine * step, sine * step, cosine * step
    if pose.flipped:
        a, b = -a, -b
    centre_x, centre_y = width / factor / 2 + 1, height / factor / 2 + 1
    c = centre_x - a * out_width / 2 - b * out_height / 2
    f = centre_y - d * out_width / 2 - e * out_height / 2
    image = image.transform(
        (out_width, out_height), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR
    )
    image = image.convert("RGBA")
    image = image.crop(image.getbbox())
    return Sprite(image if pose.gains == (1.0, 1.0, 1.0) else recolour(image, pose.gains), cut_out.category)


def recolour(image: Image.Image, gains: tuple[float, float, float]) -> Image.Image:
    """An RGBA image with its colour channels multiplied, clipped to 255."""
    levels = np.arange(256)
    tables = [np.minimum(levels * gain, 255).astype(np.uint8).tobytes() for gain in (*gains, 1.0)]
    return image.point(b"".join(tables))


def shadow_of(sprite: Sprite, strength: float) -> tuple[Image.Image, int, int]:
    """The soft shadow that a sprite casts: darkness (h, w) from 0 to 255, and its offset from the sprite in pixels.

    Blurred at a quarter of the resolution: it is smooth, so nothing is lost.
    """
    width, height = sprite.image.size
    margin = max(min(width, height) // 8, 2)
    shape = (width + 2 * margin, height + 2 * margin)
    small = (max(shape[0] // 4, 1), max(shape[1] // 4, 1))
    alpha = sprite.image.getchannel("A").point([round(level * strength) for level in range(256)])
    alpha = alpha.crop((-margin, -margin, width + margin, height + margin)).resize(small, Image.Resampling.BOX)
    blurred = alpha.filter(ImageFilter.BoxBlur(margin / 8)).filter(ImageFilter.BoxBlur(margin / 8))
    drop = margin // 3
    return blurred.resize(shape, Image.Resampling.BILINEAR), drop - margin, drop - margin
