"""Small far pieces of a mask do not decide where its object is looked for."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal.inference.fragments import main_boxes, main_part
from tests.photographs import square

SIZE = (60, 200)
BODY = square(SIZE, 10, 10, 30)


def test_a_small_far_piece_is_left_out_and_a_near_one_kept():
    crumb, near = square(SIZE, 190, 50, 4), square(SIZE, 50, 30, 4)
    np.testing.assert_array_equal(main_part(BODY | crumb), BODY)
    np.testing.assert_array_equal(main_part(BODY | near | crumb), BODY | near)
    np.testing.assert_array_equal(main_boxes(np.stack([BODY | crumb])), [[10, 10, 40, 40]])


def test_both_halves_of_an_object_behind_a_pole_are_kept():
    half = square(SIZE, 120, 20, 12)
    np.testing.assert_array_equal(main_part(BODY | half), BODY | half)


def test_pieces_that_lead_from_one_to_the_next_are_kept():
    chain = BODY | square(SIZE, 52, 20, 3) | square(SIZE, 72, 20, 3)
    np.testing.assert_array_equal(main_part(chain), chain)


@pytest.mark.parametrize("mask", [np.zeros(SIZE, dtype=bool), np.ones(SIZE, dtype=bool), BODY])
def test_a_mask_of_one_piece_or_none_stays(mask: np.ndarray):
    np.testing.assert_array_equal(main_part(mask), mask)


@given(st.lists(st.tuples(st.integers(0, 190), st.integers(0, 50), st.integers(1, 12)), max_size=6))
def test_what_is_kept_is_of_the_mask_holds_its_largest_piece_and_stays_the_same(squares: list[tuple[int, int, int]]):
    mask = np.zeros(SIZE, dtype=bool)
    for left, top, side in squares:
        mask |= square(SIZE, left, top, side)
    part = main_part(mask)
    assert not (part & ~mask).any()
    assert part.any() == mask.any()
    np.testing.assert_array_equal(main_part(part), part)
    assert part.sum() >= mask.sum() / 2 or len(squares) > 2
