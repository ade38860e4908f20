"""Large pictures are read only where resizing looks."""

import pytest
import torch
from torch.nn import functional as F

from amodal.models.resizing import LARGE, shrunk
from tests.small_models import small_model, with_method


@pytest.mark.parametrize("size", [(5, 9), (1, 2), (31, 40)])
def test_a_large_image_shrinks_as_torch_shrinks_it(size):
    image = torch.randint(0, 256, (3, 95, 121), dtype=torch.uint8)
    expected = F.interpolate(image[None].float() / 255, size=size, mode="bilinear", align_corners=False)[0]
    torch.testing.assert_close(shrunk(image, size), expected)


@pytest.mark.parametrize("side", [90, 640])
def test_whole_numbers_and_floats_of_an_image_are_one_to_the_model(side):
    resize = small_model(with_method("orcnn")).eval().resize
    image = torch.randint(0, 256, (3, side, side + 37), dtype=torch.uint8)
    (found, _), (expected, _) = resize([image]), resize([image.float() / 255])
    assert (image[0].numel() > LARGE * found.tensors[0, 0].numel()) == (side == 640)
    assert found.image_sizes == expected.image_sizes
    torch.testing.assert_close(found.tensors, expected.tensors, rtol=1e-5, atol=1e-5)


def test_images_are_alike_whose_padding_alone_is_the_same():
    resize = small_model(with_method("orcnn")).eval().resize
    sides = [(h, w) for h in (1, 7, 33, 64, 65, 300) for w in (1, 40, 63, 66, 95, 500)]
    images = [torch.zeros(3, *each, dtype=torch.uint8) for each in sides]
    alone = [resize([image])[0].tensors.shape for image in images]
    groups = resize.alike(images)
    assert sorted(index for group in groups for index in group) == list(range(len(images)))
    assert [len({alone[index] for index in group}) for group in groups] == [1] * len(groups)
    assert len(groups) == len(set(alone))
    for group in groups:
        assert resize([images[index] for index in group])[0].tensors.shape[1:] == alone[group[0]][1:]
