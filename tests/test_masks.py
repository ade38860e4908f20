from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from amodal import masks, rle
from amodal.boxed_masks import BoxedMasks


def paste(probabilities: torch.Tensor, boxes: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    number = len(boxes)
    found = BoxedMasks(
        boxes.numpy(), np.ones(number, np.int64), np.ones(number, np.float32), probabilities.numpy(), None
    )
    return torch.from_numpy(found.pasted(size)[0])


def mask(*rows: str) -> torch.Tensor:
    return torch.tensor([[cell == "#" for cell in row] for row in rows])


L = mask(
    "#...",
    "#...",
    "##..",
)
TOP = mask(
    "#...",
    "....",
    "....",
)
EMPTY = torch.zeros(3, 4, dtype=torch.bool)


def test_areas_boxes_and_occlusion_rates():
    amodal, visible = torch.stack([L, TOP, EMPTY]), torch.stack([TOP, TOP, EMPTY])
    assert masks.areas(amodal).tolist() == [4, 1, 0]
    assert masks.boxes(amodal).tolist() == [[0, 0, 2, 3], [0, 0, 1, 1], [0, 0, 0, 0]]
    assert masks.occlusion_rates(amodal, visible).tolist() == [0.75, 0, 0]
    assert torch.equal(masks.invisible(amodal, visible)[0], L & ~TOP)


def test_no_masks_at_all():
    none = torch.zeros(0, 3, 4, dtype=torch.bool)
    assert masks.boxes(none).shape == (0, 4)
    assert masks.occlusion_rates(none, none).shape == (0,)
    assert masks.crop(none, torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), 7).shape == (0, 7, 7)
    assert paste(torch.zeros(0, 7, 7), torch.zeros(0, 4), (3, 4)).shape == (0, 3, 4)


def test_ious():
    assert masks.ious(torch.stack([L, EMPTY]), torch.stack([TOP, EMPTY])).tolist() == [0.25, 0]


def test_a_crop_over_whole_pixels_is_the_pixels_and_paste_is_its_inverse():
    picture = torch.zeros(1, 12, 12, dtype=torch.bool)
    picture[0, 2:5, 4:8] = L
    box = torch.tensor([[4.0, 2.0, 8.0, 6.0]])
    crop = masks.crop(picture, box, torch.tensor([0]), 4)
    assert torch.equal(crop[0], torch.cat([L, EMPTY[:1]]))
    assert torch.equal(paste(crop.float(), box, (12, 12)), picture)


def test_each_region_is_cropped_from_its_owner():
    two = torch.stack([F.pad(L, (0, 4, 0, 5)), F.pad(TOP, (0, 4, 0, 5))])
    box = torch.tensor([[0.0, 0.0, 4.0, 4.0]]).repeat(2, 1)
    crops = masks.crop(two, box, torch.tensor([1, 0]), 4)
    assert crops.sum((1, 2)).tolist() == [1, 4]


@pytest.mark.parametrize("box", [[3.3, 2.1, 17.8, 14.9], [-5.5, -2.0, 8.25, 30.0], [10.0, 10.0, 10.4, 10.4]])
def test_paste_equals_sampling_the_whole_image(box):
    """The dense way: for every pixel centre of the image, sample the zero-padded mask bilinearly."""
    torch.manual_seed(0)
    probabilities, size = torch.rand(1, 28, 28), (20, 24)
    left, top, right, bottom = box
    x = (torch.arange(size[1]) + 0.5 - left) / (right - left) * 2 - 1
    y = (torch.arange(size[0]) + 0.5 - top) / (bottom - top) * 2 - 1
    grid = torch.stack(torch.meshgrid(x, y, indexing="xy"), -1)[None]
    dense = F.grid_sample(probabilities[None], grid, align_corners=False)[0] > 0.5
    assert torch.equal(paste(probabilities, torch.tensor([box]), size), dense)


def test_a_visible_mask_stays_within_its_amodal_one_and_run_lengths_are_those_of_the_pasted_masks():
    rng = np.random.default_rng(0)
    boxes = np.array([[3.3, 2.1, 17.8, 14.9], [-5.5, -2.0, 8.25, 30.0], [30.0, 0, 40, 10]], np.float32)
    amodal, visible = rng.random((2, 3, 7, 7), dtype=np.float32)
    both = BoxedMasks(boxes, np.ones(3, np.int64), np.ones(3, np.float32), amodal, visible)
    alone = replace(both, amodal=None)
    whole, seen = both.pasted((20, 24))
    assert (seen == (whole & alone.pasted((20, 24))[1])).all()
    assert (alone.pasted((20, 24))[1] & ~whole).any()
    assert both.encoded((20, 24)) == (rle.encode(whole), rle.encode(seen))
    assert alone.encoded((20, 24))[0] is alone.pasted((20, 24))[0] is None


def test_a_box_outside_the_image_pastes_nothing():
    pasted = paste(torch.ones(2, 4, 4), torch.tensor([[30.0, 0, 40, 10], [5, 5, 5, 9]]), (10, 10))
    assert not pasted.any()
