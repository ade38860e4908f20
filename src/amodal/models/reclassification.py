"""The re-classification regularizer (paper, equation 2): the class again, from the visible region's features alone."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

TRUTH_WEIGHT = 0.1
"""Weight of the copy that sees the true visible mask."""


class Reclassifier(nn.Module):
    """Masked features (R, C, 14, 14), flattened -> two fully connected layers -> K class logits, no background."""

    def __init__(self, in_features: int, width: int, num_classes: int) -> None:
        super().__init__()
        self.first = nn.Linear(in_features, width)
        self.second = nn.Linear(width, width)
        self.classify = nn.Linear(width, num_classes)
        # The flattened features are thousands of numbers of like sign: detectron2's uniform Xavier keeps them in range.
        for layer in (self.first, self.second):
            nn.init.kaiming_uniform_(layer.weight, a=1)
            nn.init.zeros_(layer.bias)
        nn.init.normal_(self.classify.weight, std=0.01)
        nn.init.zeros_(self.classify.bias)

    def forward(self, features: Float[Tensor, "R C 14 14"]) -> Float[Tensor, "R K"]:
        """Class logits; index 0 is label 1."""
        hidden = F.relu(self.first(features.flatten(1)))
        return self.classify(F.relu(self.second(hidden)))


def reclassification_loss(
    predicted: Float[Tensor, "R K"],
    true: Float[Tensor, "R K"],
    labels: Int64[Tensor, " R"],
    weights: Float[Tensor, " R"],
) -> Float[Tensor, ""]:
    """Cross-entropy through the predicted visible masks, weighted by their IoU, and 0.1 x through the true ones.

    The mean counts both copies, 2 R rows, as the authors' code does; equation 2 alone leaves that open.

    Args:
        predicted: Logits from features through the predicted visible mask.
        true: Logits from features through the true visible mask.
        labels: From 1.
        weights: IoU of each predicted visible mask with the truth, in [0, 1].
    """
    if len(labels) == 0:
        return predicted.sum() * 0 + true.sum() * 0
    rows = F.cross_entropy(torch.cat([predicted, true]), (labels - 1).repeat(2), reduction="none")
    return (rows * torch.cat([weights, torch.full_like(weights, TRUTH_WEIGHT)])).mean()
