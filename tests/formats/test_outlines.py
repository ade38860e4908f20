"""Polygons along pixel edges: rasterised again by COCO's codec, they give the very same mask."""

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from amodal import rle
from amodal.formats import outlines, pixel_edges
from tests.annotation_files import CUP, JUG, pixels

MASKS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14).flatmap(lambda shape: arrays(bool, shape))
RING = pixels("#####", "#...#", "#.#.#", "#...#", "#####")
TOUCHING = pixels("#.#", ".#.", "#.#")
TWO_RINGS = pixels("###.###", "#.#.#.#", "###.###")


def polygons(mask: np.ndarray) -> list[list[int]]:
    return next(outlines.polygons([encode(mask)]))


def encode(mask: np.ndarray) -> rle.Rle:
    return rle.encode(mask[None])[0]


@given(MASKS)
@example(RING)
@example(TOUCHING)
@example(TWO_RINGS)
@example(np.zeros((3, 4), dtype=bool))
@example(np.ones((3, 4), dtype=bool))
def test_the_union_of_the_polygons_is_the_mask(mask: np.ndarray):
    assert rle.from_polygons(polygons(mask), mask.shape) == (encode(mask), 0)


@given(MASKS)
@example(RING)
@example(TOUCHING)
@example(TWO_RINGS)
def test_one_outline_is_the_whole_mask(mask: np.ndarray):
    outline = next(outlines.outlines([encode(mask)]))
    assert rle.from_polygons([outline] if outline else [], mask.shape) == (encode(mask), 0)


@given(st.lists(MASKS, max_size=5), st.sampled_from([1, 30, 1 << 16]))
def test_many_masks_have_the_polygons_of_each(masks: list[np.ndarray], rows: int):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pixel_edges, "ROWS_AT_ONCE", rows)
        assert list(outlines.polygons(map(encode, masks))) == [polygons(mask) for mask in masks]
        assert len(list(outlines.outlines(map(encode, masks)))) == len(masks)


def test_a_hole_is_visited_from_the_nearest_corner():
    ring = [0, 0, 1, 1, 4, 1, 4, 4, 1, 4, 1, 1, 0, 0, 5, 0, 5, 5, 0, 5]
    pixel = [2, 2, 3, 2, 3, 3, 2, 3]
    assert polygons(RING) == [ring, pixel]
    assert next(outlines.outlines([encode(RING)])) == [0, 0, *ring[2:14], *pixel, 2, 2, 0, 0, *ring[14:]]


def test_runs_without_pixels_make_no_corner():
    runs = rle.from_runs([0, 2, 0, 1, 3, 0, 0, 3, 0, 0, 3], (3, 4))
    assert list(outlines.polygons([runs])) == [[[0, 0, 1, 0, 1, 3, 0, 3], [2, 0, 3, 0, 3, 3, 2, 3]]]


def test_a_rectangle_has_four_corners():
    assert polygons(CUP) == [[1, 1, 5, 1, 5, 4, 1, 4]]


@pytest.mark.parametrize(("mask", "count"), [(CUP | JUG, 1), (TWO_RINGS, 2), (RING, 2), (pixels(), 0)])
def test_there_is_a_polygon_for_each_part(mask: np.ndarray, count: int):
    assert len(polygons(mask)) == count


def test_an_empty_mask_has_no_outline():
    assert next(outlines.outlines([encode(pixels())])) == []


def test_a_large_mask_with_holes():
    y, x = np.mgrid[:300, :400]
    distance = (y - 150) ** 2 + (x - 200) ** 2
    mask = ((distance < 140**2) & (distance > 60**2)) | (distance < 30**2)
    assert rle.from_polygons(polygons(mask), mask.shape)[0] == encode(mask)
