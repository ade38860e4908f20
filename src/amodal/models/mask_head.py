"""The convolutional mask head (Mask R-CNN, He et al. 2017) that every method uses or is compared to."""

from itertools import pairwise
from typing import NamedTuple

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

CHUNK = 32
"""Regions at a time on a CPU where no gradient is wanted: their features stay in its caches."""


class HeadOutput(NamedTuple):
    """A mask head's logits, and the two inner features that feature matching compares (paper, equation 3)."""

    logits: Float[Tensor, "R K 28 28"]
    convolved: Float[Tensor, "R C 14 14"]
    upsampled: Float[Tensor, "R C 28 28"]


class MaskHead(nn.Module):
    """Region features (R, C, 14, 14) -> one 28 x 28 mask of logits for each class.

    `num_convs` 3x3 convolutions, a 2x2 deconvolution of stride 2, each with ReLU, then a 1x1 convolution.
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
        """Logits and inner features of every region."""
        convolved, upsampled = self._upsample(features)
        return HeadOutput(self.predictor(upsampled), convolved, upsampled)

    def own_class(self, features: Float[Tensor, "R C 14 14"], labels: Int64[Tensor, " R"]) -> Float[Tensor, "R 28 28"]:
        """Logits of each region's own class alone, for inference. Labels count from 1."""
        is_traced = torch.jit.is_tracing()  # type: ignore[attr-defined]  # a traced loop has a fixed length
        if features.device.type != "cpu" or is_traced or len(features) <= CHUNK:
            return self._own_class(features, labels)
        parts = zip(features.split(CHUNK), labels.split(CHUNK), strict=True)
        return torch.cat([self._own_class(*part) for part in parts])

    def _upsample(self, features: Tensor) -> tuple[Float[Tensor, "R C 14 14"], Float[Tensor, "R C 28 28"]]:
        convolved = features
        for conv in self.convs:
            convolved = self.relu(conv(convolved))
        return convolved, self.relu(self.deconv(convolved))

    def _own_class(self, features: Tensor, labels: Tensor) -> Float[Tensor, "R 28 28"]:
        upsampled = self._upsample(features)[1]
        weights = self.predictor.weight[labels - 1, :, 0, 0]
        bias: Tensor = self.predictor.bias  # type: ignore[assignment]
        channels, height, width = upsampled.shape[1:]
        maps = upsampled.reshape(-1, channels, height * width)  # no copy, whichever way they lie in memory
        cells = weights[:, None].to(upsampled.dtype) @ maps
        return cells.reshape(-1, height, width) + bias[labels - 1, None, None]
