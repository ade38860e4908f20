"""A model made ready to answer: fewer and quicker operations, and the same numbers but for rounding.

* A norm whose numbers no longer change is a scale and a shift: both become part of the convolution before it.
* PyTorch leaves convolutions of 1 x 1 and matrix products to slower code where it has one thread; on a CPU oneDNN does
  them here, which takes a tenth to a half of the time.

What is made ready cannot be trained any more.
"""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

from amodal.models import lite0

LEAST_WEIGHTS = 2**16
"""Smaller matrix products take no time worth saving."""


def quicken(model: nn.Module) -> None:
    """Replaces convolutions, norms and matrix products of a model in evaluation mode by quicker ones, in place."""
    for parent in list(model.modules()):
        parts = list(parent.named_children())
        for (name, part), (next_name, following) in pairwise([*parts, ("", nn.Identity())]):
            if isinstance(part, nn.Conv2d) and type(part) in CONVOLUTIONS:
                norm = _scale_and_shift(following) if _fits(part, following) else None
                parent.register_module(name, QuickConvolution(part, norm))
                if norm is not None:
                    is_active = isinstance(following, lite0.FrozenNorm) and following.activate
                    parent.register_module(next_name, nn.ReLU6(inplace=True) if is_active else nn.Identity())
            elif type(part) is nn.Linear and part.weight.numel() >= LEAST_WEIGHTS:
                parent.register_module(name, QuickLinear(part))


class QuickConvolution(nn.Module):
    """A convolution with the norm that follows it.

    Args:
        given: The convolution.
        norm: Scale and shift of each of its channels (D,), (D,).
    """

    def __init__(self, given: nn.Conv2d, norm: tuple[Tensor, Tensor] | None = None) -> None:
        super().__init__()
        weight, bias = given.weight.detach(), None if given.bias is None else given.bias.detach()
        if norm is not None:
            scale, shift = norm
            weight, bias = weight * scale[:, None, None, None], shift if bias is None else bias * scale + shift
        if weight.device.type == "cpu":
            weight = weight.contiguous(memory_format=torch.channels_last)
        self.weight, self.bias = _kept(weight), None if bias is None else _kept(bias)
        self.in_channels, self.out_channels = given.in_channels, given.out_channels
        self.around = given.around if isinstance(given, lite0.Convolution) else None
        assert not isinstance(given.padding, str)  # no network here pads by a word
        self.settings = given.padding, given.stride, given.dilation, given.groups

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """As the convolution and the norm."""
        padding, stride, dilation, groups = self.settings
        if self.around is not None:
            maps = F.pad(maps, self.around)
        if _is_for_onednn(maps):
            return torch.mkldnn_convolution(maps, self.weight, self.bias, padding, stride, dilation, groups)
        return F.conv2d(maps, self.weight, self.bias, stride, padding, dilation, groups)


class QuickLinear(nn.Module):
    """A matrix product, as the convolution that it is: of a picture of R x 1 pixels."""

    def __init__(self, given: nn.Linear) -> None:
        super().__init__()
        self.weight, self.bias = _kept(given.weight), None if given.bias is None else _kept(given.bias)
        self.in_features, self.out_features = given.in_features, given.out_features

    def forward(self, rows: Float[Tensor, "R C"]) -> Float[Tensor, "R D"]:
        """As the linear layer."""
        if rows.dim() != 2 or not len(rows) or not _is_for_onednn(rows):
            return F.linear(rows, self.weight, self.bias)
        maps, weight = rows.T[None, :, :, None], self.weight[:, :, None, None]
        found = torch.mkldnn_convolution(maps, weight, self.bias, (0, 0), (1, 1), (1, 1), 1)
        return found[0, :, :, 0].T.contiguous()


CONVOLUTIONS = (nn.Conv2d, lite0.Convolution)
NORMS: dict[type[nn.Module], Callable[[Any], float]] = {
    lite0.FrozenNorm: lambda _: lite0.EPSILON,
    FrozenBatchNorm2d: lambda norm: norm.eps,
    nn.BatchNorm2d: lambda norm: norm.eps,
}
"""Norms that do not change in evaluation mode, and what each adds to the variance."""


def _fits(part: nn.Conv2d, following: nn.Module) -> bool:
    """Whether the norm is the convolution's own: in all networks here it stands right after it."""
    return type(following) in NORMS and following.weight.shape == (part.out_channels,)


def _scale_and_shift(norm: Any) -> tuple[Tensor, Tensor]:
    scale = norm.weight * (norm.running_var + NORMS[type(norm)](norm)).rsqrt()
    return scale.detach(), (norm.bias - norm.running_mean * scale).detach()


def _kept(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach(), requires_grad=False)


def _is_for_onednn(values: Tensor) -> bool:
    """Whether oneDNN can take it; a gradient or a graph is left to PyTorch's own operators."""
    is_plain = values.device.type == "cpu" and values.dtype == torch.float32 and not values.requires_grad
    is_traced = torch.jit.is_tracing()  # type: ignore[reportPrivateImportUsage]
    onednn = torch.backends.mkldnn
    return is_plain and onednn.is_available() and bool(onednn.enabled) and not is_traced
