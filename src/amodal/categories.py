"""Category names: the one rule by which those of a model and of a data set are matched. No torch here."""

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
    by_name = {key(category.name): category for category in given}
    unknown = [name for name in by_name if name not in labels_by_name(known)]
    lacking = [category.name for category in known if key(category.name) not in by_name]
    if unknown or lacking:
        sides = (("the model knows no", [by_name[name].name for name in unknown]), ("the data have no", lacking))
        problem = " and ".join(f"{what} {listed(names)}" for what, names in sides if names)
        raise UserError(problem, file=file, remedy="Use data with the categories that the model was trained for")
    return [by_name[key(category.name)] for category in known]


def listed(names: Sequence[str]) -> str:
    """A few of the names, and how many more there are.

    >>> listed(["a", "b", "c", "d"])
    "'a', 'b', 'c' and 1 more"
    """
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(f"'{name}'" for name in names[:SHOWN]) + more
