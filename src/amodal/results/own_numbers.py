"""What the numbers in results of this package stand for: `images.json` beside them names images and categories.

`amodal predict` counts the pictures that it was given, and numbers categories as its model does. A data set of the same
pictures may have other numbers for both.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from amodal.annotations import Category, ImageRecord
from amodal.categories import key
from amodal.errors import UserError
from amodal.files import is_file, read_json
from amodal.formats.predicted import ABOUT, IMAGES, RESULTS
from amodal.results.image_ids import Find, by_path


@dataclass(frozen=True)
class OwnNumbers:
    """The names of images and categories by their numbers in one results file."""

    images: dict[int, str]
    categories: dict[int, str]

    def images_in(self, records: Sequence[ImageRecord]) -> Find | None:
        """From a number to the image's id in a data set; None where that has none of the images by their names."""
        find = by_path(records)
        known = {number: find(name) for number, name in self.images.items()}
        times = Counter(known.values())
        if times.keys() <= {None}:
            return None
        alone = {number: identity for number, identity in known.items() if times[identity] == 1}
        return lambda stated: alone.get(stated) if type(stated) is int else None

    def categories_in(self, given: Sequence[Category], numbers: np.ndarray, file: Path) -> np.ndarray:
        """A data set's ids of the categories with these numbers, int64; as they are where it has none of the names.

        Raises:
            UserError: It has some of the names, and one that is found here not.
        """
        names, by_name = {c.id: key(c.name) for c in given}, {key(c.name): c.id for c in given}
        known = {
            number: number if names.get(number) == key(name) else by_name.get(key(name))
            for number, name in self.categories.items()
        }
        if all(identity is None for identity in known.values()):
            return numbers
        for number in np.unique(numbers).tolist():
            if known.get(number) is None:
                named = f"category {number} ('{self.categories.get(number, 'without a name')}')"
                remedy = "Score it on data with the categories that its model knows"
                raise UserError(f"{named} is not in the data set", file=file, remedy=remedy)
        return np.array([known[number] for number in numbers.tolist()], dtype=np.int64)


def beside(results: Path) -> OwnNumbers | None:
    """The names, if these are results that `amodal predict` or `amodal join` wrote, where it wrote them."""
    place = results.with_name(IMAGES)
    if results == place or not is_file(place):
        return None
    try:
        content = read_json(place)
    except UserError:
        if results.name == RESULTS:
            raise
        return None  # somebody else's file that happens to have this name
    if not isinstance(content, dict) or content.get(ABOUT, RESULTS) != results.name:
        return None
    images, categories = (
        _names(content, which, name) for which, name in (("images", "file_name"), ("categories", "name"))
    )
    return OwnNumbers(images, categories) if images and categories else None


def _names(content: dict[str, Any], which: str, name: str) -> dict[int, str]:
    listed = content.get(which)
    stated = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {one["id"]: one[name] for one in stated if type(one.get("id")) is int and isinstance(one.get(name), str)}
