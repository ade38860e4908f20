"""Pictures: visible parts tinted, invisible parts hatched, any size and number of objects, names that can be read."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from amodal.annotations import Category
from amodal.drawing.colours import colour, ink_on
from amodal.drawing.distances import nearest, smooth_distance
from amodal.drawing.labels import Label, draw_labels
from amodal.drawing.render import READABLE, Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.errors import UserError
from amodal.results.result import Result

GREY = 128


def bars(height: int = 100, width: int = 120) -> Result:
    """A standing bar in front of a lying one."""
    amodal = np.zeros((2, height, width), dtype=bool)
    amodal[0, height // 10 : -height // 10, width // 3 : width // 2] = True
    amodal[1, height // 3 : height // 2, width // 10 : -width // 10] = True
    visible = amodal.copy()
    visible[1] &= ~amodal[0]
    return result_of(amodal, visible)


def result_of(amodal: np.ndarray, visible: np.ndarray | None) -> Result:
    count = len(amodal)
    return Result(
        np.zeros((count, 4), np.float32),
        np.ones(count, np.int64),
        np.full(count, 0.5, np.float32),
        (Category(1, "bar"),),
        amodal,
        visible,
    )


def painted(result: Result, **style) -> np.ndarray:
    image = np.full((*result.size, 3), GREY, np.uint8)
    return np.asarray(result.draw(image, Style(**({"scale": 1, "labels": False} | style)))).astype(int)


def changed(picture: np.ndarray) -> np.ndarray:
    return (picture != GREY).any(axis=2)


def test_paint_stays_where_the_objects_are():
    result = bars()
    everything = result.masks.any(axis=0)
    for show, area in (
        ("both", everything),
        ("visible", everything),
        ("invisible", result.invisible_masks.any(axis=0)),
    ):
        touched = changed(painted(result, show=show))
        grown = np.pad(area, 3)
        near = np.lib.stride_tricks.sliding_window_view(grown, (7, 7)).any(axis=(2, 3))
        assert not (touched & ~near).any(), show
        assert (touched & area).sum() > 0.9 * area.sum(), show


def test_what_is_hidden_is_striped_and_what_is_seen_is_even():
    result = bars(300, 360)
    picture = painted(result)
    hidden, seen = picture[115:135, 125:175], picture[115:135, 230:290]
    assert seen.std(axis=(0, 1)).max() < 1
    assert hidden.std(axis=(0, 1)).max() > 20


def test_the_image_shows_through():
    result = bars()
    image = np.random.default_rng(0).integers(0, 255, (*result.size, 3), dtype=np.uint8)
    picture = np.asarray(result.draw(image, Style(scale=1, labels=False))).astype(float)
    inside = np.s_[60:80, 45:55]
    assert np.corrcoef(picture[inside].ravel(), image[inside].ravel().astype(float))[0, 1] > 0.8


def test_colours_follow_identities():
    result, image = bars(), np.full((100, 120, 3), GREY, np.uint8)
    style = Style(scale=1, labels=False)
    one, other = (np.asarray(result.draw(image, style, identities)) for identities in ([5, 9], [5, 8]))
    assert (one[70, 50] == other[70, 50]).all()
    assert (one[40, 90] != other[40, 90]).any()


@pytest.mark.parametrize("count", [0, 300])
def test_any_number_of_objects(count: int):
    generator = np.random.default_rng(1)
    amodal = np.zeros((count, 90, 120), dtype=bool)
    for layer in amodal:
        top, left = generator.integers(0, 80), generator.integers(0, 110)
        layer[top : top + 12, left : left + 12] = True
    picture = painted(result_of(amodal, amodal & (generator.random(amodal.shape) < 0.9)), labels=True)
    assert changed(picture).any() == bool(count)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (400, 3)])
def test_any_size(size: tuple[int, int]):
    full = np.ones((1, *size), dtype=bool)
    assert painted(result_of(full, full), labels=True).shape == (*size, 3)


def test_small_images_are_enlarged_large_ones_are_not():
    def size_of(height: int, width: int) -> tuple[int, int]:
        nothing = np.zeros((0, height, width), dtype=bool)
        return result_of(nothing, nothing).draw(np.zeros((height, width, 3), np.uint8), Style()).size

    assert size_of(160, 320) == (2 * READABLE, READABLE)
    assert size_of(READABLE + 1, 900) == (900, READABLE + 1)
    assert size_of(1, 2000) == (4096, 2)
    assert size_of(1, 5000) == (5000, 1)


def test_empty_masks_and_single_kinds_of_masks_are_drawn():
    two = bars()
    assert not changed(painted(result_of(np.zeros((1, 9, 9), bool), np.zeros((1, 9, 9), bool)), labels=True)).any()
    assert changed(painted(replace(two, visible_masks=None))).any()
    assert changed(painted(replace(two, amodal_masks=None))).any()


def test_image_and_masks_must_be_of_one_size():
    problem = r"^the image is 5 x 5, the objects were found in one of 100 x 120\. Draw over the image"
    with pytest.raises(UserError, match=problem):
        bars().draw(np.zeros((5, 5, 3), np.uint8), Style())


def test_twenty_colours_differ_and_letters_stand_out():
    colours = np.array([colour(i) for i in range(20)], dtype=int)
    gaps = np.abs(colours[:, None] - colours[None]).sum(axis=2) + 999 * np.eye(20, dtype=int)
    assert gaps.min() > 40
    assert ink_on((255, 255, 0)) == (0, 0, 0)
    assert ink_on((40, 0, 90)) == (255, 255, 255)


def test_labels_do_not_cover_each_other():
    picture = Image.new("RGB", (400, 300))
    labels = [
        Label("first", (255, 0, 0), (100, 100, 160, 140), 130),
        Label("second", (0, 255, 0), (100, 100, 160, 140), 130),
    ]
    draw_labels(picture, labels)
    both = np.asarray(picture)
    alone = []
    for label in labels:
        single = Image.new("RGB", (400, 300))
        draw_labels(single, [label])
        alone.append((np.asarray(single) == label.colour).all(axis=2).sum())
    assert [(both == label.colour).all(axis=2).sum() for label in labels] == alone
    draw_labels(picture, labels * 40)  # without room for all, the rest is left out


def test_contact_sheet_holds_every_picture_in_its_place():
    red, blue = np.full((50, 100, 3), (255, 0, 0), np.uint8), np.full((100, 50, 3), (0, 0, 255), np.uint8)
    sheet = np.asarray(
        contact_sheet([Tile(red, "a name " * 30), Tile(blue), Tile(blue)], headings=["image", "truth"], side=100)
    )
    assert (sheet[70, 62] == (255, 0, 0)).all()
    columns = np.flatnonzero((sheet == (0, 0, 255)).all(axis=2).any(axis=0))
    assert columns.min() < 112 < columns.max()  # one in each column
    with pytest.raises(ValueError, match="needs a picture"):
        contact_sheet([])


@pytest.mark.parametrize("shape", [(1, 7), (40, 3), (90, 130), (700, 120)])
@pytest.mark.parametrize("reach", [1, 9, 40])
def test_distances_are_scipys_as_far_as_they_reach(shape, reach):
    mask = ndimage.gaussian_filter(np.random.default_rng(0).standard_normal(shape), 3) > 0
    mask[0, 0], mask[-1, -1] = True, False
    inside, outside = (np.minimum(ndimage.distance_transform_edt(part), reach) for part in (mask, ~mask))
    np.testing.assert_allclose(nearest(mask, reach), outside, rtol=1e-6)
    signed = np.where(mask, inside - 0.5, 0.5 - outside)
    smooth = ndimage.gaussian_filter(signed, sigma=0.8)
    np.testing.assert_allclose(smooth_distance(mask, reach), smooth, atol=1e-5)
