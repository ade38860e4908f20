"""Two masks of a region corrected together: what one claims, the other sees."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

SOFTNESS = 4.0
"""Logits by which a mask is told to the convolutions: tanh(logits / 4), 0 where it does not know."""


class JointMasks(nn.Module):
    """Region features (R, C, 14, 14) and two masks of logits (R, 28, 28) -> the two masks, corrected.

    The features are brought to the masks' grid by a deconvolution; two 3x3 convolutions over them and both masks give
    what is added to each. It begins by adding nothing.
    """

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        self.deconv = nn.ConvTranspose2d(in_channels, width, 2, stride=2)
        self.convs = nn.Sequential(
            nn.Conv2d(width + 2, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU()
        )
        self.predictor = nn.Conv2d(width, 2, 1)
        nn.init.zeros_(self.predictor.weight)
        nn.init.zeros_(self.predictor.bias)  # type: ignore[arg-type]

    def forward(
        self,
        features: Float[Tensor, "R C 14 14"],
        amodal: Float[Tensor, "R 28 28"],
        visible: Float[Tensor, "R 28 28"],
    ) -> tuple[Float[Tensor, "R 28 28"], Float[Tensor, "R 28 28"]]:
        """Corrected logits of the amodal and of the visible mask."""
        told = torch.stack([amodal, visible], 1) / SOFTNESS
        added = self.predictor(self.convs(torch.cat([self.deconv(features).relu(), told.tanh()], 1)))
        return amodal + added[:, 0], visible + added[:, 1]
