"""Somebody's detector and the completer as one model."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

import amodal
from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.completion import checkpoint
from amodal.completion.network import build
from amodal.errors import UserError
from amodal.inference import model_files
from amodal.inference.completer import Completer, load_late
from amodal.inference.paired import Paired
from amodal.inference.predictor import Predictor
from tests import photographs
from tests.completion.test_completion import TINY, network_that_grows

SIZE = (90, 120)
IMAGE = np.zeros((*SIZE, 3), dtype=np.uint8)
CATEGORIES = (Category(16, "bird"), Category(17, "cat"))


class Recorded:
    """A detector that gives what was recorded: a box, label and score each, its visible mask filling a share of it."""

    categories: Sequence[Category] = CATEGORIES
    is_class_agnostic = False

    def __init__(self, boxes: list[list[float]], *, amodal: bool = False) -> None:
        masks = np.zeros((len(boxes), 28, 28), dtype=np.float32)
        masks[:, :, :14] = 1  # the left half of each box is seen
        labels = np.arange(len(boxes)) % 2 + 1
        scores = np.linspace(0.9, 0.2, len(boxes), dtype=np.float32)
        whole = np.ones_like(masks) if amodal else None
        self.found = BoxedMasks(np.array(boxes, np.float32).reshape(-1, 4), labels, scores, whole, masks)

    def detect(self, images, *, score_threshold: float = 0.0, coarse: bool = False) -> list[BoxedMasks]:
        return [self.found] * len(images)

    def complete(self, image, prompts: Prompts) -> BoxedMasks:
        raise UserError("cannot be prompted")


def paired(boxes: list[list[float]], occluded: float = 0.9, *, amodal: bool = False) -> Predictor:
    return Predictor(Paired(Recorded(boxes, amodal=amodal), Completer(network_that_grows(occluded))))


BOXES = [[20.0, 20, 60, 50], [70, 30, 110, 80], [5, 60, 25, 80]]


def test_what_the_detector_sees_is_made_whole():
    result = paired(BOXES).predict(IMAGE, score_threshold=0.5)
    assert result.names == ("bird", "cat")
    assert result.scores.tolist() == pytest.approx([0.9, 0.55])
    assert result.amodal_masks is not None
    assert result.visible_masks is not None
    assert result.visible_masks[0].sum() == pytest.approx(20 * 30, rel=0.06)
    assert (result.amodal_masks.sum((1, 2)) > 2 * result.visible_masks.sum((1, 2))).all()
    assert (result.amodal_masks >= result.visible_masks).all()
    assert (result.occlusion_rates > 0.5).all()
    assert sorted(result.depth_order.tolist()) == [0, 1]
    rows, columns = np.nonzero(result.amodal_masks[0])
    assert np.abs(result.boxes[0] - [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]).max() <= 1


def test_what_is_not_hidden_stays_as_the_detector_saw_it():
    result = paired(BOXES, occluded=0.1).predict(IMAGE, score_threshold=0)
    assert len(result) == 3
    assert result.amodal_masks is not None
    np.testing.assert_array_equal(result.amodal_masks, result.visible_masks)
    plain = BoxedMasks(*(getattr(Recorded(BOXES).found, n) for n in ("boxes", "labels", "scores", "amodal", "visible")))
    seen = plain.pasted(SIZE)[1]
    assert seen is not None
    assert (result.amodal_masks ^ seen).sum() <= 0.03 * seen.sum()


def test_amodal_masks_of_the_detector_s_own_are_kept():
    result = paired(BOXES, amodal=True).predict(IMAGE, score_threshold=0)
    assert result.amodal_masks is not None
    assert result.amodal_masks[0].sum() == pytest.approx(40 * 30, rel=0.1)


@pytest.mark.parametrize("boxes", [[], [[200.0, 10, 230, 40]], [[-10, -10, 8, 8]]])
def test_nothing_found_and_boxes_beyond_the_picture(boxes: list[list[float]]):
    result = paired(boxes).predict(IMAGE, score_threshold=0)
    assert len(result) == len(boxes)
    assert len(result.occlusion_rates) == len(boxes)


def test_given_masks_go_to_the_completer():
    predictor, masks = paired(BOXES), np.stack([photographs.square(SIZE, 40, 30, 20)])
    result = predictor.complete(IMAGE, labels=["cat"], visible_masks=masks)
    assert result.names == ("cat",)
    assert result.amodal_masks is not None
    assert result.amodal_masks.sum() == 44 * 44
    with pytest.raises(UserError, match="cannot be prompted"):
        predictor.complete(IMAGE, visible_masks=masks)


def test_a_completer_is_read_when_it_is_needed(tmp_path: Path):
    late = load_late(tmp_path / "later.safetensors", "cpu")
    masks = np.stack([photographs.square(SIZE, 40, 30, 20)])
    with pytest.raises(UserError, match="no such file"):
        Predictor(late).complete(IMAGE, visible_masks=masks)
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "later.safetensors", build(TINY), {})
    assert len(Predictor(late).complete(IMAGE, visible_masks=masks)) == 1


def test_the_package_s_photographs_are_paired(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from tests.documentation import save_model

    monkeypatch.setattr(model_files, "PACKAGED", tmp_path)
    save_model(tmp_path / "photos.safetensors")
    checkpoint.save(tmp_path / "completer.safetensors", build(TINY), {})
    assert isinstance(amodal.load("photos", "cpu").model, Paired)
    save_model(tmp_path / "own" / "photos.safetensors")
    assert not isinstance(amodal.load(tmp_path / "own" / "photos.safetensors", "cpu").model, Paired)
