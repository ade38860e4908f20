"""EfficientNet-Lite0 (Tan and Le 2019, without what small devices lack) for a checkpoint that fills it.

The packaged model stands on it. timm, which it is trained with, takes half as long to import as torch: this is the same
body under the same names of weights, to the bit (`tests/project/test_start.py`).
"""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

NAME = "tf_efficientnet_lite0"
CHANNELS = [24, 40, 112, 320]
"""Of the maps at strides 4, 8, 16 and 32."""
EPSILON = 1e-3
EXPANSION = 6
STAGES = ((1, 3, 1, 16), (2, 3, 2, 24), (2, 5, 2, 40), (3, 3, 2, 80), (3, 5, 1, 112), (4, 5, 2, 192), (1, 3, 1, 320))
"""Blocks, kernel side, stride and channels."""
LAST = (1, 2, 4, 6)
"""The stages that end in a map of the pyramid."""


class Lite0(nn.Module):
    """Images (B, 3, H, W), sides multiples of 32 -> maps at strides 4, 8, 16 and 32.

    Args:
        maps: How many of them: without the coarse ones sides need not be multiples of their strides.
    """

    def __init__(self, maps: int = len(LAST)) -> None:
        super().__init__()
        self.conv_stem = Convolution(3, 32, 3, stride=2)
        self.bn1 = FrozenNorm(32, activate=True)
        stages: list[nn.Module] = []
        before = 32
        for depth, side, stride, channels in STAGES[: LAST[maps - 1] + 1]:
            blocks: list[nn.Module] = []
            for place in range(depth):
                step = stride if place == 0 else 1
                blocks.append(Block(before, channels, side, step) if stages else FirstBlock(before, channels, side))
                before = channels
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)

    def forward(self, images: Tensor) -> list[Tensor]:
        """The maps, finest first."""
        maps = []
        found = self.bn1(self.conv_stem(images))
        for index, stage in enumerate(self.blocks):
            found = stage(found)
            if index in LAST:
                maps.append(found)
        return maps

    def stages(self) -> list[nn.Module]:
        """The stem, then what leads to each map in turn."""
        starts = (0, *(index + 1 for index in LAST[:-1]))
        parts = [
            nn.ModuleList(self.blocks[start : end + 1].children()) for start, end in zip(starts, LAST, strict=True)
        ]
        return [self.conv_stem, *parts]


class FirstBlock(nn.Module):
    """A depthwise and a pointwise convolution."""

    def __init__(self, before: int, after: int, side: int) -> None:
        super().__init__()
        self.conv_dw = Convolution(before, before, side, groups=before)
        self.bn1 = FrozenNorm(before, activate=True)
        self.conv_pw = Convolution(before, after, 1)
        self.bn2 = FrozenNorm(after, activate=False)

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H, W)."""
        return self.bn2(self.conv_pw(self.bn1(self.conv_dw(maps))))


class Block(nn.Module):
    """The inverted bottleneck: wider, a depthwise convolution, narrower; added to what came in where that fits."""

    def __init__(self, before: int, after: int, side: int, stride: int) -> None:
        super().__init__()
        inside = EXPANSION * before
        self.conv_pw = Convolution(before, inside, 1)
        self.bn1 = FrozenNorm(inside, activate=True)
        self.conv_dw = Convolution(inside, inside, side, stride=stride, groups=inside)
        self.bn2 = FrozenNorm(inside, activate=True)
        self.conv_pwl = Convolution(inside, after, 1)
        self.bn3 = FrozenNorm(after, activate=False)
        self.is_residual = stride == 1 and before == after

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H / stride, W / stride)."""
        inside = self.bn2(self.conv_dw(self.bn1(self.conv_pw(maps))))
        found = self.bn3(self.conv_pwl(inside))
        return found + maps if self.is_residual else found


class Convolution(nn.Conv2d):
    """Without bias; padded as TensorFlow pads maps of even sides: at stride 2, one more to the right and below."""

    def __init__(self, before: int, after: int, side: int, *, stride: int = 1, groups: int = 1) -> None:
        padding = side // 2 if stride == 1 else 0
        super().__init__(before, after, side, stride, padding, groups=groups, bias=False)
        low = (side - stride) // 2
        self.around = (low, side - stride - low) * 2 if stride > 1 else None

    def reset_parameters(self) -> None:
        """Leaves the weights unset: drawing them takes longer than filling them."""

    def forward(self, input: Tensor) -> Tensor:
        """(B, C, H, W) to (B, D, H / stride, W / stride)."""
        return super().forward(input if self.around is None else F.pad(input, self.around))


class FrozenNorm(nn.Module):
    """A batch norm whose numbers do not change, with a ReLU6 if wanted."""

    def __init__(self, channels: int, *, activate: bool) -> None:
        super().__init__()
        for name in ("weight", "bias", "running_mean", "running_var"):
            self.register_buffer(name, torch.empty(channels))
        self.activate = activate

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def forward(self, maps: Tensor) -> Tensor:
        """(B, C, H, W), normalised."""
        weight, bias, variance, mean = (
            values.reshape(1, -1, 1, 1) for values in (self.weight, self.bias, self.running_var, self.running_mean)
        )
        scale = weight * (variance + EPSILON).rsqrt()
        normalised = maps * scale + (bias - mean * scale)
        return F.relu6(normalised, inplace=True) if self.activate else normalised
