"""Category names: the one rule by which those of a model and of a data set are matched."""

from collections.abc import Sequence
from pathlib import Path

from amodal.annotations import Category
from amodal.errors import UserError

SHOWN = 3
"""Names in a message; the rest are counted."""


def key(name: str) -> str:
    """What two names have in common that mean one category: upper and lower case are the same.

    >>> key("Cup ") == key("cup")
    True
    """
    return name.strip().casefold()


def labels_by_name(categories: Sequence[Category]) -> dict[str, int]:
    """Label of each category, from 1 in the order given, by the `key` of its name."""
    return {key(category.name): label for label, category in enumerate(categories, start=1)}


def in_order_of(known: Sequence[Category], given: Sequence[Category], *, file: str | Path | None) -> list[Category]:
    """A data set's categories in the order of a model's labels, matched by their names.

    Args:
        known: The model's categories.
        given: The data set's.
        file: What the model came from, for the message.

    Raises:
        UserError: One of them has a category that the other lacks; the message says which.
    """
    if problem := differences(known, given, "the model knows", "the data have"):
        raise UserError(problem, file=file, remedy="Use data with the categories that the model was trained for")
    by_name = {key(category.name): category for category in given}
    return [by_name[key(category.name)] for category in known]


def differences(first: Sequence[Category], second: Sequence[Category], holds: str, other_holds: str) -> str:
    """What one list of categories has and the other lacks, by their names, in one line; empty where nothing.

    Args:
        first: Categories in any order.
        second: The same.
        holds: How the line speaks of the first, e.g. "the model knows".
        other_holds: The same for the second.
    """
    names, other_names = ({key(c.name): c.name for c in categories} for categories in (first, second))
    lacking = [name for same, name in other_names.items() if same not in names]
    other_lacking = [name for same, name in names.items() if same not in other_names]
    sides = ((holds, lacking), (other_holds, other_lacking))
    return " and ".join(f"{what} no {listed(which)}" for what, which in sides if which)


def order_problem(first: Sequence[Category], second: Sequence[Category], holds: str, other_holds: str) -> str:
    """As `differences`; also says so where the same categories come in another order, which labels depend on."""
    if problem := differences(first, second, holds, other_holds):
        return problem
    same = [key(category.name) for category in first] == [key(category.name) for category in second]
    return "" if same else f"{holds} the same categories in another order"


def listed(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are.

    >>> listed(["a", "b", "c", "d"])
    "'a', 'b', 'c' and 1 more"
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more
