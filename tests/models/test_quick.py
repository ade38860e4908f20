"""A model made ready to answer answers as before."""

import copy
import pickle
import time
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from torchvision.ops import FrozenBatchNorm2d

import amodal
from amodal.inference.eager import TorchModel
from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint, quick_layers
from amodal.models.config import Method
from amodal.models.mask_head import CHUNK, MaskHead
from amodal.models.quick import LEAST_CHANNELS, quicken
from amodal.models.quick_heads import QuickMaskHead, quick_reclassifier
from amodal.models.quick_layers import QuickConvolution, QuickFlattened, QuickLinear
from amodal.models.reclassification import Reclassifier
from amodal.pixels import as_pixels
from tests.small_models import scene, small_model, with_method, with_resnet


def same_objects(found, expected) -> bool:
    """But for rounding: sums are taken in another order."""
    return (
        np.array_equal(found.labels, expected.labels)
        and np.allclose(found.boxes, expected.boxes, atol=1e-2)
        and np.allclose(found.scores, expected.scores, atol=1e-4)
        and np.allclose(found.amodal, expected.amodal, atol=1e-3)
        and np.allclose(found.visible, expected.visible, atol=1e-3)
    )


@pytest.mark.parametrize("method", ["orcnn", "vrsp"])
def test_a_quickened_model_answers_as_before(method):
    model = small_model(with_resnet(with_method(method))).eval()
    for buffer in (b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))):
        buffer.uniform_(0.5, 1.5)
    image, _ = scene()
    quick = copy.deepcopy(model)
    quicken(quick)
    with torch.inference_mode():
        (found,), (expected,) = quick.detect([image]), model.detect([image])
    assert len(expected) > 0
    assert same_objects(found, expected)
    assert not any(isinstance(part, FrozenBatchNorm2d) for part in quick.backbone.modules())
    left = [part for part in quick.modules() if isinstance(part, nn.Conv2d)]
    assert max(max(part.in_channels, part.out_channels) for part in left) < LEAST_CHANNELS


@pytest.mark.parametrize("method", get_args(Method))
def test_a_quickened_model_of_any_method_may_find_nothing(method):
    config = with_method(method)
    model = small_model(replace(config, detector=replace(config.detector, score_threshold=1.0))).eval()
    quicken(model)
    with torch.inference_mode():
        (found,) = model.detect([scene()[0]])
    assert len(found) == 0


@pytest.mark.parametrize("name", ["demo", "photos"])
def test_the_packaged_models_are_quickened_and_answer_as_their_checkpoints(name):
    quick, plain = TorchModel.load(PACKAGED / f"{name}.safetensors"), checkpoint.load(PACKAGED / f"{name}.safetensors")
    kinds = [type(part) for part in quick.model.modules()]
    assert QuickConvolution in kinds
    assert QuickLinear in kinds
    assert not any(isinstance(part, nn.Conv2d) for part in quick.model.backbone.modules())
    image = as_pixels(amodal.sample())
    (found,), (expected,) = (
        model.detect([image], score_threshold=0.2) for model in (quick, TorchModel(plain.model, plain.categories))
    )
    assert same_objects(found, expected)


def test_quick_layers_leave_gradients_to_torch():
    conv, rows = nn.Conv2d(3, 5, 1), nn.Linear(256, 256)
    maps, table = torch.rand(2, 3, 4, 6, requires_grad=True), torch.rand(0, 256)
    torch.testing.assert_close(QuickConvolution(conv)(maps), conv(maps))
    QuickConvolution(conv)(maps).sum().backward()
    assert maps.grad is not None
    assert QuickLinear(rows)(table).shape == (0, 256)
    torch.testing.assert_close(QuickLinear(rows)(table.new_ones(3, 256)), rows(table.new_ones(3, 256)))


@pytest.mark.parametrize("name", ["_linear_pointwise", "_reorder_linear_weight"])
@pytest.mark.parametrize("error", [None, TypeError("another signature")])
def test_operators_of_another_pytorch_are_not_used(name, error, monkeypatch):
    ask = quick_layers.onednn_answers.__wrapped__

    def other(*_):
        if error is not None:
            raise error
        return torch.zeros(2, 4)

    monkeypatch.setattr(torch.ops.mkldnn, name, other, raising=False)
    assert not ask()


@pytest.mark.parametrize("is_there", [quick_layers.onednn_answers(), False])
@torch.inference_mode()
def test_quick_layers_are_the_layers_and_what_follows_them(is_there, monkeypatch):
    monkeypatch.setattr(quick_layers, "onednn_answers", lambda: is_there)
    conv, linear = nn.Conv2d(4, 6, 3, stride=2, padding=1), nn.Linear(4 * 5 * 3, 7)
    maps = torch.randn(2, 4, 5, 3) * 9
    for layout in (torch.contiguous_format, torch.channels_last):
        laid = maps.contiguous(memory_format=layout)
        torch.testing.assert_close(QuickConvolution(conv, activation="relu6")(laid), F.relu6(conv(maps)))
        torch.testing.assert_close(QuickConvolution(conv, activation="relu")(laid), F.relu(conv(maps)))
        torch.testing.assert_close(QuickFlattened(linear, "relu")(laid), F.relu(linear(maps.flatten(1))))
    rows = maps.flatten(1)
    torch.testing.assert_close(QuickLinear(linear)(rows), linear(rows))


@torch.inference_mode()
def test_maps_of_any_size_are_convolved_about_as_quickly_as_by_the_layer_itself():
    """Weights in an order of oneDNN's own took 50 to 250 times as long where another size wants another order."""

    def fastest(layer: nn.Module, maps: torch.Tensor) -> float:
        times = []
        for _ in range(5):
            start = time.process_time()
            layer(maps)
            times.append(time.process_time() - start)
        return min(times)

    layer = nn.Conv2d(512, 512, 3, padding=1)
    quick = QuickConvolution(layer)
    for side in (2, 5, 13):
        maps = torch.rand(1, 512, side, side)
        assert fastest(quick, maps) < 10 * fastest(layer, maps) + 0.01, side


@pytest.mark.parametrize("count", [0, 1, CHUNK + 3])
@torch.inference_mode()
def test_quick_heads_are_the_heads(count):
    torch.manual_seed(0)
    head, second = MaskHead(8, 6, 2, 5), Reclassifier(8 * 14 * 14, 9, 5)
    for parameter in head.parameters():
        parameter.normal_()
    features, labels = torch.rand(count, 8, 14, 14), torch.randint(1, 6, (count,))
    quick = QuickMaskHead(head)
    torch.testing.assert_close(quick.own_class(features, labels), head.own_class(features, labels), rtol=1e-4, atol=0.1)
    answers = quick(features), head(features)
    for found, expected in zip(*((one.convolved, one.cells, one.logits) for one in answers), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-4, atol=0.1)
    torch.testing.assert_close(quick_reclassifier(second)(features), second(features))


@torch.inference_mode()
def test_quick_layers_are_copied_written_and_filled_with_other_weights():
    layer, rows = QuickLinear(nn.Linear(12, 5)), torch.rand(3, 12)
    expected = layer(rows)
    for again in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        torch.testing.assert_close(again(rows), expected)
    layer.load_state_dict({"weight": torch.zeros(5, 12), "bias": torch.ones(5)})
    torch.testing.assert_close(layer(rows), torch.ones(3, 5))
