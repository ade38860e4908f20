"""The completer: what it looks at, what it learns, how it answers."""

import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import amodal
from amodal import cli
from amodal.boxed_masks import BoxedMasks
from amodal.completion import checkpoint
from amodal.completion import training as completion_training
from amodal.completion.config import CompleterConfig, CompleterTraining
from amodal.completion.crops import SIDE, convex_hull, cut, square_around
from amodal.completion.losses import losses
from amodal.completion.network import Completion, build
from amodal.completion.samples import CropBatches, chosen, roughened, sample
from amodal.completion.training import MODEL, train_completer
from amodal.errors import Stopped, UserError
from amodal.inference.completer import Completer, crops_of, gated
from amodal.inference.predictor import Predictor
from amodal.synthesis.composition import scene_rng
from tests import photographs

TINY = CompleterConfig(widths=(16, 16, 8, 8), prototypes=4, prototype_channels=2)


@pytest.fixture(scope="module")
def training(tmp_path_factory: pytest.TempPathFactory) -> CompleterTraining:
    file = photographs.write(tmp_path_factory.mktemp("photographs"))
    return CompleterTraining(str(file), model=TINY, side=120, steps=4, batch_size=4, save_every=2, workers=0)


def test_the_square_is_centred_on_the_visible_box():
    mask = np.zeros((50, 80), dtype=bool)
    mask[10:20, 30:50] = True
    assert square_around(mask, context=2.0) == (20, -5, 60, 35)


def test_a_crop_holds_colours_masks_and_hull():
    image = np.full((64, 64, 3), 128, dtype=np.uint8)
    visible = photographs.square((64, 64), 16, 16, 32)
    visible[28:36, 28:36] = False  # a hole, which the hull fills
    others = photographs.square((64, 64), 28, 28, 8)
    crop = cut(image, visible, others, (0, 0, 64, 64))
    assert crop.inputs.shape == (7, SIDE, SIDE)
    np.testing.assert_allclose(crop.inputs[:3], 128 / 255, atol=1e-6)
    assert [channel.mean() for channel in crop.inputs[3:]] == pytest.approx(
        [960 / 4096, 64 / 4096, 1.0, 64 / 4096], abs=0.005
    )
    alone = cut(image, visible, None, (0, 0, 64, 64))
    assert not alone.inputs[4:6].any()


@given(st.integers(-40, 60), st.integers(-40, 60), st.integers(8, 120))
def test_a_mask_comes_back_to_where_it_was_cut(left: int, top: int, side: int):
    mask = photographs.disc((60, 70), 35, 30, 20)
    square = (left, top, left + side, top + side)
    crop = cut(np.zeros((60, 70, 3), dtype=np.uint8), mask, None, square)
    boxes, one = np.array([square], dtype=np.float32), np.ones(1)
    (back,) = BoxedMasks(boxes, one, one, crop.inputs[None, 3], None).pasted((60, 70))[0]
    within = np.zeros_like(mask)
    within[max(top, 0) : max(top + side, 0), max(left, 0) : max(left + side, 0)] = True
    wrong = back ^ (mask & within)
    assert wrong.sum() <= 0.06 * mask.sum() + 4
    assert not back[~within].any()


def test_the_hull_of_a_crescent_is_filled_and_lines_are_left():
    crescent = photographs.disc((40, 40), 20, 20, 15) & ~photographs.disc((40, 40), 26, 20, 12)
    hull = convex_hull(crescent)
    assert (hull >= crescent).all() and hull[20, 25]
    line = np.zeros((10, 10), dtype=bool)
    line[3, 2:8] = True
    np.testing.assert_array_equal(convex_hull(line), line)
    np.testing.assert_array_equal(convex_hull(np.zeros((4, 4), dtype=bool)), np.zeros((4, 4), dtype=bool))


def test_samples_show_the_visible_mask_within_the_amodal_one(training: CompleterTraining):
    items = CropBatches(training)
    batch = items[0]
    assert not isinstance(batch, UserError)
    assert batch.inputs.shape == (4, 7, SIDE, SIDE)
    assert ((batch.inputs[:, 3] >= 0.5) <= batch.amodal).all()
    again = CropBatches(training)[0]
    assert not isinstance(again, UserError)
    assert torch.equal(batch.inputs, again.inputs) and torch.equal(batch.amodal, again.amodal)


def test_objects_that_nobody_knows_whole_are_no_samples(training: CompleterTraining):
    items = CropBatches(replace(training, drawn_share=0.0))
    for number in range(10):
        rng = scene_rng(0, number)
        scene = items.scene(number, rng)
        assert scene.exact is not None
        for index in chosen(scene, 3, rng):
            assert scene.exact[index]
            inputs, amodal_mask = sample(scene, index, rng)
            assert amodal_mask.any() and inputs[3].any()


