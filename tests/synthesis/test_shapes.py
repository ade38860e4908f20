"""Drawn objects and backgrounds: never empty, different from each other, the same for the same arguments."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from scipy import ndimage

from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.cutouts import CutOut
from amodal.synthesis.outlines import curve, ellipse, moved, ribbon, smooth, turned
from amodal.synthesis.painting import Part, paint
from amodal.synthesis.shapes import DRAWINGS, DrawnCutOuts, draw

SIDE = 48


def in_square(cut_out: CutOut) -> np.ndarray:
    """The mask in the middle of a square of SIDE pixels."""
    square = Image.new("L", (SIDE, SIDE))
    height, width = cut_out.alpha.shape
    square.paste(Image.fromarray(cut_out.alpha), ((SIDE - width) // 2, (SIDE - height) // 2))
    return np.asarray(square) >= 128


def test_there_are_many_categories_and_each_has_its_own_silhouette():
    assert len(DRAWINGS) >= 12
    means = [np.mean([in_square(draw(name, i, SIDE)) for i in range(6)], axis=0) >= 0.5 for name in DRAWINGS]
    for i, first in enumerate(means):
        for second in means[:i]:
            assert (first & second).sum() / (first | second).sum() < 0.8


@pytest.mark.parametrize("category", DRAWINGS)
def test_drawn_objects_are_whole_soft_edged_and_varied(category: str):
    objects = [draw(category, variant, SIDE) for variant in range(5)]
    for drawn in objects:
        mask = drawn.alpha >= 128
        assert 0.05 * SIDE**2 < mask.sum() < 0.95 * SIDE**2
        assert SIDE - 3 <= max(drawn.alpha.shape) <= SIDE
        assert ndimage.label(mask, np.ones((3, 3)))[1] == 1  # one piece
        assert ((drawn.alpha > 0) & (drawn.alpha < 255)).any()  # antialiased
        assert drawn.pixels[mask].std() > 12  # shaded, not one colour
        assert drawn.category == category
    assert_array_equal(objects[3].pixels, draw(category, 3, SIDE).pixels)
    masks = [in_square(drawn) for drawn in objects]
    assert len({mask.tobytes() for mask in masks}) == 5


def test_a_mug_can_be_seen_through_its_handle():
    for variant in range(8):
        background, count = ndimage.label(~np.pad(draw("mug", variant, 128).alpha >= 128, 1))
        sizes = ndimage.sum_labels(np.ones_like(background), background, range(1, count + 1))
        assert sorted(sizes)[-2] > 100


def test_drawn_objects_are_split():
    train, val = (DrawnCutOuts(split, num_objects=8, side=SIDE) for split in ("train", "val"))
    assert train.categories == val.categories == tuple(DRAWINGS)
    rng = np.random.default_rng(0)
    names = [{source.sample(rng).name for _ in range(60)} for source in (train, val)]
    assert names == [{"0", "1", "2", "3", "4", "5"}, {"6", "7"}]


def test_a_part_is_painted_where_its_outline_says():
    box = np.array([(0.0, 0.0), (2.0, 0.0), (2.0, 1.0), (0.0, 1.0)])
    hole = np.array([(0.5, 0.25), (1.0, 0.25), (1.0, 0.75), (0.5, 0.75)])
    rgba = paint([Part(box, (0.2, 0.4, 0.9), holes=[hole], roundness=0.1, gloss=0.0)], 42, np.random.default_rng(0))
    mask = rgba[..., 3] >= 128
    assert mask.shape == (22, 42)
    assert mask.sum() == pytest.approx(40 * 20 - 10 * 10, abs=12)
    assert not mask[8:14, 13:19].any()
    red, green, blue = rgba[mask][:, :3].mean(axis=0)
    assert blue > 1.8 * green > 2.7 * red


def test_the_last_part_lies_in_front():
    back, front = ellipse(0, 0, 1), ellipse(0, 0, 0.5)
    rgba = paint([Part(back, (1, 0, 0), gloss=0), Part(front, (0, 0, 1), gloss=0)], 40, np.random.default_rng(0))
    assert rgba[20, 20, 2] > 100 > rgba[20, 20, 0]
    assert rgba[20, 5, 0] > 60 > rgba[20, 5, 2]


def test_outlines_of_known_measure():
    def area(outline: np.ndarray) -> float:
        x, y = outline.T
        return abs(float(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1)))) / 2

    line = curve([(0, 0), (1, 0), (2, 0)])
    assert_array_equal(line[[0, -1]], [[0, 0], [2, 0]])
    assert area(ribbon(line, 0.5, round_ends=False)) == pytest.approx(2)
    assert area(ribbon(line, 0.5)) == pytest.approx(2 + np.pi / 4, rel=0.02)
    assert area(ellipse(3, 4, 2, 1)) == pytest.approx(2 * np.pi, rel=0.01)
    assert area(turned([(0, 1), (1, 1), (2, 1)])) == pytest.approx(4)
    corners = [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)]
    assert_array_equal(smooth(corners)[::12], corners)
    assert moved(np.array([[1.0, 0.0]]), 5, 5, np.pi / 2, 2).tolist()[0] == pytest.approx([5, 7])


@pytest.mark.parametrize("where", ["drawn", "plain"])
def test_backgrounds_without_files(where: str):
    backgrounds = open_backgrounds(where)
    pictures = [backgrounds.sample((40, 56), np.random.default_rng(seed)) for seed in range(12)]
    for picture in pictures:
        assert picture.shape == (40, 56, 3)
        assert picture.dtype == np.uint8
        assert 15 < picture.mean() < 245
    assert len({picture.tobytes() for picture in pictures}) == 12
    assert_array_equal(pictures[0], backgrounds.sample((40, 56), np.random.default_rng(0)))
