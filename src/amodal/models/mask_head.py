"""The convolutional mask head (Mask R-CNN, He et al. 2017) that every method uses or is compared to."""

from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F

CHUNK = 32
"""Regions at a time on a CPU where no gradient is wanted: their features stay in its caches."""


@dataclass(frozen=True)
class HeadOutput:
    """The two inner features of a mask head, which feature matching compares (paper, equation 3), and their masks.

    Attributes:
        head: The mask head.
        convolved: Behind the convolutions.
        cells: Behind the deconvolution, as `MaskHead` keeps it.
    """

    head: "MaskHead"
    convolved: Float[Tensor, "R C 14 14"]
    cells: Float[Tensor, "R 4*C 14 14"]
    _masks: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False, repr=False, compare=False)

    def own_class(self, labels: Int64[Tensor, " R"]) -> Float[Tensor, "R 28 28"]:
        """Each region's mask: the logits of its class, and of no other. Labels count from 1.

        A mask guides, is scored and is learnt: for the same tensor of labels it is found once, and so is its gradient.
        """
        for known, mask in self._masks:
            if known is labels:
                return mask
        self._masks.append((labels, self.head.of_class(self.cells, labels)))
        return self._masks[-1][1]

    @property
    def logits(self) -> Float[Tensor, "R K 28 28"]:
        """The masks of every class."""
        placed = self.cells.unflatten(1, (2, 2, -1)).permute(0, 3, 4, 1, 5, 2)
        return self.head.predictor(placed.flatten(4, 5).flatten(2, 3))

    def detached(self) -> "HeadOutput":
        """The same without a gradient."""
        return replace(self, convolved=self.convolved.detach(), cells=self.cells.detach())


class MaskHead(nn.Module):
    """Region features (R, C, 14, 14) -> one 28 x 28 mask of logits for each class.

    `num_convs` 3x3 convolutions, a 2x2 deconvolution of stride 2, each with ReLU, then a 1x1 convolution.

    The deconvolution is done as a convolution of 1x1 to the four cells that each cell becomes: channels of the upper
    left cell, upper right, lower left, lower right. Masks of one class are read off before the four are put in their
    places: one number is moved, and not C, and no other class costs anything, forward or backward.
    """

    def __init__(self, in_channels: int, width: int, num_convs: int, num_classes: int) -> None:
        super().__init__()
        self.in_channels = in_channels
        channels = [in_channels, *[width] * num_convs]
        self.convs = nn.ModuleList(nn.Conv2d(before, after, 3, padding=1) for before, after in pairwise(channels))
        self.deconv = nn.ConvTranspose2d(width, width, 2, stride=2)
        self.predictor = nn.Conv2d(width, num_classes, 1)
        self.relu = nn.ReLU(inplace=True)
        for name, parameter in self.named_parameters():
            if name.endswith("bias"):
                nn.init.zeros_(parameter)
            elif name != "predictor.weight":
                nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")
        nn.init.normal_(self.predictor.weight, std=0.001)

    def forward(self, features: Float[Tensor, "R C 14 14"]) -> HeadOutput:
        """Inner features of every region, and what masks they give."""
        convolved = self._convolved(features)
        return HeadOutput(self, convolved, self._cells(convolved))

    def own_class(self, features: Float[Tensor, "R C 14 14"], labels: Int64[Tensor, " R"]) -> Float[Tensor, "R 28 28"]:
        """Logits of each region's own class alone, for inference. Labels count from 1."""
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined]  # a traced loop has a fixed length
        if features.device.type != "cpu" or is_traced or len(features) <= CHUNK:
            return self._own_class(features, labels)
        parts = zip(features.split(CHUNK), labels.split(CHUNK), strict=True)
        return torch.cat([self._own_class(*part) for part in parts])

    def of_class(self, cells: Float[Tensor, "R 4*C 14 14"], labels: Int64[Tensor, " R"]) -> Float[Tensor, "R 28 28"]:
        """Logits of each region's own class from what the deconvolution gave."""
        channels, height, width = self.predictor.in_channels, *cells.shape[2:]
        weights = self.predictor.weight[labels - 1, :, 0, 0].to(cells.dtype)
        bias: Tensor = self.predictor.bias  # type: ignore[assignment]
        rows = cells.permute(0, 2, 3, 1).reshape(-1, 4 * height * width, channels)
        found = _Products.apply(rows, weights) if rows.requires_grad else products(rows, weights)
        placed = found.reshape(-1, height, width, 2, 2).transpose(2, 3)
        return placed.reshape(-1, 2 * height, 2 * width) + bias[labels - 1, None, None]

    def _convolved(self, features: Tensor) -> Float[Tensor, "R C 14 14"]:
        for conv in self.convs:
            features = self.relu(conv(features))
        return features

    def _cells(self, convolved: Tensor) -> Float[Tensor, "R 4*C 14 14"]:
        weight, bias = of_cells(self.deconv)
        return self.relu(F.conv2d(convolved, weight, bias))

    def _own_class(self, features: Tensor, labels: Tensor) -> Float[Tensor, "R 28 28"]:
        return self.of_class(self._cells(self._convolved(features)), labels)


def products(rows: Float[Tensor, "R M C"], weights: Float[Tensor, "R C"]) -> Float[Tensor, "R M"]:
    """The product of each row of a region with the region's weights."""
    # Weights first: eight times as fast as the same product the other way round.
    return (weights[:, None] @ rows.transpose(1, 2)).squeeze(1)


class _Products(torch.autograd.Function):
    """`products` with a gradient that is written once, as the rows lie in memory: autograd's own is turned over."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weights: Tensor) -> Tensor:
        ctx.save_for_backward(rows, weights)
        return products(rows, weights)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:  # type: ignore[override]
        rows, weights = ctx.saved_tensors
        return gradient[:, :, None] * weights[:, None], (gradient[:, None] @ rows).squeeze(1)


def of_cells(deconv: nn.ConvTranspose2d) -> tuple[Float[Tensor, "4*D C 1 1"], Float[Tensor, " 4*D"]]:
    """Weights and bias of the 1x1 convolution to the four cells that each cell becomes."""
    assert deconv.kernel_size == deconv.stride == (2, 2)
    assert deconv.bias is not None
    return deconv.weight.permute(2, 3, 1, 0).flatten(0, 2)[:, :, None, None], deconv.bias.repeat(4)
