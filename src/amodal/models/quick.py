"""A model made ready to answer: fewer and quicker operations, and the same numbers but for rounding.

* A norm whose numbers no longer change is a scale and a shift: both become part of the convolution before it, and so
  does the activation behind it.
* On a CPU oneDNN does convolutions and matrix products (`amodal.models.quick_layers`), and the heads on regions take
  fewer passes over memory (`amodal.models.quick_heads`).

What is made ready cannot be trained any more.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any, TypeGuard

from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead
from torchvision.ops import FrozenBatchNorm2d

from amodal.models import lite0
from amodal.models.mask_head import MaskHead
from amodal.models.quick_heads import QuickMaskHead, quick_box_head, quick_reclassifier
from amodal.models.quick_layers import QuickConvolution, QuickLinear
from amodal.models.reclassification import Reclassifier

LEAST_WEIGHTS = 2**16
"""Smaller matrix products take no time worth saving."""
LEAST_CHANNELS = 16
"""A convolution of fewer, in and out, fills no register: PyTorch's own way with it is the quicker one."""
HEADS: dict[type[nn.Module], Callable[[Any], nn.Module]] = {
    MaskHead: QuickMaskHead,
    TwoMLPHead: quick_box_head,
    Reclassifier: quick_reclassifier,
}
"""Heads on regions, and what takes their place on a CPU."""


def quicken(model: nn.Module) -> None:
    """Replaces heads, convolutions, norms and matrix products of a model in evaluation mode by quicker ones."""
    _quicken_heads(model)
    for parent in list(model.modules()):
        parts = list(parent.named_children())
        for (name, part), (next_name, following) in pairwise([*parts, ("", nn.Identity())]):
            if type(part) is nn.Linear and part.weight.numel() >= LEAST_WEIGHTS:
                parent.register_module(name, QuickLinear(part))
            elif _is_wide(part):
                parent.register_module(name, _with_norm(part, following))
                if _fits(part, following):
                    parent.register_module(next_name, nn.Identity())


CONVOLUTIONS = (nn.Conv2d, lite0.Convolution)
NORMS: dict[type[nn.Module], Callable[[Any], float]] = {
    lite0.FrozenNorm: lambda _: lite0.EPSILON,
    FrozenBatchNorm2d: lambda norm: norm.eps,
    nn.BatchNorm2d: lambda norm: norm.eps,
}
"""Norms that do not change in evaluation mode, and what each adds to the variance."""


def _quicken_heads(model: nn.Module) -> None:
    for parent in list(model.modules()):
        for name, part in list(parent.named_children()):
            if type(part) in HEADS and next(part.parameters()).device.type == "cpu":
                parent.register_module(name, HEADS[type(part)](part))


def _is_wide(part: nn.Module) -> TypeGuard[nn.Conv2d]:
    if not isinstance(part, nn.Conv2d) or type(part) not in CONVOLUTIONS:
        return False
    return max(part.in_channels, part.out_channels) >= LEAST_CHANNELS


def _with_norm(part: nn.Conv2d, following: nn.Module) -> QuickConvolution:
    """The convolution, with the norm and its activation where they are its own."""
    if not _fits(part, following):
        return QuickConvolution(part)
    is_active = isinstance(following, lite0.FrozenNorm) and following.activate
    return QuickConvolution(part, _scale_and_shift(following), "relu6" if is_active else "none")


def _fits(part: nn.Conv2d, following: nn.Module) -> bool:
    """Whether the norm is the convolution's own: in all networks here it stands right after it."""
    return type(following) in NORMS and following.weight.shape == (part.out_channels,)


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    scale = norm.weight * (norm.running_var + NORMS[type(norm)](norm)).rsqrt()
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()
