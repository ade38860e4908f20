"""Losses of the mask branches: pure functions of region tensors."""

from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F


def attend(logits: Float[Tensor, "R 28 28"]) -> Float[Tensor, "R 1 14 14"]:
    """Attention from own-class masks: logits averaged over 2 x 2, then the sigmoid. The gradient flows."""
    return F.avg_pool2d(logits[:, None], 2).sigmoid()


def mask_loss(
    logits: Float[Tensor, "R S S"],
    truth: Bool[Tensor, "R S S"],
    weights: Float[Tensor, " R"] | Float[Tensor, "R S S"] | Bool[Tensor, " R"] | None = None,
) -> Float[Tensor, ""]:
    """Binary cross-entropy, the mean over all cells of all regions; 0 (with a gradient) for no region.

    Args:
        logits: Masks before the sigmoid.
        truth: The masks to learn.
        weights: A weight of each region or cell, or whether it counts; the mean is over all cells even so.
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
    return (1 - _Cosines.apply(first.flatten(1), second.flatten(1))).mean()  # type: ignore[operator]


def _dots(first: Float[Tensor, "R F"], second: Float[Tensor, "R F"]) -> Float[Tensor, " R"]:
    """The product of each pair of rows, without a product of every two numbers in memory."""
    if first.device.type != "cpu" or not len(first):
        return torch.linalg.vecdot(first, second)
    return torch.stack([torch.dot(*pair) for pair in zip(first, second, strict=True)])


class _Cosines(torch.autograd.Function):
    """The cosine of each pair of rows, (R, F) and (R, F) to (R,).

    Features are large and the cosine is little work: written out, the gradient reads and writes them half as often as
    what autograd makes of the formula, a twentieth of a training step on a CPU.
    """

    @staticmethod
    def forward(ctx: Any, first: Tensor, second: Tensor) -> Tensor:
        ends = torch.linalg.vector_norm(first, dim=1), torch.linalg.vector_norm(second, dim=1)
        lengths = (ends[0] * ends[1]).clamp(min=1e-8)
        cosines = _dots(first, second) / lengths
        ctx.save_for_backward(first, second, cosines, lengths, *ends)
        return cosines

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:  # type: ignore[override]
        first, second, cosines, lengths, *ends = ctx.saved_tensors
        across = (gradient / lengths)[:, None]

        def towards(other: Tensor, own: Tensor, length: Tensor) -> Tensor:
            along = gradient * cosines / length.square().clamp(min=1e-16)
            return (other * across).addcmul_(own, along[:, None], value=-1)

        wanted = ctx.needs_input_grad
        return (
            towards(second, first, ends[0]) if wanted[0] else None,
            towards(first, second, ends[1]) if wanted[1] else None,
        )
