"""Which part of a completion is believed."""

import numpy as np
import pytest

from amodal.errors import UserError
from amodal.inference.careful import Care, believed


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    mask = np.zeros((60, 100), bool)
    mask[top:bottom, left:right] = True
    return mask


SEEN, WHOLE = box(10, 10, 30, 30), box(10, 10, 30, 50)
NEIGHBOUR = box(5, 31, 35, 48)
"""It stands where the rest of the object would be, with a pixel between them."""


def one(others: np.ndarray | None, whole: np.ndarray = WHOLE, **care) -> np.ndarray:
    return believed(whole[None], SEEN[None], others, Care(**care))[0]


def test_what_a_neighbour_may_hide_is_believed():
    assert (one(NEIGHBOUR) == WHOLE).all()
    both = believed(np.stack([WHOLE, NEIGHBOUR]), np.stack([SEEN, NEIGHBOUR]), None, Care())
    assert (both == np.stack([WHOLE, NEIGHBOUR])).all()


@pytest.mark.parametrize("others", [None, box(50, 80, 60, 100), box(5, 34, 35, 48)], ids=["none", "far", "not quite"])
def test_what_nothing_touches_stays(others):
    assert (one(others) == SEEN).all()
    assert (one(others, untouched="complete") == WHOLE).all()


def test_whether_untouched_objects_are_completed_is_decided_by_who_completes():
    assert Care().with_a(completer=True).untouched == "complete"
    assert Care().with_a(completer=False).untouched == "stay"
    for choice in ("stay", "complete"):
        assert {Care(choice).with_a(completer=one).untouched for one in (True, False)} == {choice}


def test_a_hidden_part_away_from_the_neighbour_is_dropped():
    left = box(10, 0, 30, 30)
    assert (one(NEIGHBOUR, WHOLE | left) == WHOLE).all()
    assert (one(NEIGHBOUR, left) == SEEN).all()


def test_small_changes_are_dropped():
    slight = box(10, 10, 30, 31)  # one column of twenty: 5 %
    assert (one(NEIGHBOUR, slight) == slight).all()
    assert (one(NEIGHBOUR, slight, least_change=0.06) == SEEN).all()
    assert (one(NEIGHBOUR, SEEN, least_change=0) == SEEN).all()


def test_the_reach_grows_with_the_image():
    assert (one(box(5, 34, 35, 48), reach=0.05) == WHOLE).all()


def test_nothing_and_wrong_settings():
    empty = np.zeros((0, 6, 8), bool)
    assert believed(empty, empty, None, Care()).shape == (0, 6, 8)
    blank = np.zeros((1, 6, 8), bool)
    assert not believed(blank, blank, None, Care()).any()
    for wrong in ({"least_change": -0.1}, {"reach": 2}, {"least_change": float("nan")}):
        with pytest.raises(UserError, match="cannot be"):
            Care(**wrong)
