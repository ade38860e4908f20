"""Objects of which only the visible mask is known: no method learns an amodal mask from them."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor

from amodal.instances import Target
from amodal.models import zoo
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import BackboneConfig
from amodal.training.recipes import METHODS, RECIPES

SIDE = 64


def target(amodal: Tensor, visible: Tensor, exact: list[bool]) -> Target:
    boxes = torch.tensor([[4.0, 4.0, 36.0, 60.0], [30.0, 8.0, 60.0, 56.0]])
    return {
        "boxes": boxes,
        "labels": torch.tensor([1, 2]),
        "amodal_masks": amodal,
        "visible_masks": visible,
        "exact": torch.tensor(exact),
    }


def two_objects() -> tuple[Tensor, Tensor]:
    amodal = torch.zeros(2, SIDE, SIDE, dtype=torch.bool)
    amodal[0, 4:60, 4:36], amodal[1, 8:56, 30:60] = True, True
    visible = amodal.clone()
    visible[1] &= ~amodal[0]
    return amodal, visible


def losses(model: AmodalRCNN, truth: Target) -> dict[str, float]:
    torch.manual_seed(0)  # which regions are sampled
    image = torch.rand(3, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    return {name: loss.item() for name, loss in model([image], [truth]).items()}  # type: ignore[union-attr]


def model_of(method: str) -> AmodalRCNN:
    config = RECIPES[f"eth80_{method}_small"](Path("none")).model
    config = replace(
        config,
        backbone=BackboneConfig("resnet18", "none", fpn_channels=16),
        detector=replace(config.detector, min_size=(SIDE,), regions_per_image=16, box_width=32),
        mask=replace(config.mask, width=8),
        vrsp=replace(config.vrsp, prior_refinement=False, prior_rescoring=False),
    )
    torch.manual_seed(0)
    return zoo.build(config, 2, None).train()


@pytest.mark.parametrize("method", METHODS)
def test_unknown_amodal_masks_teach_nothing(method: str) -> None:
    """The losses are the same whatever stands in the amodal mask of an object that is not known whole."""
    amodal, visible = two_objects()
    other = amodal.clone()
    other[1] = visible[1]
    model = model_of(method)
    for exact, is_same in (([True, False], True), ([True, True], method == "mask_rcnn_visible")):
        first, second = (losses(model, target(whole, visible, exact)) for whole in (amodal, other))
        assert (first == second) == is_same


@pytest.mark.parametrize("method", METHODS)
def test_where_no_object_is_known_whole_no_amodal_mask_is_learnt(method: str) -> None:
    found = losses(model_of(method), target(*two_objects(), [False, False]))
    amodal = {name: loss for name, loss in found.items() if "amodal" in name and "matching" not in name}
    assert set(amodal.values()) <= {0.0}, amodal


@pytest.mark.parametrize("method", ["vrsp", "vrsp_r", "two_heads", "mask_rcnn_visible"])
def test_their_visible_masks_are_learnt(method: str) -> None:
    amodal, visible = two_objects()
    other = visible.clone()
    other[1, 8:30] = False
    model = model_of(method)
    first, second = (losses(model, target(amodal, seen, [True, False])) for seen in (visible, other))
    changed = {name for name in first if first[name] != second[name]}
    assert changed and all("visible" in name or "class" in name for name in changed)
