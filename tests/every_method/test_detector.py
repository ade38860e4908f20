"""Every method on the same detector: losses, shapes, empties, batch equals single, checkpoints."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from amodal.annotations import Category
from amodal.boxed_masks import Prompts
from amodal.errors import UserError
from amodal.models import checkpoint
from amodal.models.config import BackboneConfig, MaskConfig
from amodal.models.losses import matching_loss
from amodal.models.regions import RegionPooler, Regions
from amodal.models.zoo import build
from tests.small_models import NUM_CLASSES, SMALL, scene, small_model, small_prior, with_method

METHODS = {
    "mask_rcnn": with_method("mask_rcnn"),
    "mask_rcnn_visible": replace(with_method("mask_rcnn"), mask=MaskConfig(8, truth="visible")),
    "mask_rcnn_c8": replace(with_method("mask_rcnn"), mask=MaskConfig(8, num_convs=8)),
    "two_heads": with_method("two_heads"),
    "orcnn": with_method("orcnn"),
    "sln": with_method("sln"),
    "aisformer": with_method("aisformer"),
    "bcnet": with_method("bcnet"),
    "vrsp": with_method("vrsp"),
    "vrsp_r": with_method("vrsp_r"),
    "vrsp_reference": with_method("vrsp", semantics="reference"),
}
LOSSES = {
    "mask_rcnn": {"amodal"},
    "mask_rcnn_visible": {"visible"},
    "mask_rcnn_c8": {"amodal"},
    "orcnn": {"amodal", "visible", "invisible"},
    "two_heads": {"amodal", "visible"},
    "sln": {"levels", "amodal", "overlap"},
    "aisformer": {"visible", "occluder", "amodal", "invisible"},
    "bcnet": {"amodal", "boundary", "occluder", "occluder_boundary"},
    "vrsp": {"coarse_amodal", "coarse_visible", "refined_amodal", "refined_visible", "reclassification"}
    | {"matching_amodal", "matching_visible", "guided_amodal", "guided_visible"},
}
LOSSES["vrsp_reference"] = LOSSES["vrsp"]
DRAWN = {f"{stage}_{kind}" for stage in ("coarse", "drawn") for kind in ("amodal", "visible")}
LOSSES["vrsp_r"] = DRAWN | {f"{name}_overlap" for name in DRAWN} | {"drawn_class"}
DETECTOR_LOSSES = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}


@pytest.mark.parametrize("name", METHODS)
def test_every_loss_is_there_and_every_weight_learns(name):
    model = small_model(METHODS[name]).train()
    images, targets = zip(*(scene(seed=s) for s in range(2)), strict=True)
    losses = model(list(images), list(targets))
    assert {key.removeprefix("loss_") for key in losses.keys() - DETECTOR_LOSSES} == LOSSES[name]
    assert all(loss.isfinite() and loss.dim() == 0 for loss in losses.values())
    sum(losses.values()).backward()
    idle = [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None]
    assert idle == []


@pytest.mark.parametrize("name", METHODS)
def test_images_without_objects_still_train_every_weight(name):
    model = small_model(METHODS[name]).train()
    image, target = scene(num_objects=0)
    losses = model([image], [target])
    assert all(loss.isfinite() for loss in losses.values())
    sum(losses.values()).backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", METHODS)
def test_predictions_hold_their_promises(name):
    model = small_model(METHODS[name]).eval()
    image, _ = scene(height=50, width=70)
    with torch.no_grad():
        (prediction,) = model([image])
    kinds = {"mask_rcnn_visible": {"visible"}, "mask_rcnn": {"amodal"}, "mask_rcnn_c8": {"amodal"}}
    for kind in kinds.get(name, {"amodal", "visible"}):
        assert prediction[f"{kind}_masks"].shape == (len(prediction["boxes"]), 50, 70)
        assert prediction[f"{kind}_masks"].dtype == torch.bool
    assert len(prediction["boxes"]) > 0
    scores = prediction["scores"]
    assert torch.equal(scores, scores.sort(descending=True).values)
    assert scores.min() >= 0
    assert scores.max() <= 1
    assert set(prediction["labels"].tolist()) <= set(range(1, NUM_CLASSES + 1))
    if {"amodal_masks", "visible_masks"} <= prediction.keys():
        assert not (prediction["visible_masks"] & ~prediction["amodal_masks"]).any()


@pytest.mark.parametrize("name", METHODS)
def test_images_in_which_nothing_is_proposed(name, monkeypatch):
    model = small_model(METHODS[name]).eval()
    monkeypatch.setattr(
        model.propose, "forward", lambda batch, *_: ([torch.zeros(0, 4) for _ in batch.image_sizes], {})
    )
    for found in model([torch.rand(3, 64, 80), torch.rand(3, 48, 64)]):
        assert [len(found[key]) for key in ("boxes", "labels", "scores")] == [0, 0, 0]


SIZES = ((64, 64), (48, 96), (64, 64), (96, 48), (9, 300))


@pytest.mark.parametrize("name", METHODS)
def test_a_batch_of_any_sizes_gives_what_each_image_gives_alone(name):
    model = small_model(METHODS[name]).eval()
    images = [scene(height=height, width=width, seed=number)[0] for number, (height, width) in enumerate(SIZES)]
    prompts = Prompts(np.float32([[1, 1, 9, 8], [3, 2, 40, 9]]), np.int64([1, 2]))
    with torch.no_grad():
        together, alone = model.detect(images), [model.detect([image])[0] for image in images]
        together += model.complete(images, [prompts] * len(images))
        alone += [model.complete([image], [prompts])[0] for image in images]
    for batch, single in zip(together, alone, strict=True):
        assert batch.labels.tolist() == single.labels.tolist()
        np.testing.assert_allclose(batch.boxes, single.boxes, rtol=1e-3, atol=1e-2)
        np.testing.assert_allclose(batch.scores, single.scores, rtol=1e-3)


@pytest.mark.parametrize("name", METHODS)
def test_completing_given_boxes(name):
    model = small_model(METHODS[name]).eval()
    image, target = scene(num_objects=2)
    nothing = {"boxes": target["boxes"][:0], "labels": target["labels"][:0]}
    with torch.no_grad():
        prompts = [Prompts(each["boxes"].numpy(), each["labels"].numpy()) for each in (target, nothing)]
        found, empty = model.complete([image, image], prompts)
    np.testing.assert_allclose(found.boxes, target["boxes"].numpy(), rtol=1e-5)
    assert found.labels.tolist() == target["labels"].tolist()
    assert len(empty) == 0


def test_a_switched_off_part_has_no_weights():
    def parts(**switches) -> set[str]:
        model = small_model(with_method("vrsp", **switches))
        return {name.split(".")[1] for name in model.state_dict() if name.startswith("branch.")}

    everything = parts()
    assert everything == {"amodal_head", "visible_head", "fuse", "reclassifier", "prior"}
    assert parts(reclassification=False) == everything - {"reclassifier"}
    assert parts(prior_refinement=False) == everything - {"fuse"}
    assert parts(prior_refinement=False, prior_rescoring=False) == everything - {"fuse", "prior"}


@pytest.mark.parametrize("attention", ["self", "visible", "cross", "ours"])
def test_attention_types(attention):
    """Table 3: which mask guides which, by taking gradients of the refined masks back to the coarse ones."""
    branch = small_model(with_method("vrsp", attention=attention, prior_refinement=False)).branch
    features, labels = torch.rand(2, 8, 14, 14), torch.tensor([1, 3])
    passes = branch.passes(features, labels)

    def guided_by(refined, coarse) -> bool:
        gradient = torch.autograd.grad(refined.logits.sum(), coarse.cells, retain_graph=True, allow_unused=True)[0]
        return gradient is not None and bool(gradient.any())

    found = {
        (refined, coarse): guided_by(getattr(passes, f"refined_{refined}"), getattr(passes, f"coarse_{coarse}"))
        for refined in ("amodal", "visible")
        for coarse in ("amodal", "visible")
    }
    expected = {
        "self": {("amodal", "amodal"), ("visible", "visible")},
        "visible": {("amodal", "visible"), ("visible", "visible")},
        "cross": {("amodal", "visible"), ("visible", "amodal")},
        "ours": {("amodal", "amodal"), ("visible", "amodal")},
    }
    assert {pair for pair, is_guided in found.items() if is_guided} == expected[attention]


def test_the_model_is_bounded_by_its_scores_without_factors():
    for semantics in ("paper", "reference"):
        branch = small_model(with_method("vrsp", semantics=semantics)).branch
        scores = torch.rand(50)
        factors = (torch.rand(50), torch.rand(50))
        assert (branch.rescored(scores, factors) <= branch.rescored(scores, ()) + 1e-6).all()


def test_a_checkpoint_gives_the_same_model(tmp_path):
    for config in (METHODS["vrsp"], METHODS["orcnn"]):
        model = small_model(config).eval()
        categories = [Category(i, f"thing {i}") for i in range(1, NUM_CLASSES + 1)]
        path = tmp_path / "model.safetensors"
        checkpoint.save(path, checkpoint.Checkpoint(model, config, categories, {"step": 7}))
        loaded = checkpoint.load(path)
        assert (loaded.config, loaded.categories, loaded.details) == (config, categories, {"step": 7})
        image, _ = scene()
        with torch.no_grad():
            (before,), (after,) = model([image]), loaded.model([image])
        assert all(torch.equal(before[key], after[key]) for key in before)


def test_a_checkpoint_of_half_the_size(tmp_path):
    model = small_model(METHODS["vrsp"]).eval()
    categories = [Category(i, f"thing {i}") for i in range(1, NUM_CLASSES + 1)]
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    checkpoint.save(whole, checkpoint.Checkpoint(model, METHODS["vrsp"], categories))
    checkpoint.save(half, checkpoint.Checkpoint(model, METHODS["vrsp"], categories), half=True)
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    found = checkpoint.load(half).model.state_dict()
    for name, value in model.state_dict().items():
        assert found[name].dtype == value.dtype
        torch.testing.assert_close(found[name], value, rtol=1e-3, atol=1e-6)


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(UserError, match="no such file"):
        checkpoint.load(tmp_path / "missing.safetensors")
    text = tmp_path / "text.safetensors"
    text.write_text("not a checkpoint")
    with pytest.raises(UserError, match=r"text\.safetensors"):
        checkpoint.load(text)
    prior = tmp_path / "prior.safetensors"
    small_prior().save(prior)
    with pytest.raises(UserError, match="amodal shape prior"):
        checkpoint.load(prior)


def test_vrsp_wants_a_prior_of_the_right_classes():
    with pytest.raises(UserError, match="needs a shape prior"):
        build(SMALL, NUM_CLASSES)
    with pytest.raises(UserError, match="knows 3 classes, the data has 5"):
        build(SMALL, 5, small_prior())


@pytest.mark.parametrize(
    ("backbone", "message"),
    [
        (BackboneConfig("resnet51"), r"no backbone is called 'resnet51'. Did you mean .*resnet50"),
        (BackboneConfig("qqq"), "no backbone is called 'qqq'. Use one of resnet18"),
        (BackboneConfig("resnet18", "nowhere.pth"), "no such file"),
    ],
)
def test_backbones_that_cannot_be_had(backbone, message):
    with pytest.raises(UserError, match=message):
        build(replace(with_method("mask_rcnn"), backbone=backbone), NUM_CLASSES)


def test_weights_of_another_network(tmp_path):
    path = tmp_path / "weights.pth"
    torch.save({"conv1.weight": torch.zeros(1)}, path)
    with pytest.raises(UserError, match="another network"):
        build(replace(with_method("mask_rcnn"), backbone=BackboneConfig("resnet18", str(path))), NUM_CLASSES)


def test_backbone_weights_from_a_file(tmp_path):
    from torchvision.models import resnet18

    source = resnet18()
    path = tmp_path / "weights.pth"
    torch.save(source.state_dict(), path)
    config = replace(with_method("mask_rcnn"), backbone=BackboneConfig("resnet18", str(path), 2, 8))
    model = build(config, NUM_CLASSES)
    torch.testing.assert_close(model.backbone.body["layer4"][0].conv1.weight, source.layer4[0].conv1.weight)
    frozen = {n.split(".")[2] for n, p in model.backbone.named_parameters() if not p.requires_grad}
    assert frozen == {"conv1", "0"} or frozen >= {"weight"}


def test_efficientnet_lite0_needs_no_download():
    config = BackboneConfig("tf_efficientnet_lite0", "efficientnet_lite0", 2, 8)
    model = build(replace(with_method("mask_rcnn"), backbone=config), NUM_CLASSES)
    features = model.backbone(torch.rand(1, 3, 64, 64))
    assert [tuple(features[level].shape[-2:]) for level in "0123"] == [(16, 16), (8, 8), (4, 4), (2, 2)]
    trained = [p.requires_grad for n, p in model.backbone.named_parameters() if n.startswith("body.blocks.5")]
    assert all(trained)
    assert not model.backbone.body.conv_stem.weight.requires_grad


def test_regions_are_pooled_as_aligned_roi_align():
    """A ramp in x, pooled over a box, is the ramp at the cells' centres: no half-cell shift."""
    ramp = torch.arange(32.0).repeat(32, 1)[None, None]
    features = dict.fromkeys("0123", ramp)
    box = torch.tensor([[16.0, 16.0, 72.0, 72.0]])  # 56 px at stride 4: 14 cells of one feature pixel
    regions = Regions(box, torch.tensor([1]), torch.tensor([0]))
    pooled = RegionPooler(14)(features, regions)
    torch.testing.assert_close(pooled[0, 0, 0], torch.arange(4.0, 18.0))


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_feature_matching_is_one_minus_the_cosine_with_its_gradient(layout: torch.memory_format):
    def features() -> torch.Tensor:
        drawn = torch.randn(3, 4, 5, 5, dtype=torch.float64).relu().contiguous(memory_format=layout)
        drawn[2] = 0  # a region without any
        return drawn.requires_grad_()

    torch.manual_seed(0)
    first, second = features(), features()
    cosines = torch.nn.functional.cosine_similarity(first.flatten(1), second.flatten(1))
    expected = torch.autograd.grad((1 - cosines).mean(), (first, second))
    assert matching_loss(first, second).item() == pytest.approx((1 - cosines).mean().item())
    found = torch.autograd.grad(matching_loss(first, second), (first, second))
    for own, other in zip(found, expected, strict=True):
        torch.testing.assert_close(own[:2], other[:2])
        assert not own[2].any()
    (alone,) = torch.autograd.grad(matching_loss(first, second.detach()), [first])
    torch.testing.assert_close(alone[:2], expected[0][:2])
    nothing = matching_loss(first[:0], second[:0])
    assert nothing == 0
    assert nothing.requires_grad
