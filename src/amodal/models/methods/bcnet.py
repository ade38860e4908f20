"""BCNet (Ke et al., CVPR 2021): two layers over a region, one for what occludes and one for what is occluded.

The occluder's layer finds the mask and the boundary of what lies before the object; its features are added to the
region's, so that the second layer knows which part of the region is the occluder's. Masks are class-agnostic. On amodal
data the object's mask is the amodal one. The paper predicts no visible mask; here it is the part of the amodal one that
the occluder's mask leaves.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.losses import mask_loss
from amodal.models.regions import BatchTruth, RegionPooler, Regions

WEIGHTS = {"amodal": 1.0, "boundary": 0.5, "occluder": 0.25, "occluder_boundary": 0.5}
"""Of the four losses, as the authors' code has them."""


class NonLocal(nn.Module):
    """Every cell of a region looks at all others (Wang et al., 2018): BCNet's graph convolution."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value = (nn.Conv2d(width, width, 1, bias=False) for _ in range(3))
        self.out, self.norm = nn.Conv2d(width, width, 1, bias=False), nn.BatchNorm2d(width)

    def forward(self, maps: Float[Tensor, "R C S S"]) -> Float[Tensor, "R C S S"]:
        """The maps, with what each cell found among the others added."""
        query, key, value = (conv(maps).flatten(2).transpose(1, 2) for conv in (self.query, self.key, self.value))
        found = F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
        return maps + self.norm(self.out(found.transpose(1, 2).unflatten(-1, maps.shape[-2:])))


class Layer(nn.Module):
    """Four convolutions with a non-local block after the second; then a mask and a boundary."""

    def __init__(self, in_channels: int, width: int) -> None:
        super().__init__()
        convs = [nn.Conv2d(channels, width, 3, padding=1) for channels in (in_channels, width, width, width)]
        self.convs = nn.ModuleList(convs)
        self.nonlocal_block = NonLocal(width)
        self.mask_deconv, self.boundary_deconv = (nn.ConvTranspose2d(width, width, 2, 2) for _ in range(2))
        self.mask_predictor, self.boundary_predictor = (nn.Conv2d(width, 1, 1) for _ in range(2))
        for layer in (*convs, self.mask_deconv, self.boundary_deconv):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(
        self, features: Float[Tensor, "R C 14 14"]
    ) -> tuple[Float[Tensor, "R W 14 14"], Float[Tensor, "R 28 28"], Float[Tensor, "R 28 28"]]:
        """Inner features, and the logits of mask and boundary."""
        for index, conv in enumerate(self.convs):
            features = conv(features).relu()
            if index == 1:
                features = self.nonlocal_block(features)
        mask = self.mask_predictor(self.mask_deconv(features).relu())[:, 0]
        boundary = self.boundary_predictor(self.boundary_deconv(features).relu())[:, 0]
        return features, mask, boundary


class BCNet(MaskBranch):
    """Region features -> masks and boundaries of the occluder, then of the object."""

    def __init__(self, pool: RegionPooler, in_channels: int, width: int) -> None:
        super().__init__()
        self.pool = pool
        self.occluder_layer, self.object_layer = Layer(in_channels, width), Layer(in_channels, width)
        # Features can be added where widths agree, as in the paper; else they are brought to the region's width.
        self.join = nn.Identity() if width == in_channels else nn.Conv2d(width, in_channels, 1)

    def forward(self, features: Float[Tensor, "R C 14 14"]) -> dict[str, Float[Tensor, "R 28 28"]]:
        """Logits by the names of `WEIGHTS`; no region gives empty ones that every weight still takes part in."""
        if len(features) == 0:  # batch norm has no statistics of nothing
            nothing = sum((weight.sum() * 0 for weight in self.parameters()), features.sum() * 0)
            return dict.fromkeys(WEIGHTS, nothing + features.new_zeros((0, 2 * self.pool.side, 2 * self.pool.side)))
        inner, occluder, occluder_boundary = self.occluder_layer(features)
        _, amodal, boundary = self.object_layer(features + self.join(inner))
        found = {"amodal": amodal, "boundary": boundary}
        return found | {"occluder": occluder, "occluder_boundary": occluder_boundary}

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """Binary cross-entropy of the four; the occluder's only where another object is visible in the region."""
        logits = self(self.pool(features, regions))
        side = logits["amodal"].shape[-1]
        amodal, occluder = truth.crop(regions, side).amodal, truth.crop_others(regions, side)
        wanted = {"amodal": amodal, "boundary": boundaries(amodal)}
        wanted |= {"occluder": occluder, "occluder_boundary": boundaries(occluder)}
        is_there = occluder.flatten(1).any(1)
        losses = {}
        for name, weight in WEIGHTS.items():
            which = is_there if name.startswith("occluder") else torch.ones_like(is_there)
            losses[f"loss_{name}"] = weight * mask_loss(logits[name][which], wanted[name][which])
        return losses

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Amodal masks, and visible ones: both in the object and not in its occluder."""
        logits = self(self.pool(features, regions))
        amodal = logits["amodal"].sigmoid()
        return RegionMasks(amodal=amodal, visible=amodal * (1 - logits["occluder"].sigmoid()))


def boundaries(masks: Bool[Tensor, "R S S"]) -> Bool[Tensor, "R S S"]:
    """The cells of each mask that have a cell outside it among their eight neighbours; the frame is no outside."""
    off = (~masks).float()[:, None]
    return masks & (F.max_pool2d(off, 3, stride=1, padding=1)[:, 0] > 0)
