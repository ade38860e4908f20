"""What makes inference fast changes no number: pooling, masks on demand, chunks, channels last."""

import numpy as np
import pytest
import torch
from torchvision.ops import roi_align

from amodal.models.align import Places, align
from amodal.models.losses import mask_loss, matching_loss
from amodal.models.mask_head import CHUNK, MaskHead
from amodal.models.methods.vrsp import GUIDES, VRSP
from amodal.models.refinement import CachedRows, EagerRows, Refinement
from amodal.models.regions import RegionPooler, Regions, RegionTruth
from tests.own_class import own_class
from tests.small_models import scene, small_model, with_method


def vrsp(**switches) -> VRSP:
    branch = small_model(with_method("vrsp", **switches)).branch
    assert isinstance(branch, VRSP)
    return branch


def boxes(count: int, reach: float) -> torch.Tensor:
    """Boxes of all sizes, some of which leave the image."""
    low = torch.rand(count, 2) * 1.5 * reach - 0.25 * reach
    return torch.cat([low, low + torch.rand(count, 2) * reach], 1)


@pytest.mark.parametrize(("side", "samples"), [(7, 2), (14, 2), (3, 1)])
@pytest.mark.parametrize("count", [0, 40])
def test_align_is_torchvisions(side, samples, count):
    torch.manual_seed(0)
    level, images, found = torch.rand(2, 5, 9, 13), torch.randint(0, 2, (count,)), boxes(count, 12)
    expected = roi_align(level, torch.cat([images[:, None].float(), found], 1), side, 1.0, samples, aligned=True)
    places = Places(torch.zeros_like(images), images, found)
    torch.testing.assert_close(align([level], [1], places, side, samples).permute(0, 3, 1, 2), expected)


@pytest.mark.parametrize("finest", [64, 8])  # levels of more and of fewer numbers than are pooled
@pytest.mark.parametrize("count", [0, 60])
def test_pooling_and_its_gradient_are_torchvisions(finest, count):
    torch.manual_seed(0)
    features = {str(i): torch.rand(2, 4, finest >> i, (finest + 16) >> i, requires_grad=True) for i in range(4)}
    regions = Regions(boxes(count, 300), torch.ones(count, dtype=torch.int64), torch.randint(0, 2, (count,)))
    pool = RegionPooler(7)
    found, expected = pool(features, regions), torch.zeros(count, 4, 7, 7)
    levels = pool.level_of([regions.boxes])
    for i, level in enumerate(features.values()):
        which = torch.where(levels == i)[0]
        places = torch.cat([regions.images[which, None].float(), regions.boxes[which]], 1)
        expected = expected.index_copy(0, which, roi_align(level, places, 7, 0.25 / 2**i, 2, aligned=True))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)
    with torch.no_grad():
        torch.testing.assert_close(pool(features, regions), found, rtol=0, atol=0)
    wanted = torch.randn_like(expected)
    gradients = (torch.autograd.grad(pooled, list(features.values()), wanted) for pooled in (found, expected))
    for own, other in zip(*gradients, strict=True):
        torch.testing.assert_close(own, other, rtol=1e-4, atol=1e-4)


