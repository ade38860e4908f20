"""AISFormer (Tran et al., BMVC 2022): a transformer reads a region; learned queries ask it for masks.

Queries stand for the visible, the occluder's, the amodal and the invisible mask. What a query finds becomes a vector,
and a mask is where the region's cells agree with it. The invisible mask's vector follows from the amodal and the
visible one, so that the three masks explain one another. Masks are class-agnostic.
"""

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional as F

from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.losses import mask_loss
from amodal.models.regions import BatchTruth, RegionPooler, Regions

QUERIES = ("visible", "occluder", "amodal", "invisible")
"""The last one takes part in the attention, while its mask comes from two others."""
NUM_HEADS = 2
INNER_RATIO = 8
"""Width of a transformer layer's inner layer over its own: 2048 over 256."""


class Attention(nn.Module):
    """Multi-head attention (Vaswani et al., 2017) in plain parts, which any export knows."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.query, self.key, self.value, self.out = (nn.Linear(width, width) for _ in range(4))

    def forward(
        self, asking: Float[Tensor, "R Q C"], asked: Float[Tensor, "R N C"], content: Float[Tensor, "R N C"]
    ) -> Float[Tensor, "R Q C"]:
        """What `asking` finds of `content`, whose items are known by `asked`."""

        def split(values: Tensor) -> Tensor:
            return values.unflatten(-1, (NUM_HEADS, -1)).transpose(1, 2)

        parts = split(self.query(asking)), split(self.key(asked)), split(self.value(content))
        return self.out(F.scaled_dot_product_attention(*parts).transpose(1, 2).flatten(2))


def multilayer(*widths: int) -> nn.Sequential:
    """Fully connected layers of these widths with ReLU between them."""
    layers: list[nn.Module] = []
    for before, after in pairwise(widths):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers[:-1])


class Encoder(nn.Module):
    """One layer: the cells of a region look at each other."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention, self.inner = Attention(width), multilayer(width, INNER_RATIO * width, width)
        self.first_norm, self.second_norm = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, cells: Float[Tensor, "R N C"], places: Float[Tensor, "N C"]) -> Float[Tensor, "R N C"]:
        """Cells that know the others."""
        placed = cells + places
        cells = self.first_norm(cells + self.attention(placed, placed, cells))
        return self.second_norm(cells + self.inner(cells))


class Decoder(nn.Module):
    """One layer: the queries look at each other, then at the cells."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.queries = nn.Parameter(torch.randn(len(QUERIES), width))
        self.among, self.across = Attention(width), Attention(width)
        self.inner = multilayer(width, INNER_RATIO * width, width)
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(4))

    def forward(self, cells: Float[Tensor, "R N C"], places: Float[Tensor, "N C"]) -> Float[Tensor, "R Q C"]:
        """What each query found."""
        queries = self.queries.expand(cells.shape[0], -1, -1)  # `len` would be a fixed number in an exported graph
        found = self.norms[0](self.among(queries, queries, torch.zeros_like(queries)))
        found = self.norms[1](found + self.across(found + queries, cells + places, cells))
        return self.norms[3](self.norms[2](found + self.inner(found)))


class AISFormer(MaskBranch):
    """Region features (R, C, 14, 14) -> four masks of logits at twice the side."""

    def __init__(self, pool: RegionPooler, in_channels: int, width: int) -> None:
        super().__init__()
        if width % (2 * NUM_HEADS):
            raise ValueError(f"a width of {width} cannot be shared by {NUM_HEADS} heads")
        self.pool = pool
        self.conv, self.deconv = nn.Conv2d(in_channels, width, 3, padding=1), nn.ConvTranspose2d(width, width, 2, 2)
        for layer in (self.conv, self.deconv):
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        side = 2 * pool.side
        self.rows, self.columns = (nn.Parameter(torch.rand(side, width // 2)) for _ in range(2))
        self.encoder, self.decoder = Encoder(width), Decoder(width)
        self.norm, self.embed_cells = nn.LayerNorm(width), nn.Linear(width, width)
        self.embed_masks = multilayer(width, width, width, width)
        self.embed_invisible = multilayer(2 * width, width, width)

    def forward(self, features: Float[Tensor, "R C 14 14"]) -> dict[str, Float[Tensor, "R 28 28"]]:
        """Logits by the names of `QUERIES`."""
        maps = self.deconv(self.conv(features).relu()).relu()
        side = maps.shape[-1]
        cells = maps.flatten(2).transpose(1, 2)
        places = torch.cat([self.columns.expand(side, -1, -1), self.rows[:, None].expand(-1, side, -1)], -1).flatten(
            0, 1
        )
        encoded = self.encoder(cells, places)
        vectors = self.embed_masks(self.decoder(encoded, places))
        visible, occluder, amodal, _ = vectors.unbind(1)
        invisible = self.embed_invisible(torch.cat([amodal, visible], -1))
        embedded = self.embed_cells(self.norm(encoded + cells))
        agreement = embedded @ torch.stack([visible, occluder, amodal, invisible], -1)
        masks = agreement.transpose(1, 2).unflatten(-1, (side, side))
        return dict(zip(QUERIES, masks.unbind(1), strict=True))

    def losses(self, features: dict[str, Tensor], regions: Regions, truth: BatchTruth) -> dict[str, Tensor]:
        """Binary cross-entropy of the four masks, equal parts; the occluder's are the other objects' visible masks."""
        logits = self(self.pool(features, regions))
        side = logits["amodal"].shape[-1]
        crops = truth.crop(regions, side)
        wanted = {
            "visible": crops.visible,
            "occluder": truth.crop_others(regions, side),
            "amodal": crops.amodal,
            "invisible": crops.amodal & ~crops.visible,
        }
        return {f"loss_{name}": mask_loss(logits[name], wanted[name]) for name in QUERIES}

    def predict(self, features: dict[str, Tensor], regions: Regions) -> RegionMasks:
        """Amodal and visible masks."""
        logits = self(self.pool(features, regions))
        return RegionMasks(amodal=logits["amodal"].sigmoid(), visible=logits["visible"].sigmoid())
