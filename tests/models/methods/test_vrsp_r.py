"""VRSP-R: regions are grown, masks come back over boxes that fit them, and overlap is learned."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal.models.branch import RegionMasks, moved
from amodal.models.joint_masks import JointMasks
from amodal.models.methods.vrsp_r import fitted, overlap_loss, tight
from amodal.models.regions import BatchTruth, Regions
from tests.small_models import scene, small_model, with_method

WHOLE = torch.tensor([[0.0, 0, 28, 28]])


def block(top: int, left: int, bottom: int, right: int, side: int = 28) -> torch.Tensor:
    masks = torch.zeros(1, side, side)
    masks[0, top:bottom, left:right] = 1
    return masks


def test_regions_grow_about_their_centres_and_say_by_how_much():
    regions = Regions(torch.tensor([[10.0, 20, 20, 40]]), torch.tensor([1]), torch.tensor([0]))
    grown = regions.grown(0.2)
    assert grown.boxes.tolist() == [[9, 18, 21, 42]]
    assert (grown.growth, grown[:1].growth, regions.growth) == (0.2, 0.2, 0)
    assert torch.equal(regions.grown(0.0).boxes, regions.boxes)


@given(st.integers(0, 20), st.integers(0, 20), st.integers(1, 8), st.integers(1, 8))
def test_a_box_fits_its_mask_wherever_the_region_lies(top, left, height, width):
    masks = block(top, left, top + height, left + width)
    over = torch.tensor([[100.0, 50, 156, 78]])  # cells of 2 x 1 pixels
    expected = [[100 + 2 * left, 50 + top, 100 + 2 * (left + width), 50 + top + height]]
    torch.testing.assert_close(tight(masks, over, over), torch.tensor(expected, dtype=torch.float32))


def test_a_box_ends_where_the_mask_crosses_a_half_and_an_empty_mask_keeps_its_own():
    masks = torch.cat([block(4, 4, 8, 8), torch.zeros(1, 28, 28)])
    masks[0, 4:8, 3] = 0.25  # from 0.25 to 1 a half is crossed a third of the way between the centres 3.5 and 4.5
    own = torch.tensor([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    first, second = tight(masks, WHOLE.expand(2, 4), own)
    torch.testing.assert_close(first, torch.tensor([3.5 + 1 / 3, 4, 8, 8]))
    assert torch.equal(second, own[1])
    assert tight(masks[:0], own[:0], own[:0]).shape == (0, 4)


@settings(max_examples=30)
@given(st.integers(0, 1000))
def test_moved_masks_are_read_off_at_the_same_places(seed):
    generator = torch.Generator().manual_seed(seed)
    masks = torch.rand(3, 28, 28, generator=generator)
    over = torch.tensor([[0.0, 0, 28, 28]]).expand(3, 4)
    torch.testing.assert_close(moved(masks, over, over), masks)
    part = torch.tensor([[3.0, 5, 10, 26]]).expand(3, 4)  # whole cells, as many as are asked for along the first axis
    torch.testing.assert_close(moved(masks, over, part, 7)[:, :, 2], masks[:, 5:26, 5].unflatten(1, (7, 3))[:, :, 1])
    assert not moved(masks, over, over + 28).any()


def test_fitted_masks_lie_over_the_object_and_come_back_over_any_box():
    masks = block(6, 10, 20, 16)
    found = fitted(RegionMasks(masks, masks), WHOLE, torch.tensor([[9.0, 5, 17, 21]]))
    assert found.boxes is not None and found.amodal is not None
    assert found.boxes.tolist() == [[10, 6, 16, 20]]
    assert found.amodal[:, 4:-4, 8:-8].min() > 0.99
    back = found.over(WHOLE, 28)
    assert back.boxes is None and back.amodal is not None
    assert torch.equal(back.amodal > 0.5, masks > 0.5)


def test_overlap_is_lost_in_full_only_where_there_is_none():
    truth = block(0, 0, 14, 28).bool()
    sure = 100 * (2 * truth.float() - 1)
    assert float(overlap_loss(sure, truth)) == pytest.approx(0, abs=1e-6)
    assert float(overlap_loss(-sure, truth)) == pytest.approx(1, abs=2e-3)
    nothing = torch.zeros(0, 28, 28, requires_grad=True)
    loss = overlap_loss(nothing, nothing > 0)
    loss.backward()
    assert float(loss.detach()) == 0


def test_masks_corrected_together_begin_as_they_are_and_each_learns_of_the_other():
    joint = JointMasks(4, 8)
    features, amodal, visible = torch.rand(3, 4, 14, 14), torch.randn(3, 28, 28), torch.randn(3, 28, 28)
    before = joint(features, amodal, visible)
    assert torch.equal(before[0], amodal) and torch.equal(before[1], visible)
    torch.nn.init.normal_(joint.predictor.weight)
    corrected = joint(features, amodal, visible)
    other = joint(features, amodal, -visible)
    assert not torch.allclose(corrected[0], amodal) and not torch.allclose(corrected[0], other[0])
    assert [part.shape for part in joint(features[:0], amodal[:0], visible[:0])] == [(0, 28, 28)] * 2


def test_detections_have_the_masks_that_were_corrected_together():
    model = small_model(with_method("vrsp_r")).eval()
    image, _ = scene()
    (before,) = model.detect([image])
    with torch.no_grad():
        model.branch.joint.predictor.bias[1] = -1000  # nothing is visible
    (after,) = model.detect([image])
    assert before.visible is not None and after.visible is not None and len(after.scores)
    assert before.visible.any() and not (after.visible > 0.5).any()
    torch.testing.assert_close(torch.from_numpy(after.amodal), torch.from_numpy(before.amodal))


def test_without_its_own_parts_it_learns_as_vrsp_does_and_its_scores_are_the_detector_s():
    config = with_method("vrsp_r")
    plain = replace(config, vrsp_r=replace(config.vrsp_r, growth=0.0, overlap_weight=0.0, joint_width=0))
    ours, theirs = small_model(plain).train(), small_model(with_method("vrsp")).train()
    theirs.load_state_dict(ours.state_dict())
    image, target = scene()
    torch.manual_seed(0)
    own = ours([image], [target])
    torch.manual_seed(0)
    expected = theirs([image], [target])
    assert own.keys() == expected.keys()
    for name, loss in expected.items():
        torch.testing.assert_close(own[name], loss)
    assert not ours.branch.rescores
    ((_, candidates),) = ours.eval().candidates([image])
    (found,) = ours.detect([image])
    assert set(found.scores.tolist()) <= set(candidates.scores.tolist())


def test_detections_have_the_boxes_of_their_masks():
    model = small_model(with_method("vrsp_r")).eval()
    image, _ = scene()
    (found,) = model.detect([image])
    assert found.amodal is not None and found.amodal.shape[-1] == 56
    amodal, _ = found.pasted((64, 80))
    assert amodal is not None
    for box, mask in zip(found.boxes, amodal, strict=True):
        rows, columns = mask.any(1).nonzero()[0], mask.any(0).nonzero()[0]
        if len(rows):  # to a cell of the region, which is at most as large as the image
            ends = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
            assert max(abs(a - b) for a, b in zip(ends, box.clip(0, [80, 64, 80, 64]), strict=True)) <= 3.5


def test_every_part_gets_a_gradient_from_the_grown_region_alone():
    model = small_model(with_method("vrsp_r")).train()
    image, target = scene(num_objects=2)
    features = model.backbone(image[None])
    regions = Regions(target["boxes"], target["labels"], torch.zeros(2, dtype=torch.int64), torch.arange(2))
    losses = model.branch.losses(features, regions, BatchTruth([target], torch.ones(1, 2)))
    sum(losses.values()).backward()
    assert all(weight.grad is not None for weight in model.branch.parameters() if weight.requires_grad)
    wider = Regions(regions.grown(0.2).boxes, regions.labels, regions.images, regions.owners)
    plain = small_model(with_method("vrsp")).train()
    own = {name: weight for name, weight in model.state_dict().items() if not name.startswith("branch.joint.")}
    plain.load_state_dict(own)
    expected = plain.branch.losses(features, wider, BatchTruth([target], torch.ones(1, 2)))
    torch.testing.assert_close(losses["loss_refined_amodal"], expected["loss_refined_amodal"])
