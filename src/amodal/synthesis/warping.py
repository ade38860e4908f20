"""A cut-out turned, scaled and recoloured in one resampling, only as large as the object becomes."""

from dataclasses import dataclass
from functools import cache, cached_property
from math import ceil, cos, radians, sin

import numpy as np
from PIL import Image, ImageChops, ImageFilter

from amodal.synthesis.cutouts import CutOut

INSIDE = 128
"""The least alpha of 255 that belongs to the object's mask: above one half."""
FEW_PIXELS = 2**14
"""Up to so many are recoloured as bytes: before `Image.point` looks at a pixel it rounds 1024 numbers."""


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

    A strong reduction first takes block means, so that no pixels are skipped; one affine map then leads to the final
    pixels. Colours are averaged multiplied by alpha: no dark or foreign seams.
    """
    height, width = cut_out.size
    scale = pose.length / max(height, width)
    factor = max(int(1 / scale), 1)
    image = cut_out.premultiplied.reduce(factor) if factor > 1 else cut_out.premultiplied
    image = image.crop((-1, -1, image.width + 1, image.height + 1))  # a clear margin keeps the outermost edge soft
    cosine, sine = cos(radians(pose.angle)), sin(radians(pose.angle))
    # The rounding of a quarter turn's sine must not add a pixel: the object would lie between pixels, and blur.
    out_width = ceil(scale * (width * abs(cosine) + height * abs(sine)) - 1e-6) + 2
    out_height = ceil(scale * (width * abs(sine) + height * abs(cosine)) - 1e-6) + 2
    step = 1 / (scale * factor)  # from output pixels to pixels of the reduced image
    across = -step if pose.flipped else step
    a, b, d, e = cosine * across, -sine * across, sine * step, cosine * step
    c = width / factor / 2 + 1 - a * out_width / 2 - b * out_height / 2
    f = height / factor / 2 + 1 - d * out_width / 2 - e * out_height / 2
    image = _resample(image, (out_width, out_height), (a, b, c, d, e, f)).convert("RGBA")
    image = image.crop(image.getbbox())
    return Sprite(image if pose.gains == (1.0, 1.0, 1.0) else recolour(image, pose.gains), cut_out.category)


def _resample(image: Image.Image, size: tuple[int, int], matrix: tuple[float, ...]) -> Image.Image:
    """The image under an affine map (a, b, c, d, e, f) from output coordinates to its own.

    Where pixels become no larger, means of 2 x 2 nearest samples look the same as bilinear ones in half the time.
    """
    a, b, c, d, e, f = matrix
    if a * a + d * d < 1:
        return image.transform(size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR)
    finer = (a / 2, b / 2, c, d / 2, e / 2, f)
    double = (2 * size[0], 2 * size[1])
    return image.transform(double, Image.Transform.AFFINE, finer, Image.Resampling.NEAREST).reduce(2)


def recolour(image: Image.Image, gains: tuple[float, float, float]) -> Image.Image:
    """An RGBA image with its colour channels multiplied, clipped to 255."""
    levels = np.arange(256)
    tables = [np.minimum(levels * gain, 255).astype(np.uint8).tobytes() for gain in (*gains, 1.0)]
    if image.width * image.height > FEW_PIXELS:
        return image.point(b"".join(tables))
    pixels = bytearray(image.tobytes())
    for channel in range(3):
        pixels[channel::4] = pixels[channel::4].translate(tables[channel])
    return Image.frombuffer("RGBA", image.size, bytes(pixels), "raw", "RGBA", 0, 1)


def cast_shadow(canvas: Image.Image, sprite: Sprite, left: int, top: int, strength: float) -> None:
    """Darkens the canvas where a sprite at (left, top) casts its soft shadow, by up to the share `strength`.

    Blurred at a quarter of the resolution: it is smooth, so nothing is lost.
    """
    width, height = sprite.image.size
    margin = max(min(width, height) // 8, 2)
    alpha = sprite.image.getchannel("A").crop((-margin, -margin, width + margin, height + margin))
    blur = ImageFilter.BoxBlur(margin / 8)
    soft = alpha.reduce(4).filter(blur).filter(blur)
    light = Image.frombytes("L", soft.size, soft.tobytes().translate(_lights(strength)))
    light = light.resize(alpha.size, Image.Resampling.BILINEAR)
    left, top = left - margin + margin // 3, top - margin + margin // 3
    behind = canvas.crop((left, top, left + alpha.width, top + alpha.height))
    canvas.paste(ImageChops.multiply(behind, Image.merge("RGB", (light, light, light))), (left, top))


@cache
def _lights(strength: float) -> bytes:
    """Of 255, what is left where a shadow's alpha is 0, 1, ... 255."""
    return bytes(round(255 - strength * level) for level in range(256))
