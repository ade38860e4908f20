"""VRSP's switches of training: the guided pass, what feature matching pulls towards, and what it may change."""

from dataclasses import replace

import pytest
import torch

from amodal.boxed_masks import Prompts
from amodal.models.config import DetectorConfig
from amodal.models.losses import mask_loss
from amodal.models.methods.sln import UNIONS
from amodal.models.methods.vrsp import VRSP
from amodal.models.regions import RegionPooler, RegionTruth
from tests.small_models import NUM_CLASSES, scene, small_model, with_method

REGIONS = 4
GUIDED = {"loss_guided_amodal", "loss_guided_visible"}


def branch(**switches) -> VRSP:
    model = small_model(with_method("vrsp", **switches)).branch
    assert isinstance(model, VRSP)
    return model.train()


def example() -> tuple[torch.Tensor, torch.Tensor, RegionTruth, RegionTruth]:
    """Random features and labels, and truth at 28 and at 14 cells, the upper third of which is hidden."""
    generator = torch.Generator().manual_seed(3)
    features = torch.rand(REGIONS, 8, 14, 14, generator=generator).requires_grad_()
    labels = torch.randint(1, NUM_CLASSES + 1, (REGIONS,), generator=generator)
    small = torch.rand(REGIONS, 14, 14, generator=generator) < 0.6
    fine = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    seen, seen_small = fine.clone(), small.clone()
    seen[:, :8], seen_small[:, :4] = False, False
    return features, labels, RegionTruth(fine, seen), RegionTruth(small, seen_small)


def losses_of(model: VRSP) -> tuple[dict[str, torch.Tensor], torch.Tensor]:
    """Losses of the same regions for every model, and the features that they are of."""
    given = example()
    return model.region_losses(*given), given[0]


def gradients(model: VRSP, loss: torch.Tensor) -> dict[str, torch.Tensor]:
    weights = {name: weight for name, weight in model.named_parameters() if weight.requires_grad}
    found = torch.autograd.grad(loss, list(weights.values()), allow_unused=True, retain_graph=True)
    return {name: g for name, g in zip(weights, found, strict=True) if g is not None}


@pytest.mark.parametrize("semantics", ["paper", "reference"])
@pytest.mark.parametrize("switch", [True, False])
def test_the_guided_pass_is_a_switch_of_its_own(semantics, switch):
    model = small_model(with_method("vrsp", semantics=semantics, guided_pass=switch)).train()
    images, targets = zip(*(scene(seed=s) for s in range(2)), strict=True)
    losses = model(list(images), list(targets))
    assert all((name in losses) == switch for name in GUIDED)


def test_the_guided_pass_has_no_weights_of_its_own():
    assert branch(guided_pass=True).state_dict().keys() == branch(guided_pass=False).state_dict().keys()


def test_the_guided_visible_pass_learns_the_visible_truth():
    """The authors' call leaves out which mask is meant, so that theirs learns the amodal one: not copied."""
    model = branch(guided_pass=True)
    features, labels, fine, small = example()
    features = 100 * features  # so that what masks are learned differs by more than rounding
    found = model.region_losses(features, labels, fine, small)["loss_guided_visible"]
    logits = model.visible_head(features * small.amodal[:, None]).own_class(labels)
    torch.testing.assert_close(found, mask_loss(logits, fine.visible))
    assert abs(found - mask_loss(logits, fine.amodal)) > 1e-5


@pytest.mark.parametrize("target", ["refined", "detached", "guided"])
def test_matching_teaches_through_its_target_only_where_the_target_is_not_detached(target):
    model = branch(matching_target=target)
    losses, _ = losses_of(model)
    taught = gradients(model, losses["loss_matching_amodal"])
    assert taught["amodal_head.convs.0.weight"].abs().sum() > 0
    assert ("fuse.weight" in taught) == (target == "refined")  # the fusion is in the refined pass alone


