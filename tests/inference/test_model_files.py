"""The models in the package: they load by their names, are small, and know what they were not trained on."""

import json
import tomllib

import numpy as np
import pytest
from safetensors import safe_open

import amodal
from amodal.inference.model_files import PACKAGED
from amodal.samples import pictures
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.composition import compose, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.shapes import DrawnCutOuts
from tests.places import ROOT


def test_together_they_are_small_and_the_card_says_what_they_are():
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"]
    shipped = [
        path for path in PACKAGED.glob("*.safetensors") if f"src/amodal/weights/{path.name}" not in left_out["exclude"]
    ]
    assert {path.stem for path in shipped} == {"photos", "completer"}
    assert sum(path.stat().st_size for path in shipped) <= 40e6
    card = (PACKAGED / "README.md").read_text()
    assert "amodal AP" in card and all(f"# {path.stem}" in card for path in shipped)


@pytest.mark.parametrize("name", ["demo", "photos", "completer"])
def test_they_tell_nothing_of_the_machine_that_they_were_trained_on(name: str):
    with safe_open(PACKAGED / f"{name}.safetensors", "np") as file:
        about = json.loads(file.metadata()["about"])
    assert "/" not in json.dumps(about)


@pytest.mark.parametrize("name", ["demo", "photos", "completer"])
def test_all_their_numbers_are_finite(name: str):
    with safe_open(PACKAGED / f"{name}.safetensors", "np") as file:
        assert [key for key in file.keys() if not np.isfinite(file.get_tensor(key)).all()] == []  # noqa: SIM118


def test_the_first_impression_is_right():
    """What README's first lines and the page's first example show: a cat, and that it goes on behind the cup."""
    model, sample, cat, astronaut = amodal.load("photos", "cpu"), *pictures()
    assert sample == amodal.sample()
    behind = model.predict(sample, score_threshold=0.5)
    assert behind.names[0] == "cat"
    assert len(behind.scores) == 1 or behind.scores[1] < 0.55  # at most a spoon that is hardly taken for a person
    cup = np.s_[170:270, 180:300]  # where nothing but cup and saucer is seen
    assert behind.amodal_masks[0][cup].mean() > 0.7
    assert behind.visible_masks[0][cup].mean() < 0.3
    assert model.predict(cat, score_threshold=0.5).names == ("cat",)
    assert "person" in model.predict(astronaut, score_threshold=0.3).names


def test_the_completer_leaves_a_whole_disc_alone_and_completes_a_covered_one():
    image = np.full((120, 160, 3), 200, np.uint8)
    rows, columns = np.ogrid[:120, :160]
    disc, bar = (rows - 60) ** 2 + (columns - 70) ** 2 <= 40**2, np.broadcast_to(abs(columns - 85) <= 12, (120, 160))
    image[disc] = (200, 60, 50)
    completer = amodal.load("completer", "cpu")
    whole = completer.complete(image, visible_masks=disc[None]).masks[0]
    assert (whole & disc).sum() / (whole | disc).sum() > 0.98
    image[bar] = (60, 90, 60)
    covered = completer.complete(image, visible_masks=np.stack([disc & ~bar, bar])).masks[0]
    assert (covered & disc).sum() / (covered | disc).sum() > 0.95 > (disc & ~bar).sum() / disc.sum()


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
