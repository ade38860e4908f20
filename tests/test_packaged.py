"""The model in the package: it loads by its name, and knows drawn objects that it was not trained on."""

import json

import numpy as np
from safetensors import safe_open

import amodal
from amodal.inference.model_files import PACKAGED
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.composition import compose, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.shapes import DrawnCutOuts


def test_it_is_small_and_says_what_it_is():
    assert (PACKAGED / "demo.safetensors").stat().st_size <= 20e6
    assert "amodal AP" in (PACKAGED / "README.md").read_text()


def test_it_tells_nothing_of_the_machine_that_it_was_trained_on():
    with safe_open(PACKAGED / "demo.safetensors", "np") as file:
        about = json.loads(file.metadata()["about"])
    assert about["details"]["training"]["recipe"] == "demo"
    assert "/" not in json.dumps(about)


def test_it_finds_most_of_what_is_drawn():
    cutouts, backgrounds = DrawnCutOuts("val"), open_backgrounds("drawn", "val")
    config = SceneConfig(size=(160, 160), num_objects=(3, 3), scale=(0.35, 0.55))
    model = amodal.load("demo", "cpu")
    overlaps = []
    for index in range(4):
        scene = compose(cutouts, backgrounds, config, scene_rng(5, index))
        found = model.predict(np.array(scene.image), score_threshold=0.3).amodal_masks
        for mask in scene.amodal:
            overlaps.append(max(((mask & f).sum() / (mask | f).sum() for f in found), default=0.0))
    assert np.mean(overlaps) > 0.5