def test_matching_values_do_not_depend_on_what_is_detached():
    values = [
        losses_of(branch(matching_target=target, matching_reaches_trunk=reaches))[0]["loss_matching_visible"]
        for target, reaches in (("refined", True), ("detached", True), ("refined", False))
    ]
    assert torch.equal(values[0], values[1])
    torch.testing.assert_close(values[0], values[2])


def test_matching_can_leave_the_trunk_alone_and_teach_the_heads_alike():
    through, apart = branch(), branch(matching_reaches_trunk=False)
    found = [(model, *losses_of(model)) for model in (through, apart)]
    first, second = (gradients(model, losses["loss_matching_amodal"]) for model, losses, _ in found)
    assert first.keys() == second.keys()
    for name, gradient in first.items():
        torch.testing.assert_close(gradient, second[name])
    reached = [
        torch.autograd.grad(losses["loss_matching_amodal"], features, allow_unused=True)[0]
        for _, losses, features in found
    ]
    assert reached[0].abs().sum() > 0
    assert reached[1] is None


def test_the_reference_matches_the_guided_pass_even_where_that_is_not_trained():
    model = branch(semantics="reference", guided_pass=False)
    losses, _ = losses_of(model)
    assert GUIDED.isdisjoint(losses)
    assert "fuse.weight" not in gradients(model, losses["loss_matching_amodal"])


def test_reclassification_can_be_trained_and_leave_the_score_alone():
    model = small_model(with_method("vrsp", reclassification_rescoring=False))
    images, targets = zip(*(scene(seed=s) for s in range(2)), strict=True)
    assert "loss_reclassification" in model.train()(list(images), list(targets))
    other = small_model(with_method("vrsp"))
    other.load_state_dict(model.state_dict())
    prompts = Prompts(targets[0]["boxes"].numpy(), targets[0]["labels"].numpy())
    with torch.no_grad():
        alone, both = (one.eval().complete([images[0]], [prompts])[0] for one in (model, other))
    assert (alone.scores > both.scores).all()
    assert (alone.amodal == both.amodal).all()
    neither = small_model(with_method("vrsp", reclassification_rescoring=False, prior_rescoring=False)).branch
    assert not neither.rescores


@pytest.mark.parametrize(("side", "expected"), [(100, 0), (112, 1), (223, 1), (224, 2), (448, 3)])
def test_regions_go_to_the_level_of_their_share_of_the_canonical_size(side, expected):
    level_of = RegionPooler(14, canonical_size=224).level_of
    assert level_of([torch.tensor([[0.0, 0, side, side]])]).tolist() == [expected]
    half = RegionPooler(14, canonical_size=112).level_of
    assert half([torch.tensor([[0.0, 0, side / 2, side / 2]])]).tolist() == [expected]


def test_the_canonical_size_reaches_every_pooler():
    for method in ("vrsp", "sln", "mask_rcnn"):
        config = with_method(method)
        model = small_model(replace(config, detector=replace(config.detector, canonical_size=56)))
        small = [torch.tensor([[0.0, 0, 56, 56]])]
        assert [pool.level_of(small).tolist() for pool in (model.boxes.pool, model.branch.pool)] == [[2], [2]]
    assert DetectorConfig().canonical_size == 224


def test_sln_s_unions_of_levels():
    logits = torch.tensor([[-2.0, 3.0], [1.0, -1.0], [-100.0, -100.0]]).reshape(3, 2, 1, 1)
    p = logits.sigmoid()
    on_any = 1 - (1 - p[:, 0]) * (1 - p[:, 1])
    torch.testing.assert_close(UNIONS["any"](logits).sigmoid(), on_any)
    torch.testing.assert_close(UNIONS["sum"](logits)[:, 0, 0], torch.tensor([1.0, 0.0, -200.0]))
    torch.testing.assert_close(UNIONS["logsumexp"](logits)[0, 0, 0], torch.tensor([-2.0, 3.0]).logsumexp(0))
    hopeless = torch.full((1, 3, 1, 1), -200.0, requires_grad=True)
    UNIONS["any"](hopeless).sum().backward()
    assert hopeless.grad.isfinite().all()
