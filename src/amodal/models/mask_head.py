"""The convolutional mask head (Mask R-CNN, He et al. 2017) that every method uses or is compared to."""

from itertools import pairwise
from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn


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
        convolved = features
        for conv in self.convs:
            convolved = self.relu(conv(convolved))
        upsampled = self.relu(self.deconv(convolved))
        return HeadOutput(self.predictor(upsampled), convolved, upsampled)
