"""A model made ready to answer answers as before."""

import copy
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torchvision.ops import FrozenBatchNorm2d

import amodal
from amodal.inference.eager import TorchModel
from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint
from amodal.models.config import Method
from amodal.models.quick import QuickConvolution, QuickLinear, quicken
from amodal.pixels import as_pixels
from tests.small_models import scene, small_model, with_method


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
    model = small_model(with_method(method)).eval()
    for buffer in (b for name, b in model.named_buffers() if name.endswith(("running_mean", "running_var"))):
        buffer.uniform_(0.5, 1.5)
    image, _ = scene()
    quick = copy.deepcopy(model)
    quicken(quick)
    with torch.inference_mode():
        (found,), (expected,) = quick.detect([image]), model.detect([image])
    assert len(expected) > 0
    assert same_objects(found, expected)
    assert not any(isinstance(part, nn.Conv2d | FrozenBatchNorm2d) for part in quick.backbone.modules())


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
