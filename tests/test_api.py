"""`import amodal`: what the commands do, as functions; recipes of one's own."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import amodal
from amodal.cli import main
from amodal.training import recipes
from tests.documentation import small_recipe

OWN = """
from amodal.training.recipes import demo

def shelf(data):
    return demo(data)

def broken(data):
    return missing

def nothing(data):
    return None
"""


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> "amodal.read":
    return amodal.synth(tmp_path_factory.mktemp("scenes"), 2, size=(64, 64))


def test_scenes_are_read_and_their_truth_is_drawn(scenes):
    image = scenes.images[0]
    truth = amodal.Result.of_truth(scenes, image.id)
    assert len(truth) == len(scenes.by_image[image.id]) > 0
    assert min(truth.draw(scenes.image_folder / image.file_name).size) >= 64
    assert amodal.read(scenes.source) == scenes
    with pytest.raises(amodal.UserError, match="no image 99"):
        amodal.Result.of_truth(scenes, 99)


def test_truth_and_models_are_evaluated(scenes):
    truths = {image.id: amodal.Result.of_truth(scenes, image.id) for image in scenes.images}
    sure = {image_id: replace(truth, scores=np.ones(len(truth), np.float32)) for image_id, truth in truths.items()}
    detections = [detection for image_id, result in sure.items() for detection in result.to_detections(image_id)]
    perfect = amodal.evaluate(detections, scenes.source)
    assert perfect.amodal.ap == perfect.visible.ap == 1
    assert "amodal" in str(perfect)
    report = amodal.evaluate(amodal.load("demo", "cpu"), scenes)
    assert report.counts.images == 2
    assert report.about["scored"] == "the model"


def test_a_run_is_trained_and_loaded(tmp_path):
    config = small_recipe(recipes.demo(Path()))
    predictor = amodal.train(config, tmp_path / "run", iterations=1, device="cpu", resume=True)
    assert len(predictor.categories) > 0


def test_a_recipe_of_ones_own_runs_from_the_command_line(tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr("amodal.training.loop.train", lambda config, out, **_: trained.append(config) or {})
    (tmp_path / "my_recipes.py").write_text(OWN)
    main(["train", f"{tmp_path}/my_recipes.py:shelf", "--out", str(tmp_path / "run"), "--iterations", "3"])
    assert trained[0].recipe == "shelf"
    assert trained[0].schedule.iterations == 3
    assert trained[0].model == recipes.demo(Path()).model


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("nowhere.py:shelf", "nowhere.py: no such file"),
        ("own.py:chair", "own.py: has no function 'chair'"),
        ("own.py:broken", r"own.py.*fails \(NameError"),
        ("own.py:nothing", "own.py.*returns NoneType"),
        ("bad.py:shelf", r"bad.py: cannot be run \(SyntaxError"),
        ("shelf", "no recipe is called 'shelf'"),
    ],
)
def test_what_is_no_recipe_is_named(tmp_path, name, problem, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("own.py").write_text(OWN)
    Path("bad.py").write_text("def shelf(:")
    with pytest.raises(amodal.UserError, match=problem):
        recipes.recipe(name, Path("data"))
