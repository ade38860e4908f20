"""Convolutions and matrix products that only answer, with what follows them made part of them.

Matrix products are oneDNN's on a CPU, with weights that lie as its code wants them, and stay so. PyTorch's own layers
lay them out anew in every call, which takes longer than the product itself where there are many weights and few rows:
five times as long for 16 regions.

Weights of convolutions have no such order: which one oneDNN wants depends on the maps' size, and to turn one order
into another takes it 50 times as long as a convolution of small maps (on processors without AVX-512). Where the
channels of a kernel lie together, as those of the maps do, any size is quick.
"""

from functools import cache
from typing import Any, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.models import lite0
from amodal.models.layout import quick_layout

Activation = Literal["none", "relu", "relu6"]
"""What is done to each number of the result."""
ONEDNN: dict[Activation, tuple[str, list[float]]] = {
    "none": ("none", []),
    "relu": ("relu", []),
    "relu6": ("hardtanh", [0.0, 6.0]),
}
"""The same as oneDNN names it, with its numbers."""


class QuickLayer(nn.Module):
    """A layer with weights that do not change, and what is done to its result.

    Args:
        weight: As the layer that it stands for has them.
        bias: Likewise.
        activation: What is done to the result.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None, activation: Activation) -> None:
        super().__init__()
        self.weight, self.bias = _kept(weight), None if bias is None else _kept(bias)
        self.activation: Activation = activation

    def activated(self, values: Tensor) -> Tensor:
        """A result that nothing was done to yet, and that nobody else holds."""
        if self.activation == "none":
            return values
        return F.relu(values, inplace=True) if self.activation == "relu" else F.relu6(values, inplace=True)


class QuickConvolution(QuickLayer):
    """A convolution with the norm that follows it.

    Args:
        given: The convolution.
        norm: Scale and shift of each of its channels (D,), (D,).
        activation: What is done to the result.
    """

    def __init__(
        self, given: nn.Conv2d, norm: tuple[Tensor, Tensor] | None = None, activation: Activation = "none"
    ) -> None:
        weight, bias = given.weight.detach(), None if given.bias is None else given.bias.detach()
        if norm is not None:
            scale, shift = norm
            weight, bias = weight * scale[:, None, None, None], shift if bias is None else bias * scale + shift
        super().__init__(quick_layout(weight), bias, activation)
        self.in_channels, self.out_channels = given.in_channels, given.out_channels
        self.around = given.around if isinstance(given, lite0.Convolution) else None
        assert not isinstance(given.padding, str)  # no network here pads by a word
        self.settings = given.stride, given.padding, given.dilation, given.groups

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """As the convolution, the norm and the activation."""
        if self.around is not None:
            maps = F.pad(maps, self.around)
        return self.activated(F.conv2d(quick_layout(maps), self.weight, self.bias, *self.settings))


class QuickLinear(QuickLayer):
    """A matrix product.

    Args:
        given: The linear layer.
        activation: What is done to the result.
    """

    def __init__(self, given: nn.Linear, activation: Activation = "none") -> None:
        super().__init__(given.weight, given.bias, activation)
        self.in_features, self.out_features = given.in_features, given.out_features
        self.packed: Tensor | None = None
        self.register_load_state_dict_post_hook(_forget)

    def __getstate__(self) -> dict[str, Any]:
        """Without the weights in oneDNN's order, which cannot be copied or written: they are made again."""
        return {**self.__dict__, "packed": None}

    def forward(self, rows: Float[Tensor, "R C"]) -> Float[Tensor, "R D"]:
        """As the linear layer and the activation."""
        return self.by_onednn(rows) if is_for_onednn(rows) else self.by_torch(rows)

    def by_torch(self, rows: Float[Tensor, "R C"]) -> Float[Tensor, "R D"]:
        """By PyTorch's own operators."""
        return self.activated(F.linear(rows, self.weight, self.bias))

    def by_onednn(self, rows: Float[Tensor, "R C"]) -> Float[Tensor, "R D"]:
        """By oneDNN's."""
        if self.packed is None:
            self.pack(self.weight)
        name, numbers = ONEDNN[self.activation]
        return torch.ops.mkldnn._linear_pointwise(rows, self.packed, self.bias, name, numbers, "")

    def pack(self, weight: Float[Tensor, "D C"]) -> None:
        """Lays the weights out as oneDNN wants them, with the columns in this order."""
        with torch.inference_mode(False):
            self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous(), None)


class QuickFlattened(nn.Module):
    """A matrix product of flattened maps, with its weights in the order in which the maps lie in memory.

    Args:
        given: The linear layer of `maps.flatten(1)`.
        activation: What is done to the result.
    """

    def __init__(self, given: nn.Linear, activation: Activation = "none") -> None:
        super().__init__()
        self.product = QuickLinear(given, activation)

    def forward(self, maps: Float[Tensor, "R C H W"]) -> Float[Tensor, "R D"]:
        """As the linear layer and the activation."""
        product = self.product
        if not is_for_onednn(maps):
            return product.by_torch(maps.flatten(1))
        if product.packed is None:
            product.pack(product.weight.unflatten(1, maps.shape[1:]).permute(0, 2, 3, 1).flatten(1))
        return product.by_onednn(maps.permute(0, 2, 3, 1).flatten(1))


@cache
def onednn_answers() -> bool:
    """Whether this PyTorch's operators with laid out weights, which it does not document, do what is asked of them."""
    if not torch.backends.mkldnn.is_available():
        return False
    operators, rows, weight, bias = torch.ops.mkldnn, torch.ones(2, 3), torch.ones(4, 3), torch.zeros(4)
    try:
        packed = operators._reorder_linear_weight(weight, None)
        product = operators._linear_pointwise(rows, packed, bias, "hardtanh", [0.0, 6.0], "")
    except (AttributeError, RuntimeError, TypeError):
        return False
    return product.tolist() == [[3.0] * 4] * 2


def is_for_onednn(values: Tensor) -> bool:
    """Whether oneDNN can take the rows; gradients, graphs and mixed precision are left to PyTorch's own operators."""
    return (
        values.device.type == "cpu"
        and values.dtype == torch.float32
        and not values.requires_grad
        and values.numel() > 0
        and bool(torch.backends.mkldnn.enabled)
        and not torch.is_autocast_enabled("cpu")
        and not torch.jit.is_tracing()  # type: ignore[reportPrivateImportUsage]
        and onednn_answers()
    )


def _kept(values: Tensor) -> nn.Parameter:
    return nn.Parameter(values.detach(), requires_grad=False)


def _forget(layer: QuickLinear, _incompatible: object) -> None:
    """Drops the weights in oneDNN's order after others were loaded."""
    layer.packed = None
