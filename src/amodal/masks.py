"""Pure functions of masks: area, box, occlusion rate, IoU; crop to a region and paste into an image.

A mask here is a bool tensor (N, H, W); a box is xyxy in pixels, where pixel i covers [i, i + 1).
"""

import numpy as np
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
    """The hidden part: amodal and not visible."""
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


def paste(
    probabilities: Float[Tensor, "R S S"],
    boxes: Float[Tensor, "R 4"],
    size: tuple[int, int],
    threshold: float = 0.5,
    within: Bool[Tensor, "R H W"] | None = None,
) -> Bool[Tensor, "R H W"]:
    """Region masks stretched over their boxes in an image of `size` (H, W), bilinear, on where > `threshold`.

    Only the pixels inside each box are computed. Bilinear interpolation over an axis-aligned box is separable, so a
    mask is two small matrix products: (h, S) @ (S, S) @ (S, w).

    Args:
        probabilities: One mask for each box.
        boxes: xyxy in pixels.
        size: Height and width of the image.
        threshold: Exclusive.
        within: Pixels that are not on here stay off, as a visible mask's do outside its amodal mask.
    """
    image_masks = _cleared((len(probabilities), *size), probabilities.device)
    reached = pixel_boxes(boxes, size).tolist()
    for index, (mask, box, (left, top, right, bottom)) in enumerate(zip(probabilities, boxes, reached, strict=True)):
        if right <= left or bottom <= top:
            continue
        place = image_masks[index, top:bottom, left:right]
        torch.gt(stretch(mask, box, (left, top, right, bottom)), threshold, out=place)
        if within is not None:
            place &= within[index, top:bottom, left:right]
    return image_masks


def stretch(
    probabilities: Float[Tensor, "S S"], box: Float[Tensor, "4"], reached: tuple[int, int, int, int]
) -> Float[Tensor, "h w"]:
    """One region's mask at the pixels that its box reaches (`pixel_boxes`), bilinear."""
    left, top, right, bottom = reached
    across = _interpolation(box[0], box[2], left, right, probabilities.shape[-1])
    down = _interpolation(box[1], box[3], top, bottom, probabilities.shape[-1])
    return down @ probabilities @ across.T


def pixel_boxes(boxes: Float[Tensor, "R 4"], size: tuple[int, int]) -> Int64[Tensor, "R 4"]:
    """The pixels that boxes reach in an image of `size` (H, W): xyxy rounded outwards. None where right <= left.

    >>> pixel_boxes(torch.tensor([[-3.0, 1.5, 2.5, 9.0]]), (8, 8))
    tensor([[0, 1, 3, 8]])
    """
    x, y = boxes[:, 0::2].clamp(0, size[1]), boxes[:, 1::2].clamp(0, size[0])
    return torch.stack([x[:, 0].floor(), y[:, 0].floor(), x[:, 1].ceil(), y[:, 1].ceil()], 1).long()


def _cleared(shape: tuple[int, int, int], device: torch.device) -> Bool[Tensor, "R H W"]:
    """All off. On a CPU NumPy takes zeroed memory from the system, page by page as it is touched: most never is."""
    if device.type == "cpu":
        return torch.from_numpy(np.zeros(shape, dtype=bool))
    return torch.zeros(shape, dtype=torch.bool, device=device)


def _interpolation(low: Tensor, high: Tensor, start: int, stop: int, side: int) -> Float[Tensor, "P S"]:
    """Weights that take `side` cells over [low, high) to the pixel centres start + 0.5 ... stop - 0.5.

    Beyond the outermost cell centres the mask falls linearly to zero within one cell, as zero-padded sampling has it.
    """
    centres = torch.arange(start, stop, device=low.device, dtype=low.dtype) + 0.5
    places = (centres - low) / (high - low).clamp(min=1e-6) * side - 0.5
    cells = torch.arange(side, device=low.device, dtype=low.dtype)
    return (1 - (places[:, None] - cells).abs()).clamp(min=0)