def test_a_rough_mask_resembles_its_own():
    mask = photographs.disc((300, 300), 150, 150, 110)
    rough = roughened(mask, np.random.default_rng(0))
    assert 0.9 < (mask & rough).sum() / (mask | rough).sum() < 1


def answer(masks: torch.Tensor, occluded: float = 5.0) -> Completion:
    count = len(masks)
    return Completion(torch.zeros(count, 32, 32), masks, torch.full((count,), occluded), torch.full((count,), 0.9))


def test_the_right_mask_has_the_least_loss_and_the_visible_part_none():
    visible = torch.zeros(1, SIDE, SIDE)
    visible[:, 20:60, 20:60] = 1
    truth = torch.zeros(1, SIDE, SIDE, dtype=torch.bool)
    truth[:, 20:60, 20:90] = True
    right = torch.where(truth, 8.0, -8.0)
    wrong_in_visible = torch.where(visible > 0, -right, right)
    found, same = (losses(answer(logits), visible, truth) for logits in (right, wrong_in_visible))
    assert found["loss_mask"] < 0.01 and found["loss_invisible"] < 0.01
    assert same["loss_mask"] == found["loss_mask"] and same["loss_invisible"] == found["loss_invisible"]
    missed = losses(answer(torch.full_like(right, -8.0)), visible, truth)
    assert missed["loss_mask"] > 0.5 and missed["loss_invisible"] > 0.9


def test_where_nothing_is_hidden_only_whole_masks_are_right():
    visible = torch.zeros(1, SIDE, SIDE)
    visible[:, 20:60, 20:60] = 1
    found = losses(answer(torch.full((1, SIDE, SIDE), -8.0), occluded=-5.0), visible, visible > 0)
    assert found["loss_invisible"] == 0 and found["loss_occluded"] < 0.01 and found["loss_mask"] < 0.01
    assert losses(answer(torch.full((1, SIDE, SIDE), -8.0)), visible, visible > 0)["loss_occluded"] > 1


def test_a_resumed_run_has_the_weights_of_one_that_was_never_stopped(training: CompleterTraining, tmp_path: Path):
    train_completer(training, tmp_path / "whole")
    train_completer(replace(training, steps=4), tmp_path / "halves", stop_after=2)
    train_completer(training, tmp_path / "halves", resume=True)
    first, second = (checkpoint.load(tmp_path / name / MODEL).state_dict() for name in ("whole", "halves"))
    assert all(torch.equal(first[name], second[name]) for name in first)
    with pytest.raises(UserError, match="holds a run already"):
        train_completer(training, tmp_path / "whole")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_signal_lets_the_step_be_saved(
    training: CompleterTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
):
    calls = iter(range(99))

    def interrupted(*arguments: Any) -> dict[str, torch.Tensor]:
        if next(calls) == 1:
            os.kill(os.getpid(), signal.SIGTERM)
        return losses(*arguments)

    monkeypatch.setattr(completion_training, "losses", interrupted)
    with pytest.raises(Stopped) as caught:
        train_completer(replace(training, workers=workers), tmp_path / "run")
    assert caught.value.code == 128 + signal.SIGTERM
    assert caught.value.reason == f"stopped by SIGTERM; step 2 of {training.steps} is saved"
    assert caught.value.resumable
    assert torch.load(tmp_path / "run" / completion_training.STATE, weights_only=True)["step"] == 2


def test_a_completer_is_loaded_by_its_file(tmp_path: Path):
    torch.manual_seed(0)
    checkpoint.save(tmp_path / "own.safetensors", build(TINY), {}, half=True)
    predictor = amodal.load(tmp_path / "own.safetensors", "cpu")
    assert isinstance(predictor.model, Completer)
    image = np.random.default_rng(0).integers(0, 255, (90, 120, 3), dtype=np.uint8)
    masks = np.stack([mask for _, mask in photographs.objects()])
    result = predictor.complete(image, visible_masks=masks)
    assert result.amodal_masks is not None and (result.amodal_masks >= masks).all()
    assert len(predictor.complete(image, visible_masks=masks[:0])) == 0
    with pytest.raises(UserError, match="finds no objects"):
        predictor.predict(image)
    with pytest.raises(UserError, match="needs visible masks"):
        predictor.complete(image, [[0, 0, 5, 5]])


def test_a_file_that_does_not_fit_its_settings_is_refused(tmp_path: Path):
    model = build(TINY)
    model.config = replace(TINY, prototypes=10**9)  # 8 TB, if it were believed
    checkpoint.save(tmp_path / "large.safetensors", model, {})
    with pytest.raises(UserError, match=r"prior\.shapes is .* should be"):
        checkpoint.load(tmp_path / "large.safetensors")
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "large.safetensors").read_bytes()[:500])
    with pytest.raises(UserError, match="cannot be read as a completer"):
        checkpoint.load(tmp_path / "cut.safetensors")


