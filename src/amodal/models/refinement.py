"""VRSP at inference: each mask only where it is asked for, in the order in which one guides the other.

Final scores are bounded by what is known of them (`amodal.models.rescoring`), so most candidates are dropped after two
of the four passes through the heads, or before any.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from amodal.models.losses import attend
from amodal.models.mask_head import MaskHead
from amodal.models.regions import RegionMasks

if TYPE_CHECKING:
    from amodal.models.vrsp import VRSP

Indices = Int64[Tensor, " M"]
Rows = Callable[[Indices], Tensor]
"""A tensor's rows at the given indices."""


class Remembered:
    """Rows of a tensor, each computed when it is first asked for."""

    def __init__(self, compute: Rows, number: int) -> None:
        self.compute, self.number = compute, number
        self.values: Tensor | None = None
        self.is_known: Tensor | None = None

    def __call__(self, which: Indices) -> Tensor:
        """The rows at these indices."""
        if self.values is None or self.is_known is None:
            self.is_known = torch.zeros(self.number, dtype=torch.bool, device=which.device)
            nothing = self.compute(which[:0])
            self.values = nothing.new_empty((self.number, *nothing.shape[1:]))
        new = which[~self.is_known[which]]
        if len(new):
            self.values[new] = self.compute(new)
            self.is_known[new] = True
        return self.values[which]


class Whole:
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
    """The paper's figure 2 for some regions, as masks that know what they follow from.

    `masks` has the four of them by name: functions from indices of regions to own-class logits (M, 28, 28).

    Args:
        branch: The heads, the prior and the switches.
        pooled: Region features (M, C, 14, 14) at indices.
        labels: From 1.
        keep: How results are kept.
    """

    def __init__(
        self, branch: "VRSP", pooled: Rows, labels: Int64[Tensor, " R"], keep: type[Remembered] | type[Whole]
    ) -> None:
        self.branch, self.labels = branch, labels
        # Kept with the channels last, as convolutions on a CPU are fastest.
        self._pooled = keep(lambda which: pooled(which).permute(0, 2, 3, 1), len(labels))
        computed: dict[str, Rows] = {
            "coarse_amodal": partial(self._coarse, branch.amodal_head),
            "coarse_visible": partial(self._coarse, branch.visible_head),
            "refined_visible": self._refined_visible,
            "refined_amodal": self._refined_amodal,
        }
        self.masks = {name: keep(compute, len(labels)) for name, compute in computed.items()}

    def features(self, which: Indices) -> Float[Tensor, "M C 14 14"]:
        """Region features."""
        return self._pooled(which).permute(0, 3, 1, 2)

    def factors(self) -> list[Rows]:
        """The corrections of the class score that are switched on: functions from indices to factors (M,)."""
        found: list[Rows] = []
        if self.branch.has_second_opinion:
            found.append(self._second_opinion)
        if self.branch.config.prior_rescoring:
            found.append(self._likeness)
        return found

    def probabilities(self, which: Indices, *, coarse: bool) -> RegionMasks:
        """The refined masks, and the coarse ones if they are wanted."""

        def found(name: str) -> Tensor:
            return self.masks[name](which).sigmoid()

        refined = RegionMasks(found("refined_amodal"), found("refined_visible"))
        if not coarse:
            return refined
        return replace(refined, coarse_amodal=found("coarse_amodal"), coarse_visible=found("coarse_visible"))

    def _coarse(self, head: MaskHead, which: Indices) -> Tensor:
        return head.own_class(self.features(which), self.labels[which])

    def _refined_visible(self, which: Indices) -> Tensor:
        guide = self.masks[self.branch.guides[0]](which)
        return self.branch.visible_head.own_class(self.features(which) * attend(guide), self.labels[which])

    def _refined_amodal(self, which: Indices) -> Tensor:
        branch, labels = self.branch, self.labels[which]
        shapes = branch.known_shapes(self.masks["coarse_amodal"](which), labels) if branch.fuse is not None else None
        attention = attend(self.masks[branch.guides[1]](which))
        return branch.amodal_head.own_class(branch.fused(self.features(which), attention, shapes), labels)

    def _second_opinion(self, which: Indices) -> Float[Tensor, " M"]:
        seen = self.masks["refined_visible"](which)
        return self.branch.second_opinion(self.features(which), seen, self.labels[which])

    def _likeness(self, which: Indices) -> Float[Tensor, " M"]:
        return self.branch.likeness(self.masks["refined_amodal"](which), self.labels[which])
