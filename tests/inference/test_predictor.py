"""The predictor: images in every form, batches, prompts, and what it says of bad input."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

import amodal
from amodal.annotations import Category
from amodal.boxed_masks import Prompts
from amodal.errors import UserError
from amodal.inference.eager import TorchModel
from amodal.inference.predictor import Predictor
from amodal.models import checkpoint, prompting
from amodal.pixels import as_pixels
from tests.small_models import SMALL, small_model, with_method, with_resnet

CATEGORIES = [Category(4, "cup"), Category(5, "pear"), Category(9, "cow")]


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(TorchModel(small_model(SMALL).eval(), CATEGORIES))


@pytest.fixture(scope="module")
def picture() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (50, 70, 3), dtype=np.uint8)


def same(first: amodal.Result, second: amodal.Result) -> bool:
    return (
        np.allclose(first.boxes, second.boxes, atol=1e-3)
        and np.allclose(first.scores, second.scores, atol=1e-5)
        and (first.labels == second.labels).all()
        and (first.masks == second.masks).mean() > 0.999
    )


def test_every_form_of_an_image_gives_the_same(predictor, picture, tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(picture).save(path)
    tensor = torch.from_numpy(picture).permute(2, 0, 1)
    forms = [picture, path, str(path), Image.fromarray(picture), tensor, tensor.float() / 255, picture / 255.0]
    results = predictor.predict(forms, score_threshold=0)
    assert len(results) == len(forms)
    assert len(results[0]) > 0
    assert all(same(results[0], result) for result in results)


def test_it_answers_as_the_model(predictor, picture):
    model = predictor.model.model
    with torch.inference_mode():
        (own,) = model([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
    result = predictor.predict(picture, score_threshold=0)
    assert np.allclose(result.boxes, own["boxes"], atol=1e-3)
    assert np.allclose(result.scores, own["scores"])
    assert (result.amodal_masks == own["amodal_masks"].numpy()).mean() > 0.9999
    assert (result.visible_masks == own["visible_masks"].numpy()).mean() > 0.9999


def test_a_batch_equals_its_images_one_by_one(predictor, picture):
    images = [picture, picture[:40], picture[:, ::-1], picture[:30, :40]]
    together = predictor.predict(images, score_threshold=0, batch_size=4)
    for result, image in zip(together, images, strict=True):
        alone = predictor.predict(image, score_threshold=0)
        assert result.size == alone.size == image.shape[:2]
        np.testing.assert_allclose(result.scores, alone.scores, rtol=1e-4)
        assert (result.amodal_masks == alone.amodal_masks).mean() > 0.9999


def test_the_threshold_drops_low_scores(predictor, picture):
    everything = predictor.predict(picture, score_threshold=0)
    middle = float(np.median(everything.scores))
    some = predictor.predict(picture, score_threshold=middle)
    assert len(some) == (everything.scores >= middle).sum() < len(everything)
    assert len(predictor.predict(picture, score_threshold=1.0)) == 0
    assert predictor.predict([]) == []


def test_large_images_are_answered_in_their_own_pixels(predictor):
    image = np.random.default_rng(1).integers(0, 256, (900, 1300, 3), dtype=np.uint8)
    result = predictor.predict(image, score_threshold=0)
    assert result.size == (900, 1300)
    assert result.boxes[:, 2].max() > 200


@pytest.mark.parametrize(
    ("image", "problem"),
    [
        ("missing.jpg", "missing.jpg: no such file"),
        (np.zeros((5, 5, 2), np.uint8), "is no image"),
        (np.zeros((0, 5, 3), np.uint8), "is no image"),
        (np.full((5, 5, 3), 7.0), "not 0 to 1"),
        (np.full((5, 5, 3), np.nan), "no colours"),
        (np.full((5, 5, 3), -1), "not 0 to 255"),
        (np.zeros((5, 5, 3), object), "no colours"),
        (np.zeros((5, 5, 3), complex), "no colours"),
        (torch.zeros(1, 3, 5, 5), "a tensor image is"),
        (17, "cannot take int"),
    ],
)
def test_bad_images_are_named(predictor, image, problem):
    with pytest.raises(UserError, match=problem):
        predictor.predict(image)


IMPOSSIBLE = [
    *[("batch_size", value) for value in (0, -1, None)],
    *[("score_threshold", value) for value in (50, -0.1, "0.5", float("nan"))],
]


@pytest.mark.parametrize(("name", "value"), IMPOSSIBLE)
def test_numbers_that_cannot_be_are_named(predictor, picture, name, value):
    """A batch of no image gave no result for any, and a score in percent found nothing, without a word."""
    with pytest.raises(UserError, match=f"{name} .* cannot be. Give "):
        predictor.predict([picture, picture], **{name: value})
    with pytest.raises(UserError, match=f"{name} .* cannot be. Give "):
        next(predictor.stream([picture], **{name: value}))


def test_pixels_of_other_kinds():
    assert (as_pixels(np.full((2, 2), 9, np.uint8)) == np.full((2, 2, 3), 9)).all()
    assert as_pixels(np.zeros((2, 2, 4), np.uint8)).shape == (2, 2, 3)
    assert (as_pixels(np.ones((2, 2, 3))) == 255).all()
    assert (as_pixels(np.full((2, 2, 3), 200)) == 200).all()
    turned = Image.new("RGB", (4, 2))
    turned.getexif()[0x0112] = 6  # the camera was held upright
    assert as_pixels(turned).shape == (4, 2, 3)


def test_a_checkpoint_is_loaded_by_path(picture, tmp_path):
    path = tmp_path / "model.safetensors"
    model = small_model(SMALL).eval()
    checkpoint.save(path, checkpoint.Checkpoint(model, SMALL, CATEGORIES))
    loaded = amodal.load(path, device="cpu")
    assert loaded.categories == tuple(CATEGORIES)
    assert same(
        loaded.predict(picture, score_threshold=0),
        Predictor(TorchModel(model, CATEGORIES)).predict(picture, score_threshold=0),
    )


def test_what_is_no_model_is_named(tmp_path):
    (tmp_path / "a.safetensors").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.safetensors: cannot be read as a model"):
        amodal.load(tmp_path / "a.safetensors")
    with pytest.raises(UserError, match="no model in the package is called 'nowhere'"):
        amodal.load("nowhere")


def test_an_image_without_objects_has_masks_of_none_of_them(picture):
    config = replace(SMALL, detector=replace(SMALL.detector, score_threshold=0.999))
    result = Predictor(TorchModel(small_model(config).eval(), CATEGORIES)).predict(picture)
    assert result.amodal_masks.shape == result.visible_masks.shape == (0, 50, 70)


METHODS = ["vrsp", "orcnn", "sln", "mask_rcnn"]


@pytest.mark.parametrize("method", METHODS)
def test_prompts_are_completed_in_their_order(method, picture):
    predictor = Predictor(TorchModel(small_model(with_method(method)).eval(), CATEGORIES))
    boxes = [[40.0, 10, 60, 30], [5, 5, 20, 25], [5, 5, 20, 25]]
    result = predictor.complete(picture, boxes, labels=["cow", 1, "cow"], box_kind="amodal")
    assert result.names == ("cow", "cup", "cow")
    assert np.allclose(result.boxes, boxes, atol=1e-3)
    assert result.masks.shape == (3, 50, 70)
    grown = predictor.complete(picture, boxes)
    assert (grown.boxes[:, :2] <= np.array(boxes)[:, :2] + 1e-3).all()
    assert (grown.boxes[:, 2:] >= np.array(boxes)[:, 2:] - 1e-3).all()
    assert len(predictor.complete(picture, [])) == 0


def test_given_visible_masks_are_kept_and_completed(predictor, picture):
    seen = np.zeros((2, 50, 70), dtype=bool)
    seen[0, 10:20, 10:30] = True
    seen[1, 25:45, 40:50] = True
    result = predictor.complete(picture, visible_masks=seen)
    assert (result.visible_masks == seen).all()
    assert not (seen & ~result.amodal_masks).any()
    assert (result.boxes[0] <= [10, 10, 70, 50]).all()


def test_only_given_occluders_hide(picture, monkeypatch):
    predictor = Predictor(TorchModel(small_model(with_resnet(SMALL)).eval(), CATEGORIES))
    monkeypatch.setattr(prompting, "GROWTH", 1.0)  # random weights claim nothing in a box that is hardly grown
    seen = np.zeros((2, 50, 70), dtype=bool)
    seen[0, 10:30, 10:30] = True
    seen[1, 10:30, 30:60] = True
    free = predictor.complete(picture, visible_masks=seen)
    result = predictor.complete(picture, visible_masks=seen, occluders="given")
    assert not (result.amodal_masks & ~seen.any(axis=0)).any()
    assert (free.amodal_masks & ~seen.any(axis=0)).any()
    assert ((free.amodal_masks & seen[::-1]) == (result.amodal_masks & seen[::-1])).all()


def test_a_known_visible_mask_guides_the_amodal_one(picture):
    predictor = Predictor(TorchModel(small_model(with_method("vrsp", num_shapes=4)).eval(), CATEGORIES))
    seen = np.zeros((2, 50, 70), dtype=bool)
    seen[:, 5:45, 5:65] = True
    seen[1, 10:40, 10:60] = False
    boxes = [[5.0, 5, 65, 45]] * 2
    found = predictor.model.complete(picture, Prompts(np.array(boxes, np.float32), np.array([1, 1]), seen, "amodal"))
    assert np.abs(found.amodal[0] - found.amodal[1]).max() > 0
    assert (found.visible[0] == 1).all()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({}, "nothing to complete"),
        ({"boxes": [[1, 2, 3]]}, "boxes of shape"),
        ({"boxes": [[9.0, 9, 5, 12]]}, "box 0 is"),
        ({"boxes": [[1, 2, 3, 4], [1, 2]]}, "no table of numbers"),
        ({"boxes": 7}, "boxes of shape"),
        ({"boxes": [[1.0, 1, 5, 12]], "box_kind": "whole"}, "box_kind cannot be 'whole'.*visible, amodal"),
        ({"boxes": [[1.0, 1, 5, 12]], "occluders": "givn"}, "occluders cannot be 'givn'. Did you mean given"),
        ({"boxes": [[1.0, 1, 5, 12]], "labels": ["table"]}, "knows no class 'table'"),
        ({"boxes": [[1.0, 1, 5, 12]], "labels": [4]}, "knows no class '4'"),
        ({"boxes": [[1.0, 1, 5, 12]], "labels": [1, 2]}, "1 objects, 2 labels"),
        ({"boxes": [[1.0, 1, 5, 12]], "visible_masks": np.zeros((2, 50, 70), bool)}, "1 boxes, 2 visible masks"),
        ({"visible_masks": np.zeros((1, 9, 9), bool)}, r"Give bool \(N, 50, 70\)"),
        ({"visible_masks": np.zeros((1, 50, 70))}, "visible masks are float64"),
    ],
)
def test_bad_prompts_are_named(predictor, picture, given, problem):
    with pytest.raises(UserError, match=problem):
        predictor.complete(picture, **given)
