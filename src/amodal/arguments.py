"""What may be given for a parameter, where its type alone does not say: numbers within bounds, one of a few words."""

from collections.abc import Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

from amodal.errors import UserError, unknown


@dataclass(frozen=True)
class Within:
    """Marks a number that must lie in [least, most]; with `above`, `least` itself is too little."""

    least: float
    most: float = float("inf")
    above: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raises UserError for a number outside, or none at all (NaN, a text)."""
        is_number = isinstance(value, Real)
        if is_number and self.least <= float(value) <= self.most and not (self.above and value == self.least):
            return
        bound = f"{self.least:g} or more" if self.most == float("inf") else f"{self.least:g} to {self.most:g}"
        bound = f"more than {self.least:g}" if self.above else bound
        raise UserError(f"{name} {f'{value:g}' if is_number else repr(value)} cannot be", remedy=f"Give {bound}")


SHARE, COUNT, FROM_ZERO = Within(0, 1), Within(1), Within(0)


def require_word(name: str, value: Any, words: Sequence[Any]) -> None:
    """Raises UserError for a value that is none of the words that a parameter takes."""
    if value not in words:
        raise unknown(f"{name} cannot be {value!r}", str(value), [str(word) for word in words])
