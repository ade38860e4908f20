"""Categories are matched by name everywhere, whatever their case, and a mismatch says which."""

import pytest

from amodal.annotations import Category
from amodal.categories import in_order_of, labels_by_name, order_problem
from amodal.errors import UserError

MODEL = [Category(4, "cup"), Category(5, "Pear")]


def test_names_match_in_any_case_and_order():
    data = [Category(1, "pear"), Category(2, "CUP")]
    assert in_order_of(MODEL, data, file=None) == [data[1], data[0]]
    assert labels_by_name(MODEL) == {"cup": 1, "pear": 2}


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        ([Category(1, "cup")], "the data have no 'Pear'"),
        ([Category(1, "cup"), Category(2, "pear"), Category(3, "fork")], "the model knows no 'fork'"),
        ([Category(i, f"thing {i}") for i in range(5)], r"knows no 'thing 0', 'thing 1', 'thing 2' and 2 more and"),
    ],
)
def test_a_mismatch_says_which(data, problem):
    with pytest.raises(UserError, match=problem):
        in_order_of(MODEL, data, file="m.safetensors")


def test_an_order_that_labels_depend_on():
    assert order_problem(MODEL, [Category(1, "CUP"), Category(2, "pear")], "it knows", "the data have") == ""
    turned = order_problem(MODEL, MODEL[::-1], "it knows", "the data have")
    assert turned == "it knows the same categories in another order"
    assert order_problem(MODEL, MODEL[:1], "it knows", "the data have") == "the data have no 'Pear'"
