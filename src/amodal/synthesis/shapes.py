"""Objects drawn from formulas: scenes for tests, the demo and first runs without a single file."""

from collections.abc import Callable

import numpy as np

from amodal.synthesis import drawn_nature, drawn_things
from amodal.synthesis.config import Split, part_of
from amodal.synthesis.cutouts import CutOut, Recent, choose, num_bytes_of, tight
from amodal.synthesis.painting import Part, paint

DRAWINGS: dict[str, Callable[[np.random.Generator], list[Part]]] = {
    "apple": drawn_nature.apple,
    "banana": drawn_nature.banana,
    "bottle": drawn_things.bottle,
    "carrot": drawn_nature.carrot,
    "cucumber": drawn_nature.cucumber,
    "fish": drawn_nature.fish,
    "fork": drawn_things.fork,
    "hammer": drawn_things.hammer,
    "key": drawn_things.key,
    "leaf": drawn_nature.leaf,
    "mug": drawn_things.mug,
    "mushroom": drawn_nature.mushroom,
    "pear": drawn_nature.pear,
    "scissors": drawn_things.scissors,
    "spoon": drawn_things.spoon,
    "star": drawn_things.star,
}
"""How an object of each category is drawn, by the category's name."""


def draw(category: str, variant: int, side: int = 256) -> CutOut:
    """Object `variant` of a category, its longer side `side` pixels: always the same for the same arguments."""
    rng = np.random.default_rng(np.random.SeedSequence((list(DRAWINGS).index(category), variant)))
    cut_out = tight(paint(DRAWINGS[category](rng), side, rng), category, str(variant))
    assert cut_out is not None, f"the drawing of a {category} is empty"
    return cut_out


class DrawnCutOuts:
    """`num_objects` different objects of every drawn category, drawn when first needed.

    The split is by object, as in a folder: the first `train_share` of each category train.
    """

    def __init__(
        self, split: Split = "all", train_share: float = 0.75, *, num_objects: int = 32, side: int = 256
    ) -> None:
        self.categories = tuple(DRAWINGS)
        self.objects = part_of(range(num_objects), split, train_share)
        self.side = side
        self._recent = Recent[CutOut](num_bytes_of)

    def sample(self, rng: np.random.Generator) -> CutOut:
        """A drawn object."""
        key = category, variant = choose(self.categories, rng), choose(self.objects, rng)
        return self._recent.get(key, lambda: draw(category, variant, self.side))
