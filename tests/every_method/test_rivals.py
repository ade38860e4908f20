"""Two heads, AISFormer and BCNet: what each loss is of, what gradient goes where, and one step of training."""

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from amodal.instances import Target
from amodal.models.mask_head import MaskHead
from amodal.models.methods.aisformer import AISFormer
from amodal.models.methods.bcnet import BCNet, boundaries
from amodal.models.methods.two_heads import TwoHeads
from amodal.models.regions import BatchTruth, RegionPooler, Regions
from tests.small_models import scene, small_model, with_method

RIVALS = ("two_heads", "aisformer", "bcnet")


class Given:
    """In place of a pooler: features of the regions that are there already."""

    side = 14

    def __call__(self, features, regions):
        return features["given"][regions.owners]


def branch(name: str, width: int = 8):
    torch.manual_seed(0)
    if name == "two_heads":
        return TwoHeads(Given(), MaskHead(8, width, 4, 3), MaskHead(8, width, 4, 3))  # type: ignore[arg-type]
    return {"aisformer": AISFormer, "bcnet": BCNet}[name](Given(), 8, width)


def two_bars() -> tuple[Regions, BatchTruth]:
    """A bar over another in an 8 x 8 image, and a third thing far from both boxes."""
    amodal = torch.zeros(3, 8, 8, dtype=torch.bool)
    amodal[0, 2:4, :6], amodal[1, :6, 2:4], amodal[2, 7, 7] = True, True, True
    visible = amodal.clone()
    visible[1] &= ~amodal[0]
    target: Target = {
        "boxes": torch.tensor([[0.0, 2, 6, 4], [2, 0, 4, 6], [7, 7, 8, 8]]),
        "labels": torch.tensor([1, 2, 3]),
        "amodal_masks": amodal,
        "visible_masks": visible,
    }
    regions = Regions(target["boxes"][:2], target["labels"][:2], torch.tensor([0, 0]), torch.tensor([0, 1]))
    return regions, BatchTruth([target], torch.ones(1, 2))


def features() -> dict[str, torch.Tensor]:
    given = torch.randn(2, 8, 14, 14, generator=torch.Generator().manual_seed(1))
    return {"given": given.requires_grad_()}


def test_others_are_what_is_seen_of_them_within_the_box():
    regions, truth = two_bars()
    behind, before = truth.crop_others(regions, 6)
    assert not behind.any()  # the lower bar is hidden where the upper one's box is
    expected = torch.zeros(6, 6, dtype=torch.bool)
    expected[2:4] = True
    assert torch.equal(before, expected)


def test_a_pixel_that_two_objects_claim_is_another_s_for_both():
    regions, truth = two_bars()
    (target,) = truth.targets
    claimed: Target = {**target, "visible_masks": target["amodal_masks"]}
    others = BatchTruth([claimed], truth.scales).crop_others(regions, 6)
    assert others[0, :, 2:4].all()
    assert others[1, 2:4].all()
    assert others.sum() == 24


@pytest.mark.parametrize("name", RIVALS)
@pytest.mark.parametrize("width", [8, 4])
def test_masks_have_twice_the_side_and_every_weight_learns(name, width):
    model = branch(name, width).train()
    regions, truth = two_bars()
    given = features()
    sum(model.losses(given, regions, truth).values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert given["given"].grad is not None
    assert given["given"].grad.abs().sum() > 0
    found = model.eval().predict(features(), regions)
    assert found.amodal.shape == found.visible.shape == (2, 28, 28)
    assert ((found.amodal >= 0) & (found.amodal <= 1)).all()


@pytest.mark.parametrize("name", RIVALS)
def test_no_region_gives_no_masks_and_no_loss(name):
    model = branch(name).train()
    regions, truth = two_bars()
    losses = model.losses(features(), regions[:0], truth)
    assert sum(losses.values()) == 0
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.grad is None] == []
    assert model.eval().predict(features(), regions[:0]).amodal.shape == (0, 28, 28)


@pytest.mark.parametrize("name", RIVALS)
def test_a_region_s_masks_do_not_depend_on_the_others(name):
    model = branch(name).eval()
    regions, _ = two_bars()
    given = features()["given"]
    with torch.no_grad():
        both = model.predict({"given": given}, regions).amodal
        alone = model.predict({"given": given}, regions[1:]).amodal
    torch.testing.assert_close(both[1:], alone)


