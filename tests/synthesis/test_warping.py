"""Sprites: however an object's colours are multiplied, they are the same."""

import numpy as np
import pytest
from PIL import Image

from amodal.synthesis.warping import FEW_PIXELS, recolour

GAINS = (0.7, 1.0, 1.3)


@pytest.mark.parametrize("size", [(1, 1), (7, 5), (FEW_PIXELS // 64, 64), (FEW_PIXELS // 64, 65)])
def test_few_pixels_and_many_are_recoloured_alike(size: tuple[int, int]):
    pixels = np.random.default_rng(3).integers(0, 256, (*size, 4), dtype=np.uint8)
    found = recolour(Image.fromarray(pixels), GAINS)
    wanted = np.minimum(pixels * np.array([*GAINS, 1.0]), 255).astype(np.uint8)
    assert found.mode == "RGBA"
    np.testing.assert_array_equal(np.asarray(found), wanted)


def test_the_image_itself_keeps_its_colours():
    image = Image.fromarray(np.full((3, 4, 4), 100, np.uint8))
    recolour(image, GAINS)
    assert image.tobytes() == bytes([100]) * 48
