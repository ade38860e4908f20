"""Which part of a completion is believed: labels that are right already must not be made worse.

An object of which nothing is hidden is drawn whole already, and a model's slight disagreement about its outline is no
invisible part: what would grow by little stays as it is. So does what touches no other object, where the model does not
tell whether a thing is occluded: a detector's mask branch grows nearly all, a completer few that are whole. What each
is worth stands in `benchmarks/results/careful.json`.
"""

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from jaxtyping import Bool
from scipy import ndimage

from amodal.errors import UserError

Untouched = Literal["auto", "stay", "complete"]


@dataclass(frozen=True)
class Care:
    """When a model's completion of an annotated object is believed."""

    untouched: Untouched = "auto"
    """Whether an object that no other annotated one touches is completed, too: what hides it may not be annotated.
    "auto" is "complete" for a completer, "stay" for a detector."""
    least_change: float = 0.05
    """Invisible parts smaller than this share of the visible mask are dropped: the model's outline and the annotator's
    differ by as much where nothing is hidden."""
    reach: float = 0.005
    """Objects touch that are no further apart than this share of the image's longer side: outlines by hand leave
    gaps."""

    def __post_init__(self) -> None:
        """Raises UserError for shares outside [0, 1]."""
        for name in ("least_change", "reach"):
            if not 0 <= getattr(self, name) <= 1:
                raise UserError(f"{name} {getattr(self, name):g} cannot be", remedy="Give 0 to 1")

    def with_a(self, *, completer: bool) -> "Care":
        """The same for a completer, or for a detector that is asked to complete: "auto" is decided."""
        return self if self.untouched != "auto" else replace(self, untouched="complete" if completer else "stay")


def believed(
    whole: Bool[np.ndarray, "N H W"],
    visible: Bool[np.ndarray, "N H W"],
    others: Bool[np.ndarray, "H W"] | None,
    care: Care,
) -> Bool[np.ndarray, "N H W"]:
    """The completed masks without what is not believed; an object of which nothing more is left is its visible mask.

    Args:
        whole: A model's completed masks.
        visible: The annotated visible masks, within them.
        others: What else is annotated in the image, crowds for one; None for nothing.
        care: What is believed; "auto" leaves untouched objects as they are.
    """
    seen_by = visible.sum(axis=0, dtype=np.int32)
    if others is not None:
        seen_by += others
    reach = max(2, round(care.reach * max(whole.shape[1:])))
    result = visible.copy()
    for kept, shape, mask in zip(result, whole, visible, strict=True):
        rows, columns = (_span(shape.any(axis=axis), reach) for axis in (1, 0))
        own, invisible = mask[rows, columns], (shape & ~mask)[rows, columns]
        if care.untouched != "complete":
            near = _grown(seen_by[rows, columns] > own, reach)
            if not (near & own).any():
                continue
            parts, _ = ndimage.label(invisible)  # type: ignore[misc]
            touched = np.unique(parts[near & invisible])
            invisible = np.isin(parts, touched[touched > 0])
        if invisible.sum() >= max(1, care.least_change * own.sum()):
            kept[rows, columns] |= invisible
    return result


def _span(used: Bool[np.ndarray, " L"], margin: int) -> slice:
    """From the first to the last place that is used, and a margin."""
    places = np.flatnonzero(used)
    return slice(max(0, places[0] - margin), places[-1] + 1 + margin) if len(places) else slice(0, 0)


def _grown(mask: Bool[np.ndarray, "h w"], reach: int) -> Bool[np.ndarray, "h w"]:
    """The mask and all within `reach` pixels of it, along rows, columns and diagonals."""
    return mask if not mask.any() else ndimage.maximum_filter(mask, size=2 * reach + 1, mode="constant")
