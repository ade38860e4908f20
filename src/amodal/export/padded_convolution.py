"""Convolutions that pad one side more than the other, as one node of an ONNX graph."""

from collections.abc import Sequence
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.models.lite0 import Convolution


def traceable_convolution(convolution: Convolution) -> nn.Module:
    """The convolution itself, or where it pads one side more than the other, one that has that in its own node."""
    return convolution if convolution.around is None else TraceableConvolution(convolution)


class TraceableConvolution(nn.Module):
    """A `Convolution` whose padding is part of the graph's convolution.

    Padded maps cost ONNX Runtime a twentieth of an image: a copy, and two changes of their layout.
    """

    def __init__(self, convolution: Convolution) -> None:
        super().__init__()
        assert convolution.around is not None
        self.weight, self.around = convolution.weight, convolution.around
        self.stride, self.groups = convolution.stride[0], convolution.groups

    def forward(self, maps: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D _ _"]:
        """As `Convolution.forward`."""
        return _PaddedConvolution.apply(maps, self.weight, self.around, self.stride, self.groups)  # type: ignore[return-value]


class _PaddedConvolution(torch.autograd.Function):
    """What PyTorch has no operator for, and ONNX has."""

    @staticmethod
    def forward(ctx: Any, maps: Tensor, weight: Tensor, around: Sequence[int], stride: int, groups: int) -> Tensor:
        return F.conv2d(F.pad(maps, list(around)), weight, stride=stride, groups=groups)

    @staticmethod
    def symbolic(graph: Any, maps: Any, weight: Any, around: Sequence[int], stride: int, groups: int) -> Any:
        left, right, top, bottom = around
        return graph.op(
            "Conv",
            maps,
            weight,
            group_i=groups,
            pads_i=[top, left, bottom, right],
            strides_i=[stride, stride],
        )
