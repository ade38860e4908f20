"""VRSP-R: regions are grown and looked at again, masks come back over boxes that fit them, overlap is learned."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal.models.branch import RegionMasks, moved
from amodal.models.methods.vrsp_r import best_of_each_object, fitted, overlap_loss, sureness, tight
from amodal.models.regions import IMAGE, BatchTruth, Regions
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


def test_boxes_and_masks_end_where_the_image_does():
    masks = block(6, 10, 20, 16)
    boxes = torch.tensor([[-7.0, 4, 21, 32]])
    found = RegionMasks(masks, masks, boxes=boxes).within((25, 40))
    assert found.boxes is not None and found.amodal is not None
    assert found.boxes.tolist() == [[0, 4, 21, 25]]
    assert found.amodal.mean().item() == pytest.approx((20 - 6) / 21 * (16 - 10) / 21, abs=0.02)  # of what is left
    inside = RegionMasks(masks, masks, boxes=boxes).within((99, 99))
    assert inside.boxes is not None and inside.boxes.tolist() == [[0, 4, 21, 32]]
    outside = RegionMasks(masks, masks, boxes=boxes - 50).within((25, 40))
    assert outside.boxes is not None and torch.equal(outside.boxes, boxes - 50)
    assert torch.equal(RegionMasks(masks, boxes=boxes + 7).within((99, 99)).amodal, masks)


def test_overlap_is_lost_in_full_only_where_there_is_none():
    truth = block(0, 0, 14, 28).bool()
    sure = 100 * (2 * truth.float() - 1)
    assert float(overlap_loss(sure, truth)) == pytest.approx(0, abs=1e-6)
    assert float(overlap_loss(-sure, truth)) == pytest.approx(1, abs=2e-3)
    nothing = torch.zeros(0, 28, 28, requires_grad=True)
    loss = overlap_loss(nothing, nothing > 0)
    loss.backward()
    assert float(loss.detach()) == 0


def test_the_region_that_overlaps_an_object_most_takes_the_second_look():
    images, owners = torch.tensor([0, 0, 0, 1, 1, 1]), torch.tensor([0, 1, 1, 0, 0, 2])
    objects = torch.tensor([[0.0, 0, 10, 10], [20, 20, 30, 30], [40, 0, 50, 10]])
    boxes = torch.stack([objects[0] + 4, objects[1] + 1, objects[1], objects[0] - 2, objects[0] - 3, objects[2]])
    boxes[3:] *= 2  # the second image is seen at twice its size
    targets = [{"boxes": objects}, {"boxes": objects}]
    truth = BatchTruth(targets, torch.tensor([[1.0, 1], [2, 2]]))  # type: ignore[arg-type]
    regions = Regions(boxes, torch.ones(6, dtype=torch.int64), images, owners)
    assert best_of_each_object(regions, truth).tolist() == [0, 2, 3, 5]
    assert len(best_of_each_object(regions[:0], truth)) == 0


def test_detections_have_the_masks_that_the_second_look_draws():
    model = small_model(with_method("vrsp_r")).eval()
    image, _ = scene()
    (before,) = model.detect([image])
    with torch.no_grad():
        model.branch.look.predictor.bias[1::2] = -1000  # nothing is visible
    (after,) = model.detect([image])
    assert before.visible is not None and after.visible is not None and len(after.scores)
    assert before.visible.any() and not (after.visible > 0.5).any()
    torch.testing.assert_close(torch.from_numpy(after.amodal), torch.from_numpy(before.amodal))


def with_look_threshold(threshold: float, **own):
    config = with_method("vrsp_r")
    return replace(config, vrsp_r=replace(config.vrsp_r, look_threshold=threshold, **own))


def test_the_score_is_corrected_by_the_class_that_the_second_look_finds():
    model = small_model(with_look_threshold(0.0, mask_rescoring=False)).eval()
    image, _ = scene()
    with torch.no_grad():
        model.branch.look.classifier.weight.zero_()
        model.branch.look.classifier.bias.copy_(torch.tensor([0.2, 0.5, 0.3]).log())
    ((encoded, candidates),) = model.candidates([image])
    regions, scores, _ = model.choose(encoded, candidates)
    factors = torch.tensor([0.2, 0.5, 0.3])[regions.labels - 1]
    before = scores.square() / factors
    assert all(torch.isclose(candidates.scores, score, atol=1e-6).any() for score in before)
    assert torch.equal(scores, scores.sort(descending=True).values)
    threshold = scores.median().item()
    assert torch.equal(model.choose(encoded, candidates, threshold)[1], scores[scores >= threshold])


def test_a_mask_is_as_sure_as_the_cells_that_it_claims():
    masks = 0.1 + 0.8 * block(0, 0, 14, 28)
    masks[:, :7] = masks[:, :7] * 2 / 3  # 0.6 in the upper half of what is claimed
    assert sureness(masks).tolist() == pytest.approx([0.75])
    assert sureness(torch.full((2, 28, 28), 0.5)).tolist() == [0, 0]


@pytest.mark.parametrize("look_width", [64, 0])
def test_the_score_is_corrected_by_how_sure_both_masks_are(look_width):
    image, target = scene(num_objects=3)
    regions = Regions(target["boxes"], target["labels"], torch.zeros(3, dtype=torch.int64))
    answers = {}
    for mask_rescoring in (True, False):
        model = small_model(with_look_threshold(0.0, mask_rescoring=mask_rescoring, look_width=look_width)).eval()
        grown = regions.grown(model.branch.own.growth)
        features = model.encode([image])[2][0].features
        found = model.branch.predict(features, regions)
        assert found.amodal is not None and found.visible is not None
        answers[mask_rescoring] = model.branch.rescored(torch.tensor([0.2, 0.5, 0.9]), found.factors)
        drawn = model.branch._drawn(features, grown, model.branch._coarse(features, grown))[:2]
    sure = sureness(drawn[0].sigmoid()) * sureness(drawn[1].sigmoid())
    torch.testing.assert_close(answers[True], answers[False] * sure)
    assert (model.branch.rescored(torch.ones(3), ()) >= answers[True]).all()


def test_what_scores_little_keeps_its_coarse_masks_and_a_class_by_chance():
    image, target = scene(num_objects=3)
    regions = Regions(target["boxes"], target["labels"], torch.zeros(3, dtype=torch.int64))
    scores = torch.tensor([0.05, 0.5, 0.2])
    found = {}
    for threshold in (0.0, 0.1, 1.0):
        model = small_model(with_look_threshold(threshold)).eval()
        features = model.encode([image])[2][0].features
        found[threshold] = model.branch.on_demand(features, regions, scores).masks(torch.arange(3), coarse=False)
    for place, same_as in enumerate((1.0, 0.0, 0.0)):
        for name in ("amodal", "visible"):
            torch.testing.assert_close(getattr(found[0.1], name)[place], getattr(found[same_as], name)[place])
        torch.testing.assert_close(found[0.1].factors[0][place], found[same_as].factors[0][place])
    assert found[1.0].factors[0].tolist() == pytest.approx([1 / 3] * 3)
    assert not torch.allclose(found[0.0].amodal, found[1.0].amodal)


def test_without_its_own_parts_its_masks_are_those_of_two_heads_and_its_scores_are_the_detector_s():
    config = with_method("vrsp_r", prior_refinement=False)
    plain = replace(
        config, vrsp_r=replace(config.vrsp_r, growth=0.0, overlap_weight=0.0, look_width=0, mask_rescoring=False)
    )
    ours, theirs = small_model(plain).train(), small_model(with_method("two_heads")).train()
    theirs.load_state_dict(ours.state_dict())
    image, target = scene()
    torch.manual_seed(0)
    own = ours([image], [target])
    torch.manual_seed(0)
    expected = theirs([image], [target])
    for name, loss in expected.items():
        torch.testing.assert_close(
            own[name.replace("loss_amodal", "loss_coarse_amodal").replace("loss_visible", "loss_coarse_visible")], loss
        )
    assert len(own) == len(expected)
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


def test_every_part_gets_a_gradient_and_the_second_look_none_through_the_coarse_masks():
    model = small_model(with_method("vrsp_r")).train()
    image, target = scene(num_objects=2)
    features = model.backbone(image[None]) | {IMAGE: image[None]}
    regions = Regions(target["boxes"], target["labels"], torch.zeros(2, dtype=torch.int64), torch.arange(2))
    losses = model.branch.losses(features, regions, BatchTruth([target], torch.ones(1, 2)))
    drawn = losses["loss_drawn_amodal"] + losses["loss_drawn_visible"]
    drawn.backward(retain_graph=True)
    assert all(weight.grad is None for weight in model.branch.amodal_head.parameters())
    sum(losses.values()).backward()
    assert all(weight.grad is not None for weight in model.branch.parameters() if weight.requires_grad)


def test_a_known_visible_mask_is_told_to_the_second_look():
    model = small_model(with_method("vrsp_r")).eval()
    image, target = scene(num_objects=2)
    features = model.encode([image])[2][0].features
    regions = Regions(target["boxes"], target["labels"], torch.zeros(2, dtype=torch.int64))
    whole = torch.ones(2, 28, 28, dtype=torch.bool)
    found, other = (model.branch.complete(features, regions, visible) for visible in (whole, ~whole))
    assert torch.equal(found.visible, whole.float())
    assert found.amodal is not None and other.amodal is not None and not torch.allclose(found.amodal, other.amodal)
