"""What makes VRSP's inference fast: each mask only where it is asked for. No number comes from here.

Final scores are bounded by what is known of them (`amodal.models.rescoring`), so most candidates are dropped after two
of the four passes through the heads, or before any. Which mask guides which stands in `VRSP.figure`.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from amodal.models.branch import RegionMasks
from amodal.models.mask_head import MaskHead

Indices = Int64[Tensor, " M"]
Rows = Callable[[Indices], Tensor]
"""A tensor's rows at the given indices."""


class Refined(Protocol):
    """What is asked of a method: which masks it makes of what, and how they correct the score. `VRSP` explains each."""

    factor_names: tuple[str, ...]

    def figure(
        self, features: Rows, mask: Callable[[str, Indices], Tensor], shapes: Callable[[Indices], Tensor | None]
    ) -> dict[str, tuple[MaskHead, Rows]]:
        """Which head makes each mask, and from what."""
        ...

    def known_shapes(
        self, coarse: Float[Tensor, "R 28 28"], labels: Int64[Tensor, " R"]
    ) -> Float[Tensor, "R k 14 14"] | None:
        """The shapes nearest to coarse amodal masks."""
        ...

    def reclassification_factor(self, features: Tensor, visible: Tensor, labels: Tensor) -> Float[Tensor, " R"]:
        """The score's factor from the class of the visible region."""
        ...

    def prior_factor(self, amodal: Float[Tensor, "R 28 28"], labels: Int64[Tensor, " R"]) -> Float[Tensor, " R"]:
        """The score's factor from the nearest known shape."""
        ...


class CachedRows:
    """Rows of a tensor, each computed when it is first asked for."""

    def __init__(self, compute: Rows, number: int) -> None:
        self.compute, self.number = compute, number
        self.values: Tensor | None = None
        self.is_known: Tensor | None = None
        self.last: tuple[Indices, Tensor] | None = None

    def __call__(self, which: Indices) -> Tensor:
        """The rows at these indices. The same are asked for several times in a row, and are then not gathered anew."""
        if self.last is None or self.last[0] is not which:
            self.last = which, self._rows(which)
        return self.last[1]

    def _rows(self, which: Indices) -> Tensor:
        if self.values is None or self.is_known is None:
            found = self.compute(which)
            self.is_known = torch.zeros(self.number, dtype=torch.bool, device=which.device)
            self.values = found.new_empty((self.number, *found.shape[1:]))
            self.values[which], self.is_known[which] = found, True
            return found
        new = which[~self.is_known[which]]
        if len(new):
            self.values[new] = self.compute(new)
            self.is_known[new] = True
        return self.values[which]


class EagerRows:
    """All rows of a tensor, computed once: a graph without conditions, as an export needs it."""

    def __init__(self, compute: Rows, _number: int) -> None:
        self.compute = compute
        self.values: Tensor | None = None

    def __call__(self, which: Indices) -> Tensor:
        """All rows; they must be asked for in their order."""
        if self.values is None:
            self.values = self.compute(which)
        return self.values


class Refinement:
    """The masks of some regions, and the factors of their scores, as functions of indices.

    `masks` has the four masks of `VRSP.figure` by name, own-class logits (M, 28, 28).

    Args:
        branch: The method.
        pooled: Region features (M, C, 14, 14) at indices.
        labels: From 1.
        keep: How results are kept.
    """

    def __init__(
        self, branch: Refined, pooled: Rows, labels: Int64[Tensor, " R"], keep: type[CachedRows] | type[EagerRows]
    ) -> None:
        self.branch, self.labels = branch, labels
        # Kept with the channels last, as convolutions on a CPU are fastest.
        self._pooled = keep(lambda which: pooled(which).permute(0, 2, 3, 1), len(labels))
        figure = branch.figure(self.features, lambda name, which: self.masks[name](which), self._shapes)
        self.masks = {
            name: keep(self._own_class(head, attended), len(labels)) for name, (head, attended) in figure.items()
        }

    def features(self, which: Indices) -> Float[Tensor, "M C 14 14"]:
        """Region features."""
        return self._pooled(which).permute(0, 3, 1, 2)

    def factors(self) -> list[Rows]:
        """The corrections of the class score that are switched on: functions from indices to factors (M,)."""
        known = {"reclassification": self._reclassification_factor, "prior": self._prior_factor}
        return [known[name] for name in self.branch.factor_names]

    def probabilities(self, which: Indices, *, coarse: bool) -> RegionMasks:
        """The refined masks, and the coarse ones if they are wanted."""

        def found(name: str) -> Tensor:
            return self.masks[name](which)

        refined = RegionMasks(found("refined_amodal").sigmoid(), found("refined_visible").sigmoid())
        if not coarse:
            return refined
        first, first_visible = found("coarse_amodal").sigmoid(), found("coarse_visible").sigmoid()
        return replace(refined, coarse_amodal=first, coarse_visible=first_visible)

    def _shapes(self, which: Indices) -> Tensor | None:
        return self.branch.known_shapes(self.masks["coarse_amodal"](which), self.labels[which])

    def _own_class(self, head: MaskHead, attended: Rows) -> Rows:
        return lambda which: head.own_class(attended(which), self.labels[which])

    def _reclassification_factor(self, which: Indices) -> Float[Tensor, " M"]:
        visible = self.masks["refined_visible"](which)
        return self.branch.reclassification_factor(self.features(which), visible, self.labels[which])

    def _prior_factor(self, which: Indices) -> Float[Tensor, " M"]:
        return self.branch.prior_factor(self.masks["refined_amodal"](which), self.labels[which])
