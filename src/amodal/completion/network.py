"""The completer's network: the second half of VRSP without its detector, for any object.

VRSP refines an amodal mask from the features of the visible region and from shapes that it knows. Here the visible
mask is given. It guides the pooled features (visible attention), from which a mixture of learnt shapes is read (the
shape prior, as gated prototypes); a decoder draws the amodal mask from that, the picture's features and the visible
mask, and two numbers say how likely something is hidden, and how good the mask is (plausibility).
"""

from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.completion.config import CompleterConfig
from amodal.completion.crops import MASKS
from amodal.models import lite0
from amodal.models.backbones import feature_body

READ = 256
"""Numbers that are read of a region."""
MEAN, STD = (0.5, 0.5, 0.5), (0.5, 0.5, 0.5)
"""Of colours, as EfficientNet-Lite was trained."""


@dataclass(frozen=True)
class Completion:
    """What the network says of crops.

    Attributes:
        coarse_logits: The prior's own amodal mask.
        logits: The amodal mask.
        occluded_logits: Whether anything of the object is hidden.
        quality: Estimated IoU of the predicted invisible part with the true one, in [0, 1].
    """

    coarse_logits: Float[Tensor, "B s s"]
    logits: Float[Tensor, "B S S"]
    occluded_logits: Float[Tensor, " B"]
    quality: Float[Tensor, " B"]


