"""A second look at a region: its masks drawn from what the picture shows there, by a network of its own.

Of an object of sixty pixels the pyramid's finest level has fifteen cells, from which masks of 28 x 28 are guessed.
Here the region is cut out of the picture, brought to the masks' scale whatever its size, and read by a small
pretrained body.
"""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.ops import roi_align

from amodal.models.backbones import crop_body
from amodal.models.layout import as_rows, quick_layout
from amodal.models.regions import Regions

STRIDE = 4
"""Pixels of a cut-out in each cell of a mask."""
SOFTNESS = 4.0
"""Logits by which a mask is told to the network: tanh(logits / 4), 0 where it does not know."""


LEAST_VISIBLE = 1e-3
"""Cells: what is divided by where nothing is visible."""


class SecondLook(nn.Module):
    """Cut-outs (R, 3, 112, 112), coarse masks of logits (R, 28, 28), known shapes (R, k, 14, 14) -> both masks.

    Args:
        weights: Of the body, as `amodal.models.config.BackboneConfig.weights` names them.
        width: Channels of the decoder.
        num_shapes: k; 0 where no shapes are known.
        num_classes: K: a region has a pair of masks for each class, as in Mask R-CNN.
    """

    def __init__(self, weights: str, width: int, num_shapes: int, num_classes: int) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.body, (fine, middle, deep) = crop_body(weights)
        self.up8 = Up(deep, middle, width)
        self.up4 = Up(width, fine + 2 + num_shapes, width)
        self.predictor = nn.Conv2d(width, 2 * num_classes, 1)
        self.classifier = nn.Linear(2 * deep, num_classes)

    def forward(
        self,
        cut_outs: Float[Tensor, "R 3 112 112"],
        coarse: tuple[Float[Tensor, "R 28 28"], Float[Tensor, "R 28 28"]],
        shapes: Float[Tensor, "R k 14 14"] | None,
        labels: Int64[Tensor, " R"],
    ) -> tuple[Float[Tensor, "R 28 28"], Float[Tensor, "R 28 28"], Float[Tensor, "R D 7 7"]]:
        """Logits of the amodal and of the visible mask of each region's own class, and the body's deepest map.

        Labels count from 1.
        """
        told = [(torch.stack(coarse, 1) / SOFTNESS).tanh()]
        if shapes is not None:
            told.append(F.interpolate(2 * shapes.to(told[0]) - 1, scale_factor=2.0, mode="bilinear"))
        fine, middle, deep = self.body(quick_layout(cut_outs))
        found = self.up4(self.up8(deep, middle), torch.cat([fine, *told], 1))
        return *self._own_class(found, labels), deep

    def classified(self, deep: Float[Tensor, "R D 7 7"], visible: Float[Tensor, "R 28 28"]) -> Float[Tensor, "R K"]:
        """Logits of the classes, from what the body sees of the region and of its visible part.

        Args:
            deep: The body's deepest map.
            visible: The visible mask, in [0, 1].
        """
        weights = F.avg_pool2d(visible[:, None].to(deep.dtype), visible.shape[-1] // deep.shape[-1])
        within = (deep * weights).sum((2, 3)) / weights.sum((2, 3)).clamp(min=LEAST_VISIBLE)
        return self.classifier(torch.cat([within, deep.mean((2, 3))], 1))

    def _own_class(self, found: Float[Tensor, "R W 28 28"], labels: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.predictor.weight.unflatten(0, (-1, 2))[labels - 1, :, :, 0, 0]
        bias: Tensor = self.predictor.bias  # type: ignore[assignment]
        masks = weights.to(found.dtype) @ as_rows(found) + bias.unflatten(0, (-1, 2))[labels - 1, :, None]
        amodal, visible = masks.unflatten(2, found.shape[2:]).unbind(1)
        return amodal, visible


class Up(nn.Module):
    """A coarse map doubled and joined with a finer one."""

    def __init__(self, coarse: int, fine: int, out: int) -> None:
        super().__init__()
        self.reduce = nn.Conv2d(coarse, out, 1)
        self.join = nn.Conv2d(out + fine, out, 3, padding=1)
        self.smooth = nn.Conv2d(out, out, 3, padding=1)

    def forward(self, coarse: Tensor, fine: Tensor) -> Tensor:
        """(R, C, s, s) and (R, c, 2s, 2s) -> (R, out, 2s, 2s)."""
        doubled = F.interpolate(self.reduce(coarse), scale_factor=2.0, mode="nearest")
        return self.smooth(self.join(torch.cat([doubled, fine], 1)).relu()).relu()


def cut_out(images: Float[Tensor, "B 3 H W"], regions: Regions, side: int) -> Float[Tensor, "R 3 side side"]:
    """The regions as the picture shows them, all of one size; 0, the mean colour, beyond the picture."""
    boxes = torch.cat([regions.images[:, None].to(regions.boxes), regions.boxes], 1)
    return roi_align(images.float(), boxes, side, 1.0, 2, aligned=True)