@pytest.mark.parametrize("name", RIVALS)
def test_it_learns_masks_by_heart(name):
    model = branch(name, width=16).train()
    regions, truth = two_bars()
    regions = replace(regions, boxes=torch.tensor([[0.0, 0, 8, 8], [0, 0, 8, 8]]))  # a fifth of which is object
    crops, small = truth.crop(regions, 28), truth.crop(regions, 14)
    shown = features()["given"].detach() / 4
    shown[:, 0] += small.amodal.float()
    shown[:, 1] += small.visible.float()
    optimiser = torch.optim.Adam(model.parameters(), lr=3e-3)
    for _ in range(100):
        optimiser.zero_grad()
        sum(model.losses({"given": shown}, regions, truth).values()).backward()
        optimiser.step()
    found = model.predict({"given": shown}, regions)
    assert ((found.amodal > 0.5) == crops.amodal).float().mean() > 0.95
    assert ((found.visible > 0.5) == crops.visible).float().mean() > 0.95


def test_two_heads_losses_are_of_the_own_class_alone():
    model = branch("two_heads")
    regions, truth = two_bars()
    model.losses(features(), regions, truth)["loss_amodal"].backward()
    learned = model.amodal_head.predictor.weight.grad.abs().sum((1, 2, 3)) > 0
    assert learned.tolist() == [True, True, False]  # labels 1 and 2 of 3
    assert model.visible_head.predictor.weight.grad is None


def test_aisformer_s_losses_are_of_four_masks():
    model = branch("aisformer")
    regions, truth = two_bars()
    losses = model.losses(features(), regions, truth)
    logits = model(features()["given"])
    crops = truth.crop(regions, 28)
    wanted = {
        "visible": crops.visible,
        "occluder": truth.crop_others(regions, 28),
        "amodal": crops.amodal,
        "invisible": crops.amodal & ~crops.visible,
    }
    for name, mask in wanted.items():
        expected = F.binary_cross_entropy_with_logits(logits[name], mask.float())
        torch.testing.assert_close(losses[f"loss_{name}"], expected)


def test_aisformer_s_invisible_mask_teaches_the_amodal_and_visible_queries_and_not_its_own():
    model = branch("aisformer")
    vectors: list[torch.Tensor] = []
    model.embed_masks.register_forward_hook(lambda *a: (a[2].retain_grad(), vectors.append(a[2]))[0])
    model(features()["given"])["invisible"].sum().backward()
    taught = vectors[0].grad.abs().sum((0, 2)) > 0
    assert taught.tolist() == [True, False, True, False]  # visible, occluder, amodal, invisible


def test_aisformer_refuses_a_width_that_its_heads_cannot_share():
    with pytest.raises(ValueError, match="cannot be shared"):
        AISFormer(RegionPooler(14), 8, 6)


def test_bcnet_s_occluder_is_learnt_only_where_there_is_one():
    model = branch("bcnet")
    regions, truth = two_bars()
    losses = model.losses(features(), regions[:1], truth)
    assert losses["loss_occluder"] == losses["loss_occluder_boundary"] == 0
    assert losses["loss_amodal"] > 0
    losses = model.losses(features(), regions, truth)
    logits = model(features()["given"])
    others = truth.crop_others(regions, 28)[1:].float()
    expected = 0.25 * F.binary_cross_entropy_with_logits(logits["occluder"][1:], others)
    torch.testing.assert_close(
        losses["loss_occluder"], expected, rtol=1e-3, atol=1e-4
    )  # batch norm saw one region less


def test_bcnet_s_object_is_taught_through_the_occluder_s_features():
    model = branch("bcnet")
    regions, truth = two_bars()
    model.losses(features(), regions, truth)["loss_amodal"].backward()
    assert model.occluder_layer.convs[0].weight.grad.abs().sum() > 0
    assert model.occluder_layer.mask_predictor.weight.grad is None


def test_bcnet_s_visible_mask_is_what_the_occluder_leaves():
    model = branch("bcnet").eval()
    regions, _ = two_bars()
    found, logits = model.predict(features(), regions), model(features()["given"])
    torch.testing.assert_close(found.visible, logits["amodal"].sigmoid() * (1 - logits["occluder"].sigmoid()))


def test_boundaries_are_cells_beside_the_outside():
    mask = torch.zeros(1, 5, 5, dtype=torch.bool)
    mask[0, 1:4, 1:4] = True
    expected = mask.clone()
    expected[0, 2, 2] = False
    assert torch.equal(boundaries(mask), expected)
    assert not boundaries(torch.ones(1, 5, 5, dtype=torch.bool)).any()  # the frame is no outside


@pytest.mark.parametrize("name", RIVALS)
def test_one_step_of_training_changes_the_whole_model(name):
    model = small_model(with_method(name)).train()
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3)
    before = {n: p.detach().clone() for n, p in model.branch.named_parameters()}
    images, targets = zip(*(scene(seed=s) for s in range(2)), strict=True)
    loss = sum(model(list(images), list(targets)).values())
    loss.backward()
    optimiser.step()
    assert loss.isfinite()
    assert any(not torch.equal(p, before[n]) for n, p in model.branch.named_parameters())