def network_that_grows(occluded: float):
    """Says that everything within the crop is the object's."""
    return lambda crops: (
        np.ones(crops[:, 0].shape, np.float32),
        np.full(len(crops), occluded, np.float32),
        np.full(len(crops), 0.7, np.float32),
    )


def test_what_is_whole_stays_as_it_is_and_what_is_covered_grows():
    image = np.zeros((90, 120, 3), dtype=np.uint8)
    masks = np.stack([photographs.square((90, 120), 40, 30, 20)])
    kept = Predictor(Completer(network_that_grows(0.1))).complete(image, visible_masks=masks)
    assert kept.amodal_masks is not None
    np.testing.assert_array_equal(kept.amodal_masks, masks)
    assert kept.scores.tolist() == [1.0]
    grown = Predictor(Completer(network_that_grows(0.9))).complete(image, visible_masks=masks)
    assert grown.amodal_masks is not None
    assert grown.amodal_masks.sum() == 44 * 44
    assert grown.scores.tolist() == pytest.approx([0.7])


def test_small_growth_is_dropped():
    visible = np.zeros((1, SIDE, SIDE), np.float32)
    visible[:, 30:80, 30:80] = 1
    probabilities = visible.copy()
    probabilities[0, 80, 30:70] = 1  # 40 of 2,500 cells
    sure = np.array([0.9], np.float32)
    assert gated(probabilities, sure, sure, visible)[1].tolist() == [False]
    probabilities[0, 81, 30:70] = 1
    assert gated(probabilities, sure, sure, visible)[1].tolist() == [True]


def test_a_sharp_guess_asks_for_less_certainty_than_a_vague_one():
    visible = np.zeros((1, SIDE, SIDE), np.float32)
    visible[:, 30:80, 30:80] = 1
    probabilities = visible.copy()
    probabilities[0, 80:100, 30:80] = 0.8

    def is_completed(occluded: float, quality: float) -> bool:
        masks, (completed,) = gated(probabilities, np.float32([occluded]), np.float32([quality]), visible)
        np.testing.assert_array_equal(masks, probabilities if completed else np.zeros_like(probabilities))
        return bool(completed)

    answers = {(0.79, 0.5): False, (0.81, 0.5): True, (0.7, 0.7): True, (0.9, 0.3): False, (0.3, 0.95): True}
    assert {key: is_completed(*key) for key in answers} == answers
    assert is_completed(1.0, 0.01) and not is_completed(1.0, 0.0) and not is_completed(0.0, 1.0)


def test_each_object_sees_where_the_others_are():
    image = np.zeros((90, 120, 3), dtype=np.uint8)
    masks = np.stack([mask for _, mask in photographs.objects()])
    crops = crops_of(image, masks)
    assert all(crop.inputs[5].all() and crop.inputs[4].any() for crop in crops)
    (alone,) = crops_of(image, masks[:1])
    assert not alone.inputs[4:6].any()
    (empty,) = crops_of(image, np.zeros((1, 90, 120), dtype=bool))
    assert empty.square == (0, 0, 120, 120)


def test_the_command_trains_a_completer(
    training: CompleterTraining, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = ["train", "completer", "--train", training.annotations, "--iterations", "1", "--batch-size", "2"]
    cli.main([*arguments, "--workers", "0", "--out", str(tmp_path / "run")])
    assert str(tmp_path / "run" / MODEL) in capsys.readouterr().out
    assert isinstance(amodal.load(tmp_path / "run" / MODEL, "cpu").model, Completer)


@pytest.mark.parametrize("flags", [["--compile", "True"], ["--val", "FILE"], ["--data", "nowhere"]])
def test_what_its_training_does_not_have_is_refused(
    flags: list[str], training: CompleterTraining, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    given = [training.annotations if flag == "FILE" else flag for flag in flags]
    with pytest.raises(SystemExit):
        cli.main(["train", "completer", *given, "--out", str(tmp_path / "run")])
    assert "amodal:" in capsys.readouterr().err and not (tmp_path / "run").exists()


def test_the_command_goes_on_with_its_own_run_and_with_no_other(
    training: CompleterTraining, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.chdir(tmp_path)  # a folder as a user names it, relative to where they are
    arguments = ["train", "completer", "--train", training.annotations, "--iterations", "3", "--batch-size", "2"]
    arguments += ["--workers", "0", "--checkpoint-every", "1", "--out", "run"]
    cli.main(arguments)
    before = Path("run", "config.json").read_text()
    cli.main([*arguments, "--resume"])
    assert Path("run", "config.json").read_text() == before
    with pytest.raises(SystemExit):
        cli.main([*arguments, "--resume", "--lr", "0.5"])
    assert "the run to resume has other settings (lr: " in capsys.readouterr().err
    assert Path("run", "config.json").read_text() == before
