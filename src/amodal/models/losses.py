"""Losses of the mask branches: pure functions of region tensors."""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torch.nn import functional as F


def own_class(logits: Float[Tensor, "R K S S"], labels: Int64[Tensor, " R"]) -> Float[Tensor, "R S S"]:
    """Each region's mask: the channel of its class. Labels count from 1, channels from 0."""
    return logits[torch.arange(labels.shape[0], device=logits.device), labels - 1]


def attend(logits: Float[Tensor, "R 28 28"]) -> Float[Tensor, "R 1 14 14"]:
    """Attention from own-class masks: logits averaged over 2 x 2, then the sigmoid. The gradient flows."""
    return F.avg_pool2d(logits[:, None], 2).sigmoid()


def mask_loss(
    logits: Float[Tensor, "R S S"],
    truth: Bool[Tensor, "R S S"],
    weights: Float[Tensor, " R"] | Float[Tensor, "R S S"] | None = None,
) -> Float[Tensor, ""]:
    """Binary cross-entropy, the mean over all cells of all regions; 0 (with a gradient) for no region.

    Args:
        logits: Masks before the sigmoid.
        truth: The masks to learn.
        weights: A weight of each region or cell; the mean still counts every cell, so weights scale the loss.
    """
    if logits.numel() == 0:
        return logits.sum() * 0
    if weights is not None and weights.dim() == 1:
        weights = weights[:, None, None]
    cells = F.binary_cross_entropy_with_logits(logits, truth.to(logits.dtype), reduction="none")
    return (cells if weights is None else cells * weights).mean()


def matching_loss(first: Float[Tensor, "R ..."], second: Float[Tensor, "R ..."]) -> Float[Tensor, ""]:
    """Feature matching (paper, equation 3): 1 - cosine of the flattened features, the mean over regions."""
    if first.numel() == 0:
        return first.sum() * 0 + second.sum() * 0
    if first.dim() == 4 and first.is_contiguous(memory_format=torch.channels_last):
        first, second = first.permute(0, 2, 3, 1), second.permute(0, 2, 3, 1)  # to flatten without a copy
    first, second = first.flatten(1), second.flatten(1)
    # The quotient of three sums: F.cosine_similarity divides every feature first, a fifth of a training step on a CPU.
    products = torch.linalg.vecdot(first, second)
    lengths = torch.linalg.vector_norm(first, dim=1) * torch.linalg.vector_norm(second, dim=1)
    return (1 - products / lengths.clamp(min=1e-8)).mean()
