import torch

from amodal.instances import Target
from amodal.models.methods.sln import covering, level_maps, overlap_counts
from amodal.models.regions import BatchTruth


def three_deep(with_order: bool) -> Target:
    """Three bars on one row: a in front of b in front of c."""
    amodal = torch.tensor([[[1, 1, 0, 0, 0]], [[0, 1, 1, 1, 0]], [[0, 1, 1, 0, 1]]], dtype=torch.bool)
    visible = torch.tensor([[[1, 1, 0, 0, 0]], [[0, 0, 1, 1, 0]], [[0, 0, 0, 0, 1]]], dtype=torch.bool)
    target: Target = {
        "boxes": torch.zeros(3, 4),
        "labels": torch.ones(3, dtype=torch.int64),
        "amodal_masks": amodal,
        "visible_masks": visible,
    }
    if with_order:
        target["depth_order"] = torch.tensor([0, 1, 2])
    return target


def test_levels_count_what_lies_above():
    levels = level_maps(three_deep(with_order=True), 3)
    assert levels[:, 0].tolist() == [[1, 1, 0, 0, 0], [0, 2, 1, 1, 0], [0, 3, 2, 0, 1]]


def test_deeper_levels_share_the_last():
    assert level_maps(three_deep(with_order=True), 2)[2, 0].tolist() == [0, 2, 2, 0, 1]


def test_the_order_is_derived_where_the_data_has_none():
    expected = [[False, True, True], [False, False, True], [False, False, False]]
    assert covering(three_deep(with_order=False)).tolist() == expected
    assert covering(three_deep(with_order=True)).tolist() == expected


def test_overlap_counts_are_sampled_at_the_pyramids_pixels():
    amodal = torch.zeros(2, 8, 8, dtype=torch.bool)
    amodal[0, :, :4], amodal[1, 4:] = True, True
    target: Target = {
        "boxes": torch.zeros(2, 4),
        "labels": torch.ones(2, dtype=torch.int64),
        "amodal_masks": amodal,
        "visible_masks": amodal,
    }
    counts = overlap_counts(BatchTruth([target], torch.tensor([[1.0, 1.0]])), (3, 2), most=3)
    assert counts.tolist() == [[[1, 0], [2, 1], [0, 0]]]  # the third row is padding below the image
