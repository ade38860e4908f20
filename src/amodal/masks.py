"""Pure functions of masks: area, box, occlusion rate, IoU; crop to a region.

A mask here is a bool tensor (N, H, W); a box is xyxy in pixels, where pixel i covers [i, i + 1). The way back, from
regions into an image, is `amodal.boxed_masks`.
"""

import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor
from torchvision.ops import roi_align


def areas(masks: Bool[Tensor, "N H W"]) -> Int64[Tensor, " N"]:
    """Pixels of each mask.

    >>> areas(torch.tensor([[[True, False], [True, True]]]))
    tensor([3])
    """
    return masks.flatten(1).sum(1)


def invisible(amodal: Bool[Tensor, "N H W"], visible: Bool[Tensor, "N H W"]) -> Bool[Tensor, "N H W"]:
    """The invisible part: amodal and not visible."""
    return amodal & ~visible


def occlusion_rates(amodal: Bool[Tensor, "N H W"], visible: Bool[Tensor, "N H W"]) -> Float[Tensor, " N"]:
    """Invisible area over amodal area, in [0, 1]; 0 for an empty amodal mask.

    >>> occlusion_rates(torch.tensor([[[True, True]]]), torch.tensor([[[True, False]]]))
    tensor([0.5000])
    """
    return areas(invisible(amodal, visible)) / areas(amodal).clamp(min=1)


def boxes(masks: Bool[Tensor, "N H W"]) -> Float[Tensor, "N 4"]:
    """Tight boxes; zeros for an empty mask. The box of one pixel at (x, y) is [x, y, x + 1, y + 1].

    >>> boxes(torch.tensor([[[False, False], [False, True]]]))
    tensor([[1., 1., 2., 2.]])
    """
    extents = []
    for present in (masks.any(1), masks.any(2)):  # columns (N, W), then rows (N, H)
        length = present.shape[1]
        places = torch.arange(length, device=masks.device)
        low = torch.where(present, places, length).amin(1) if length else present.sum(1)
        high = torch.where(present, places + 1, 0).amax(1) if length else present.sum(1)
        extents.append((torch.minimum(low, high), high))
    (left, right), (top, bottom) = extents
    return torch.stack([left, top, right, bottom], 1).float()


def ious(first: Bool[Tensor, "*R H W"], second: Bool[Tensor, "*R H W"]) -> Float[Tensor, "*R"]:
    """IoU of masks one by one; 0 where both are empty.

    >>> ious(torch.tensor([[True, True]]), torch.tensor([[True, False]]))
    tensor(0.5000)
    """
    both = (first & second).flatten(-2).sum(-1)
    either = (first | second).flatten(-2).sum(-1)
    return both / either.clamp(min=1)


def crop(
    masks: Bool[Tensor, "N H W"], boxes: Float[Tensor, "R 4"], owners: Int64[Tensor, " R"], side: int
) -> Bool[Tensor, "R S S"]:
    """Each region's own mask, `masks[owners[i]]`, resampled to `side` x `side` over its box.

    A cell is on where at least half of it is: the average of bilinear samples over the cell, as an aligned RoIAlign
    takes it, is at least 0.5.
    """
    if len(boxes) == 0:
        return masks.new_zeros((0, side, side))
    regions = torch.cat([owners[:, None].to(boxes), boxes], 1)
    cells = roi_align(masks[:, None].to(boxes.dtype), regions, side, aligned=True)
    return cells[:, 0] >= 0.5