def plain(head: MaskHead, features: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the deconvolution gives, and every class's masks, layer by layer as the papers have them."""
    for conv in head.convs:
        features = conv(features).relu()
    upsampled = head.deconv(features).relu()
    return upsampled, head.predictor(upsampled)


def test_a_head_learns_what_its_layers_would_learn():
    torch.manual_seed(0)
    head = MaskHead(8, 8, 2, 5)
    labels, truth = torch.tensor([1, 5, 2, 5]), torch.rand(4, 28, 28) > 0.5
    features, target = torch.rand(4, 8, 14, 14, requires_grad=True), torch.rand(4, 8, 14, 14, requires_grad=True)
    found, wanted = head(features), head(target)
    upsampled, logits = plain(head, features)
    torch.testing.assert_close(found.logits, logits)
    torch.testing.assert_close(found.own_class(labels), own_class(logits, labels))
    losses = mask_loss(found.own_class(labels), truth) + matching_loss(found.cells, wanted.cells)
    expected = mask_loss(own_class(logits, labels), truth) + matching_loss(upsampled, plain(head, target)[0])
    torch.testing.assert_close(losses, expected)
    learnt = [features, target, *head.parameters()]
    for name, *both in zip(
        range(len(learnt)), *(torch.autograd.grad(x, learnt) for x in (losses, expected)), strict=True
    ):
        torch.testing.assert_close(*both, rtol=1e-4, atol=1e-7, msg=lambda told, name=name: f"{name}: {told}")


@pytest.mark.parametrize("count", [0, 1, CHUNK + 3])
def test_a_heads_own_class_alone(count):
    torch.manual_seed(0)
    head = MaskHead(8, 8, 2, 5)
    features, labels = torch.rand(count, 8, 14, 14), torch.randint(1, 6, (count,))
    expected = own_class(plain(head, features)[1], labels)
    for layout in (torch.contiguous_format, torch.channels_last):
        found = head.own_class(features.contiguous(memory_format=layout), labels)
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", GUIDES)
@pytest.mark.parametrize("switches", [{}, {"prior_refinement": False}, {"visible_attention": False}])
def test_masks_on_demand_are_those_of_training(attention, switches):
    branch = vrsp(attention=attention, **switches)
    features, labels = torch.rand(7, 8, 14, 14), torch.tensor([1, 2, 3, 1, 2, 3, 1])
    with torch.no_grad():
        passes = branch.passes(features, labels)
        for keep in (CachedRows, EagerRows):
            masks = Refinement(branch, lambda which: features[which], labels, keep).masks
            for name, rows in masks.items():
                expected = own_class(getattr(passes, name).logits, labels)
                torch.testing.assert_close(rows(torch.arange(7)), expected, rtol=1e-3, atol=1e-5)


def test_rows_are_computed_once_and_only_where_asked():
    asked: list[int] = []

    def squares(which: torch.Tensor) -> torch.Tensor:
        asked.extend(which.tolist())
        return which.float() ** 2

    rows = CachedRows(squares, 6)
    assert rows(torch.tensor([4, 1])).tolist() == [16, 1]
    assert rows(torch.tensor([1, 2, 4])).tolist() == [1, 4, 16]
    assert rows(torch.tensor([], dtype=torch.int64)).tolist() == []
    assert asked == [4, 1, 2]


def test_coarse_masks_are_made_when_they_are_wanted_and_change_nothing():
    model = small_model(with_method("vrsp")).eval()
    image, _ = scene()
    with torch.no_grad():
        (without,), (with_them,) = (model.detect([image], coarse=coarse) for coarse in (False, True))
    assert without.coarse is None
    assert with_them.coarse is not None
    assert not np.array_equal(with_them.coarse.amodal, with_them.amodal)
    for name in ("boxes", "labels", "scores", "amodal", "visible"):
        assert np.array_equal(getattr(without, name), getattr(with_them, name))


@pytest.mark.parametrize("method", ["vrsp", "orcnn"])
def test_a_score_threshold_only_leaves_out_what_is_below(method):
    model = small_model(with_method(method)).eval()
    with torch.no_grad():
        (everything,) = model.detect([scene()[0]])
        least = float(everything.scores[3])
        (found,) = model.detect([scene()[0]], score_threshold=least)
    assert len(found) == len(found.amodal) == int((everything.scores >= least).sum())
    np.testing.assert_allclose(found.boxes, everything.boxes[: len(found)], rtol=1e-5)
    np.testing.assert_allclose(found.scores, everything.scores[: len(found)], rtol=1e-5)


@pytest.mark.parametrize("method", ["mask_rcnn", "orcnn", "vrsp"])
def test_bfloat16_trains_and_predicts(method):
    model = small_model(with_method(method)).train()
    image, target = scene()
    with torch.autocast("cpu", torch.bfloat16):
        losses = model([image], [target])
    torch.stack([loss.float() for loss in losses.values()]).sum().backward()
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        (found,) = model.eval()([image])
    assert len(found["scores"]) > 0
    assert found["scores"].isfinite().all()


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_the_gpu_benchmark_says_that_it_needs_one():
    from benchmarks.speed import gpu

    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.main(gpu.Settings())


def test_losses_do_not_depend_on_the_layout_in_memory():
    branch = vrsp()
    features, labels = torch.rand(5, 8, 14, 14), torch.tensor([1, 2, 3, 1, 2])
    truths = [RegionTruth(*(torch.rand(2, 5, side, side) > 0.5)) for side in (28, 14)]
    found = [
        branch.region_losses(features.contiguous(memory_format=layout), labels, *truths)
        for layout in (torch.contiguous_format, torch.channels_last)
    ]
    for name, loss in found[0].items():
        torch.testing.assert_close(loss, found[1][name], rtol=1e-4, atol=1e-6)
