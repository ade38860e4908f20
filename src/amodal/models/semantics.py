"""Where the paper and its authors' code differ, as two objects. All else of the method is the same in both."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor


@dataclass(frozen=True)
class Semantics:
    """One reading of the method.

    Attributes:
        look_up: Own-class logits of masks to what the shape prior is asked for, and to what re-classification sees the
            features through.
        reclassification_factor: The visible region's probability of the class to a factor of the score.
        prior_factor: Distances to the nearest known shape, shares of cells in [0, 1], and the tolerance alpha to a
            factor of the score.
        fuse: Class scores and their factors to final scores.
        matching_target: What feature matching pulls the coarse pass towards, as `VRSPConfig.matching_target` names it.
    """

    look_up: Callable[[Float[Tensor, "R S S"]], Float[Tensor, "R S S"]]
    reclassification_factor: Callable[[Float[Tensor, " R"]], Float[Tensor, " R"]]
    prior_factor: Callable[[Float[Tensor, " R"], float], Float[Tensor, " R"]]
    fuse: Callable[[Float[Tensor, " R"], Sequence[Float[Tensor, " R"]]], Float[Tensor, " R"]]
    matching_target: Literal["refined", "guided"]


def product(scores: Float[Tensor, " R"], factors: Sequence[Float[Tensor, " R"]]) -> Float[Tensor, " R"]:
    """The paper's final score."""
    for factor in factors:
        scores = scores * factor
    return scores


def geometric_mean(scores: Float[Tensor, " R"], factors: Sequence[Float[Tensor, " R"]]) -> Float[Tensor, " R"]:
    """The authors' final score: the root of as many factors as there are, the class score among them."""
    return product(scores, factors) ** (1 / (1 + len(factors)))


def logarithmic(distances: Float[Tensor, " R"], alpha: float) -> Float[Tensor, " R"]:
    """The authors' factor of a mask at these distances from the nearest known shape: log(alpha - d) / log(alpha)."""
    log_alpha = torch.log(torch.as_tensor(alpha, dtype=distances.dtype, device=distances.device))
    return torch.relu(torch.log(alpha - distances) / log_alpha)


PAPER = Semantics(
    look_up=torch.sigmoid,
    reclassification_factor=lambda own: own,
    prior_factor=lambda distances, _: 1 - distances,
    fuse=product,
    matching_target="refined",
)
"""The paper's text: masks as probabilities, factors as they are, their product."""

REFERENCE = Semantics(
    look_up=lambda logits: logits,
    reclassification_factor=lambda own: 0.4 * own + 0.6,
    prior_factor=logarithmic,
    fuse=geometric_mean,
    matching_target="guided",
)
"""The authors' code."""

SEMANTICS = {"paper": PAPER, "reference": REFERENCE}
