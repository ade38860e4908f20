"""The heads on regions made ready to answer: what they do between their layers costs no pass over memory."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.faster_rcnn import TwoMLPHead

from amodal.models.mask_head import MaskHead, of_cells
from amodal.models.quick_layers import QuickConvolution, QuickFlattened, QuickLinear
from amodal.models.reclassification import Reclassifier


class QuickMaskHead(MaskHead):
    """A mask head of quick layers."""

    def __init__(self, given: MaskHead) -> None:
        nn.Module.__init__(self)
        self.in_channels = given.in_channels
        self.convs = nn.ModuleList(QuickConvolution(conv, activation="relu") for conv in given.convs)  # type: ignore[reportArgumentType]
        self.to_cells = QuickConvolution(_to_cells(given.deconv), activation="relu")
        self.predictor = given.predictor

    def _convolved(self, features: Tensor) -> Float[Tensor, "R C 14 14"]:
        for conv in self.convs:
            features = conv(features)
        return features

    def _cells(self, convolved: Tensor) -> Float[Tensor, "R 4*C 14 14"]:
        return self.to_cells(convolved)


def quick_box_head(given: TwoMLPHead) -> nn.Module:
    """The box stage's two layers on flattened maps."""
    return nn.Sequential(QuickFlattened(given.fc6, "relu"), QuickLinear(given.fc7, "relu"))


def quick_reclassifier(given: Reclassifier) -> nn.Module:
    """The re-classification's three layers on flattened maps."""
    first, second = QuickFlattened(given.first, "relu"), QuickLinear(given.second, "relu")
    return nn.Sequential(first, second, QuickLinear(given.classify))


def _to_cells(given: nn.ConvTranspose2d) -> nn.Conv2d:
    """(R, C, h, w) to (R, 4 D, h, w), as a layer."""
    made = nn.Conv2d(given.in_channels, 4 * given.out_channels, 1, device=given.weight.device)
    with torch.no_grad():
        for own, wanted in zip((made.weight, made.bias), of_cells(given), strict=True):
            own.copy_(wanted)  # type: ignore[union-attr]
    return made
