"""What the completer learns from."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from amodal.completion.network import Completion

LEAST_HIDDEN = 0.02
"""Invisible over visible area from which an object counts as occluded: less is noise of its outline."""


def losses(found: Completion, visible: Float[Tensor, "B S S"], amodal: Bool[Tensor, "B S S"]) -> dict[str, Tensor]:
    """The losses by name, each a scalar to be summed.

    The visible part is known, so that the mask is judged beyond it: cross-entropy over the crop, and the soft IoU of
    the invisible part where there is one.

    Args:
        found: The network's answer.
        visible: Visible masks in [0, 1].
        amodal: Amodal masks.
    """
    unknown = visible < 0.5
    invisible = (amodal & unknown).float()
    area = invisible.sum((1, 2))
    share = area / visible.sum((1, 2)).clamp(min=1)
    is_occluded = share > LEAST_HIDDEN
    is_clear = (share == 0) | is_occluded  # a few cells beyond the outline are neither
    cells = F.binary_cross_entropy_with_logits(found.logits, amodal.float(), reduction="none") * unknown
    predicted = found.logits.sigmoid() * unknown
    common = (predicted * invisible).sum((1, 2))
    soft_iou = (common + 1) / ((predicted + invisible).sum((1, 2)) - common + 1)
    with torch.no_grad():
        hard = (found.logits > 0) & unknown
        both = (hard & (invisible > 0)).sum((1, 2))
        iou = both / (hard.sum((1, 2)) + area - both).clamp(min=1)
    coarse = F.adaptive_avg_pool2d(amodal.float()[:, None], found.coarse_logits.shape[-1])[:, 0]
    weight = is_occluded.float()
    return {
        "loss_mask": 4 * cells.mean(),
        "loss_invisible": ((1 - soft_iou) * weight).sum() / weight.sum().clamp(min=1),
        "loss_coarse": 0.5 * F.binary_cross_entropy_with_logits(found.coarse_logits, coarse),
        "loss_occluded": F.binary_cross_entropy_with_logits(found.occluded_logits, weight, is_clear.float()),
        "loss_quality": 0.5 * (((found.quality - iou) ** 2) * weight).sum() / weight.sum().clamp(min=1),
    }