class CompletionNetwork(nn.Module):
    """Crops (B, 7, S, S) as `amodal.completion.crops` makes them -> amodal masks."""

    def __init__(self, config: CompleterConfig, body: nn.Module, channels: list[int]) -> None:
        super().__init__()
        self.config, self.body = config, body
        w16, w8, w4, w2 = config.widths
        self.near = convolution(3 + len(MASKS), 16, stride=2)
        self.prior = ShapePrototypes(channels[3] + channels[2], config)
        self.up16 = Up(channels[3], channels[2], w16)
        self.up8 = Up(w16, channels[1], w8)
        self.up4 = Up(w8, channels[0] + config.prototype_channels, w4)
        self.up2 = Up(w4, 16, w2)
        self.draw = nn.Conv2d(w2, 1, 1)
        self.plausibility = Plausibility(w2)
        self.mean: Tensor
        self.std: Tensor
        self.register_buffer("mean", torch.tensor(MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(STD)[:, None, None], persistent=False)

    def forward(self, crops: Float[Tensor, "B 7 S S"]) -> Completion:
        """Amodal masks, and what they are worth."""
        normalised = torch.cat([(crops[:, :3] - self.mean) / self.std, crops[:, 3:]], 1)
        visible = crops[:, 3:4]
        f4, f8, f16, f32 = self.body(normalised)
        read, shapes, coarse = self.prior(f32, f16, visible)
        x = self.up16(f32, f16)
        x = self.up8(x, f8)
        x = self.up4(x, torch.cat([f4, shapes], 1))
        x = self.up2(x, self.near(normalised))
        drawn = self.draw(x)
        occluded, quality = self.plausibility(read, x, drawn, F.avg_pool2d(crops[:, 3:6], 2))
        logits = F.interpolate(drawn, scale_factor=2.0, mode="bilinear")
        return Completion(coarse, logits[:, 0], occluded, quality)


class ShapePrototypes(nn.Module):
    """A mixture of learnt shapes, chosen by the visible region's features.

    Crops are centred on the visible mask and scaled by it, so that shapes share a frame.
    """

    def __init__(self, in_channels: int, config: CompleterConfig, side: int = 32) -> None:
        super().__init__()
        self.read = nn.Sequential(nn.Linear(3 * in_channels, READ), nn.ReLU(), nn.Dropout(0.1))
        self.gate = nn.Linear(READ, config.prototypes)
        self.shapes = nn.Parameter(torch.empty(config.prototypes, config.prototype_channels, side, side))
        nn.init.normal_(self.shapes, std=0.5)
        self.coarse = nn.Conv2d(config.prototype_channels, 1, 3, padding=1)

    def forward(self, f32: Tensor, f16: Tensor, visible: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """What is read of the region (B, 256), shape maps (B, C, 32, 32), coarse logits (B, 32, 32)."""
        features = torch.cat([F.interpolate(f32, scale_factor=2.0, mode="nearest"), f16], 1)
        attention = F.adaptive_avg_pool2d(visible, int(features.shape[-1]))
        around = F.max_pool2d(attention, 3, 1, 1) - attention
        pooled = [_pooled(features, attention), _pooled(features, around), features.mean((2, 3))]
        read = self.read(torch.cat(pooled, 1))
        shapes = torch.einsum("bp,pchw->bchw", self.gate(read).softmax(1), self.shapes)
        return read, shapes, self.coarse(shapes)[:, 0]


class Plausibility(nn.Module):
    """Whether anything is hidden, and how good the drawn mask is: judged along the visible outline and in the guess."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.judge = nn.Sequential(nn.Linear(READ + 4 * channels + 4, 128), nn.ReLU(), nn.Linear(128, 2))

    def forward(self, read: Tensor, features: Tensor, drawn: Tensor, masks: Tensor) -> tuple[Tensor, Tensor]:
        """Occluded logits (B,), quality (B,) in [0, 1].

        Args:
            read: What the prior reads of the region, (B, 256).
            features: The decoder's last, (B, C, s, s).
            drawn: Logits of the amodal mask, (B, 1, s, s).
            masks: Visible, others', whether others are known, (B, 3, s, s).
        """
        visible, others, known = masks.split(1, 1)
        beyond = drawn.detach().sigmoid() * (1 - visible)
        outline = (F.max_pool2d(visible, 5, 1, 2) - visible).clamp(min=0)
        inner = (visible - 1 + F.max_pool2d(1 - visible, 5, 1, 2)).clamp(min=0)
        highest = (features * torch.maximum(beyond, outline)).amax((2, 3))
        area = beyond.sum((2, 3))
        numbers = [
            torch.log1p(20 * area / visible.sum((2, 3)).clamp(min=1)),
            _pooled(beyond, beyond),
            _pooled(others, beyond),
            known.mean((2, 3)),
        ]
        pooled = [_pooled(features, weights) for weights in (beyond, outline, inner)]
        occluded, quality = self.judge(torch.cat([read, *pooled, highest, *numbers], 1)).unbind(1)
        return occluded, quality.sigmoid()


def _pooled(features: Float[Tensor, "B C s s"], weights: Float[Tensor, "B 1 s s"]) -> Float[Tensor, "B C"]:
    """Means of features under weights."""
    return (features * weights).sum((2, 3)) / weights.sum((2, 3)).clamp(min=1e-3)


class Up(nn.Module):
    """A coarse map doubled and joined with a finer one."""

    def __init__(self, coarse: int, fine: int, out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, out, 1, bias=False)
        self.join = convolution(out + fine, out)
        self.smooth = convolution(out, out)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(B, C, s, s) and (B, c, 2s, 2s) -> (B, out, 2s, 2s)."""
        doubled = F.interpolate(self.reduce(coarse), scale_factor=2.0, mode="nearest")
        return self.smooth(self.join(torch.cat([doubled, fine], 1)))


def convolution(in_channels: int, out_channels: int, stride: int = 1) -> nn.Sequential:
    """3 x 3 convolution, batch norm, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, 3, stride, 1, bias=False), nn.BatchNorm2d(out_channels), nn.ReLU(True)
    )


def build(config: CompleterConfig, weights: str | None = "none") -> CompletionNetwork:
    """A completer; the first convolution of its backbone is widened to take the masks beside the colours.

    Args:
        config: Sizes.
        weights: The backbone's, as `amodal.models.config.BackboneConfig.weights` names them; None leaves them unset: a
            checkpoint is about to fill them.
    """
    body, channels = _body(config.backbone, weights)
    stem = body.conv_stem
    widened = torch.zeros(stem.out_channels, 3 + len(MASKS), *stem.kernel_size)
    widened[:, :3] = stem.weight.detach()
    nn.init.normal_(widened[:, 3:], std=0.02)
    stem.in_channels, stem.weight = 3 + len(MASKS), nn.Parameter(widened)
    return CompletionNetwork(config, body, channels)


def _body(name: str, weights: str | None) -> tuple[Any, list[int]]:
    """The backbone, and the channels of its maps."""
    if name == lite0.NAME and weights is None:
        return lite0.Lite0(), lite0.CHANNELS
    body: Any = feature_body(name, weights or "none")
    return body, body.feature_info.channels()
