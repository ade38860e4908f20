"""Polygons along pixel edges: rasterised again by COCO's codec, they give the very same mask."""

import numpy as np
import pytest
from annotation_files import CUP, JUG, pixels
from hypothesis import example, given
from hypothesis.extra.numpy import array_shapes, arrays

from amodal import rle
from amodal.formats import outlines

MASKS = array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=14).flatmap(lambda shape: arrays(bool, shape))
RING = pixels("#####", "#...#", "#.#.#", "#...#", "#####")
TOUCHING = pixels("#.#", ".#.", "#.#")
TWO_RINGS = pixels("###.###", "#.#.#.#", "###.###")


def encode(mask: np.ndarray) -> rle.Rle:
    return rle.encode(mask[None])[0]


@given(MASKS)
@example(RING)
@example(TOUCHING)
@example(TWO_RINGS)
@example(np.zeros((3, 4), dtype=bool))
@example(np.ones((3, 4), dtype=bool))
def test_the_union_of_the_polygons_is_the_mask(mask: np.ndarray):
    assert rle.from_polygons(outlines.polygons(encode(mask)), mask.shape) == (encode(mask), 0)


@given(MASKS)
@example(RING)
@example(TOUCHING)
@example(TWO_RINGS)
def test_one_outline_is_the_whole_mask(mask: np.ndarray):
    outline = outlines.outline(encode(mask))
    assert rle.from_polygons([outline] if outline else [], mask.shape) == (encode(mask), 0)


def test_a_rectangle_has_four_corners():
    assert outlines.polygons(encode(CUP)) == [[1, 1, 5, 1, 5, 4, 1, 4]]


@pytest.mark.parametrize(("mask", "count"), [(CUP | JUG, 1), (TWO_RINGS, 2), (RING, 2), (pixels(), 0)])
def test_there_is_a_polygon_for_each_part(mask: np.ndarray, count: int):
    assert len(outlines.polygons(encode(mask))) == count


def test_an_empty_mask_has_no_outline():
    assert outlines.outline(encode(pixels())) == []


def test_a_large_mask_with_holes():
    y, x = np.mgrid[:300, :400]
    distance = (y - 150) ** 2 + (x - 200) ** 2
    mask = ((distance < 140**2) & (distance > 60**2)) | (distance < 30**2)
    assert rle.from_polygons(outlines.polygons(encode(mask)), mask.shape)[0] == encode(mask)
