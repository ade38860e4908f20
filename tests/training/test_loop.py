"""The loop, on a tiny model and drawn scenes: it learns, resumes exactly, and says what is wrong."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision.models.detection import maskrcnn_resnet50_fpn

from amodal.annotations import Category
from amodal.commands.evaluate import Running, Written
from amodal.commands.evaluate import evaluate as evaluate_command
from amodal.commands.synth import SceneOutput, SceneParts, synth
from amodal.data.config import AugmentConfig, DataConfig, FileSource
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.evaluation.report import Report
from amodal.files import read_json
from amodal.models import checkpoint
from amodal.models.config import BackboneConfig, ModelConfig
from amodal.models.zoo import build
from amodal.prior.config import PriorConfig
from amodal.settings import from_json, to_json
from amodal.training import loop, run_folder
from amodal.training.config import (
    OptimiserConfig,
    PriorSource,
    ScheduleConfig,
    TrainConfig,
    ValidationConfig,
    with_iterations,
    with_seed,
)
from amodal.training.schedule import START, build_optimiser, rate_at, set_rate
from amodal.training.start import rename, start_from, take
from amodal.training.validation import Validation
from tests import small_models
from tests.bench_models import SCENES

TINY = replace(small_models.TINY, method="orcnn")


def tiny_run(iterations: int = 4) -> TrainConfig:
    return TrainConfig(
        recipe="tiny",
        model=TINY,
        data=DataConfig(SCENES, replace(SCENES, count=2, seed=99), AugmentConfig(flip=0.5)),
        schedule=ScheduleConfig(iterations, "one_cycle", warm_up=1),
        optimiser=OptimiserConfig("adamw", lr=1e-3, clip_norm=5.0),
        validation=ValidationConfig(every=0, pictures=1),
        batch_size=2,
        checkpoint_every=2,
        workers=0,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / run_folder.CHECKPOINT)


def stop_after(monkeypatch: pytest.MonkeyPatch, step: int) -> None:
    """Makes the next run break off when it comes to the step after `step`, as a crash would."""
    read = loop.on_device
    calls = iter(range(10**6))

    def breaking(batch: object, device: torch.device) -> object:
        if next(calls) == step:
            raise KeyboardInterrupt
        return read(batch, device)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "on_device", breaking)


def test_a_run_leaves_its_files_and_resumes_exactly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tiny_run()
    metrics = loop.train(config, tmp_path / "whole", device_name="cpu")

    with monkeypatch.context() as patch:
        stop_after(patch, 3)  # the third step is noted but not saved
        with pytest.raises(KeyboardInterrupt):
            loop.train(config, tmp_path / "broken", device_name="cpu")
    assert len(run_folder.notes(tmp_path / "broken", run_folder.LOSSES)) == 3
    loop.train(replace(config, workers=1), tmp_path / "broken", resume=True, device_name="cpu")

    whole, broken = weights(tmp_path / "whole"), weights(tmp_path / "broken")
    assert whole.keys() == broken.keys()
    assert all(torch.equal(whole[name], broken[name]) for name in whole)
    for name in (run_folder.LOSSES, run_folder.SCORES):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "broken" / name).read_text()

    assert metrics == json.loads((tmp_path / "whole" / run_folder.METRICS).read_text())
    assert metrics["steps"] == 4
    assert metrics["validation"][0].keys() >= {"step", "amodal AP", "visible AP", "amodal AP occluded"}
    assert from_json(TrainConfig, json.loads((tmp_path / "whole" / run_folder.CONFIG).read_text())) == config
    found = checkpoint.load(tmp_path / "whole" / run_folder.CHECKPOINT)
    assert found.config == TINY
    assert found.details["step"] == 4
    assert from_json(TrainConfig, found.details["training"]) == config
    assert any((tmp_path / "whole" / run_folder.TENSORBOARD).iterdir())


def test_a_validation_that_breaks_costs_nothing_and_is_made_up_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_run(), validation=ValidationConfig(every=3, pictures=0), checkpoint_every=100)
    loop.train(config, tmp_path / "whole", device_name="cpu")

    def breaking(*arguments: object) -> None:
        raise RuntimeError("no space left")

    for steps_done in (3, 4):
        with monkeypatch.context() as patch:
            patch.setattr(Validation, "run", breaking)
            with pytest.raises(RuntimeError, match="no space left"):
                loop.train(config, tmp_path / "broken", resume=steps_done == 4, device_name="cpu")
        saved = checkpoint.load(tmp_path / "broken" / run_folder.CHECKPOINT)
        assert saved.details["step"] == steps_done
        if steps_done == 3:
            with monkeypatch.context() as patch:  # the scores of step 3, and no step more
                stop_after(patch, 0)
                with pytest.raises(KeyboardInterrupt):
                    loop.train(config, tmp_path / "broken", resume=True, device_name="cpu")
    loop.train(config, tmp_path / "broken", resume=True, device_name="cpu")
    for name in (run_folder.LOSSES, run_folder.SCORES):
        assert (tmp_path / "whole" / name).read_text() == (tmp_path / "broken" / name).read_text()


@pytest.mark.parametrize("method", ["mask_rcnn", "orcnn", "sln", "vrsp"])
def test_a_model_of_two_steps_is_validated_and_evaluated(tmp_path: Path, method: str) -> None:
    """Almost untrained models predict many empty masks, and boxes as tall or as wide as the image."""
    config = replace(
        tiny_run(2),
        model=replace(TINY, method=method, detector=replace(TINY.detector, score_threshold=0.0)),
        optimiser=OptimiserConfig("adamw", lr=0.05),  # rough, so that whole boxes come out empty
        validation=ValidationConfig(every=1, pictures=1),
        prior=PriorSource(scenes=8, fit=PriorConfig(steps=2, shapes_per_class=3, masks_per_class=4)),
    )
    metrics = loop.train(config, tmp_path / "run", device_name="cpu")
    assert [scores["step"] for scores in metrics["validation"]] == [1, 2]
    synth(SceneOutput(tmp_path / "scenes", count=3), SceneParts(backgrounds="plain"), SCENES.scenes, workers=1)
    running, written = Running(device="cpu", workers=0), Written(tmp_path / "scores.json")
    sources = (tmp_path / "run" / run_folder.CHECKPOINT, tmp_path / "scenes")
    evaluate_command(sources, running=running, written=written)
    report = Report.from_json(read_json(tmp_path / "scores.json"))
    assert report.counts.images == 3


def test_another_seed_gives_other_weights_and_scenes(tmp_path: Path) -> None:
    config = replace(tiny_run(1), data=DataConfig(SCENES))
    for name, one in (("a", config), ("b", with_seed(config, 1))):
        loop.train(one, tmp_path / name, device_name="cpu")
    first, second = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert any(not torch.equal(first[name], second[name]) for name in first)
    assert with_seed(config, 1).data.train == replace(SCENES, seed=1)


def test_a_vrsp_run_fits_its_prior_and_keeps_it_in_the_checkpoint(tmp_path: Path) -> None:
    config = replace(
        tiny_run(1),
        model=replace(TINY, method="vrsp"),
        data=DataConfig(SCENES),
        prior=PriorSource(scenes=8, fit=PriorConfig(steps=2, shapes_per_class=3, masks_per_class=4)),
    )
    loop.train(config, tmp_path / "run", device_name="cpu")
    assert (tmp_path / "run" / run_folder.PRIOR).is_file()
    assert checkpoint.load(tmp_path / "run" / run_folder.CHECKPOINT).config.method == "vrsp"
    wrong = replace(config, prior=PriorSource(file=str(tmp_path / "run" / run_folder.CHECKPOINT)))
    with pytest.raises(UserError, match="is not a shape prior"):
        loop.train(wrong, tmp_path / "other", device_name="cpu")


def test_losses_that_are_not_finite_stop_the_run_and_keep_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = replace(tiny_run(), data=DataConfig(SCENES))
    build = loop.zoo.build

    def diverging(*arguments: object) -> torch.nn.Module:
        model = build(*arguments)  # type: ignore[arg-type]
        forward, calls = model.forward, iter(range(10**6))

        def broken(images: list, targets: list) -> dict[str, torch.Tensor]:
            losses = forward(images, targets)
            return losses | {"loss_mask": losses["loss_objectness"] * (float("nan") if next(calls) == 2 else 1)}

        monkeypatch.setattr(model, "forward", broken)
        return model

    with monkeypatch.context() as patch:
        patch.setattr(loop.zoo, "build", diverging)
        with pytest.raises(UserError, match=r"step 3: loss_mask no longer finite. The last checkpoint is untouched"):
            loop.train(config, tmp_path / "run", device_name="cpu")
    state = run_folder.load_state(tmp_path / "run")
    assert state is not None
    assert state["step"] == 2
    assert all(value.isfinite().all() for value in weights(tmp_path / "run").values())


def test_a_folder_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    config = tiny_run()
    with pytest.raises(UserError, match="no run to resume"):
        run_folder.enter(tmp_path, config, resume=True)
    run_folder.enter(tmp_path, config, resume=False)
    run_folder.begin(tmp_path, config)
    with pytest.raises(UserError, match=r"holds a run already.*--resume"):
        run_folder.enter(tmp_path, config, resume=False)
    run_folder.enter(tmp_path, replace(config, workers=5, checkpoint_every=9), resume=True)
    with pytest.raises(UserError, match=r"other settings \(batch_size: 2, not 3; seed: 0, not 7\)"):
        run_folder.enter(tmp_path, replace(config, batch_size=3, seed=7), resume=True)
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="is a file, not a folder"):
        run_folder.enter(tmp_path / "file", config, resume=False)


def test_a_state_of_another_kind_is_refused(tmp_path: Path) -> None:
    assert run_folder.load_state(tmp_path) is None
    path = tmp_path / run_folder.STATE
    path.write_bytes(b"nothing that torch wrote")
    with pytest.raises(UserError, match=r"training.pt: cannot be read as a training state"):
        run_folder.load_state(tmp_path)
    torch.save({"model": {}}, path)
    with pytest.raises(UserError, match="is not the state of a training run"):
        run_folder.load_state(tmp_path)
    model = torch.nn.Linear(2, 2)
    optimiser = build_optimiser(model, OptimiserConfig())
    run_folder.save_state(tmp_path, {"step": 1, "seconds": 0.0, "model": {}, "optimiser": optimiser.state_dict()})
    state = run_folder.load_state(tmp_path)
    assert state is not None
    with pytest.raises(UserError, match="does not fit this model"):
        run_folder.restore(state, model, optimiser, tmp_path)


def test_missing_data_is_named(tmp_path: Path) -> None:
    config = replace(tiny_run(), data=DataConfig(FileSource((str(tmp_path / "none.json"),))))
    with pytest.raises(UserError, match=r"none.json: no such file"):
        loop.train(config, tmp_path / "run", device_name="cpu")
    assert not (tmp_path / "run").exists()  # so that the same command works once the data are there


def test_training_and_validation_must_list_the_same_categories(tmp_path: Path) -> None:
    for kind in ("cup", "jug"):
        (tmp_path / "cut" / kind / "1").mkdir(parents=True)
        Image.fromarray(np.full((8, 8, 4), 255, np.uint8)).save(tmp_path / "cut" / kind / "1" / "1.png")
    data = DataConfig(SCENES, replace(SCENES, cutouts=str(tmp_path / "cut"), count=1))
    with pytest.raises(UserError, match=r"knows no|have no"):
        loop.train(replace(tiny_run(), data=data), tmp_path / "run", device_name="cpu")


def test_an_unknown_device_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="device 'tpu9' cannot be used"):
        loop.train(tiny_run(), tmp_path / "run", device_name="tpu9")


def test_a_truncated_line_of_losses_is_dropped(tmp_path: Path) -> None:
    for step in (1, 2, 3):
        run_folder.note(tmp_path, run_folder.LOSSES, {"step": step, "loss": 0.5})
    with (tmp_path / run_folder.LOSSES).open("a") as file:
        file.write('{"step": 4, "lo')
    run_folder.forget_after(tmp_path, 2)
    assert [line["step"] for line in run_folder.notes(tmp_path, run_folder.LOSSES)] == [1, 2]


def test_rates_by_step() -> None:
    steps = ScheduleConfig(100, "steps", warm_up=10, milestones=(50, 80))
    rates = [rate_at(step, 2.0, steps) for step in (0, 5, 10, 49, 50, 79, 80)]
    assert rates == pytest.approx([0.002, 1.001, 2, 2, 0.2, 0.2, 0.02])
    cycle = ScheduleConfig(100, "one_cycle", warm_up=20)
    rates = [rate_at(step, 2.0, cycle) for step in (0, 10, 20, 60, 100)]
    assert rates == pytest.approx([2 * START, 1 + START, 2, 1, 0])
    assert rate_at(0, 2.0, ScheduleConfig(5, warm_up=0)) == 2
    assert rate_at(3, 2.0, ScheduleConfig(3, "one_cycle", warm_up=3)) == 2


def test_biases_and_scales_are_not_decayed() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    for name in ("sgd", "adamw"):
        groups = build_optimiser(model, OptimiserConfig(name, weight_decay=0.3)).param_groups  # type: ignore[arg-type]
        assert [(len(group["params"]), group["weight_decay"]) for group in groups] == [(1, 0.3), (3, 0.0)]


def test_the_pretrained_body_learns_at_its_share_of_the_rate() -> None:
    model = build(TINY, 2)
    optimiser = build_optimiser(model, OptimiserConfig("adamw", body_share=0.1))
    set_rate(optimiser, 2.0)
    names = {id(weight): name for name, weight in model.named_parameters()}
    rates = {names[id(w)]: group["lr"] for group in optimiser.param_groups for w in group["params"]}
    assert rates.keys() == {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {
        name: rate for name, rate in rates.items() if rate != (0.2 if name.startswith("backbone.body.") else 2.0)
    } == {}
    assert len(set(rates.values())) == 2
    assert len(build_optimiser(model, OptimiserConfig()).param_groups) == 2  # as in states saved before
    with pytest.raises(UserError, match="body_share must lie"):
        OptimiserConfig(body_share=0.0)


def test_masks_weigh_as_much_as_they_are_told() -> None:
    losses = []
    for weight in (1.0, 0.25):
        torch.manual_seed(0)
        model = build(replace(TINY, mask=replace(TINY.mask, loss_weight=weight)), len(open_source(SCENES).categories))
        torch.manual_seed(0)
        sample = open_source(SCENES)[0]
        losses.append(model.train()([sample["image"] / 255], [sample["target"]]))
    detector = {"loss_objectness", "loss_rpn_box_reg", "loss_classifier", "loss_box_reg"}
    assert losses[0].keys() > detector
    for name, whole in losses[0].items():
        assert losses[1][name] == (whole if name in detector else whole * 0.25), name


def test_a_shortened_run_keeps_its_shape() -> None:
    config = replace(tiny_run(1000), schedule=ScheduleConfig(1000, warm_up=100, milestones=(600, 800)))
    short = with_iterations(config, 50)
    assert short.schedule == ScheduleConfig(50, warm_up=5, milestones=(30, 40))
    assert with_iterations(config, 1000) == config
    assert to_json(config)["schedule"]["iterations"] == 1000
    with pytest.raises(UserError, match="0 steps are no training"):
        with_iterations(config, 0)


def test_a_run_starts_from_what_fits_of_another_model(tmp_path: Path) -> None:
    source, target = (
        build(replace(TINY, method=method), number) for method, number in (("orcnn", 3), ("mask_rcnn", 4))
    )
    categories = [Category(i, str(i)) for i in (1, 2, 3)]
    file = tmp_path / "model.safetensors"
    checkpoint.save(file, checkpoint.Checkpoint(source, TINY, categories))
    own = target.boxes.predictor.cls_score.weight.clone()
    start_from(str(file), target, [*categories, Category(4, "4")])
    assert torch.equal(target.backbone.fpn.inner_blocks[0][0].weight, source.backbone.fpn.inner_blocks[0][0].weight)
    assert torch.equal(target.boxes.predictor.cls_score.weight, own)  # of other classes
    with pytest.raises(UserError, match="no such file"):
        start_from(str(tmp_path / "none"), target, categories)


def test_torchvisions_detector_gives_its_boxes_for_the_categories_it_knows() -> None:
    detector = maskrcnn_resnet50_fpn(weights=None, weights_backbone=None).state_dict()
    categories = [Category(1, "person"), Category(90, "toothbrush")]
    found = rename(detector, categories)
    row = detector["roi_heads.box_predictor.cls_score.bias"]
    assert torch.equal(found["boxes.predictor.cls_score.bias"], row[[0, 1, 90]])
    assert found["boxes.predictor.bbox_pred.weight"].shape == (12, 1024)
    config = ModelConfig(method="mask_rcnn", backbone=BackboneConfig(weights="none"))
    model = build(config, 2)
    taken = take(model, found)
    names = {name.split(".")[0] for name in model.state_dict()} - {"branch"}
    assert taken == {name for name in model.state_dict() if name.split(".")[0] in names}
    assert "boxes.predictor.cls_score.weight" not in rename(detector, [Category(1, "unknown to COCO")])


def test_a_compiled_backbone_is_the_same_model(tmp_path: Path) -> None:
    config = replace(tiny_run(1), data=DataConfig(SCENES))
    loop.train(config, tmp_path / "plain", device_name="cpu")
    with torch.compiler.set_stance("force_eager"):  # no waiting for the compiler: that it is asked is enough
        loop.train(replace(config, compile=True), tmp_path / "compiled", device_name="cpu")
    plain, compiled = weights(tmp_path / "plain"), weights(tmp_path / "compiled")
    assert plain.keys() == compiled.keys()
    assert all(torch.equal(plain[name], compiled[name]) for name in plain)
