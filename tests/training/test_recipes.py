"""Every recipe shipped can be read, survives JSON, and builds; the small ones take a step."""

import ast
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from amodal.data.config import FileSource
from amodal.errors import UserError
from amodal.models.config import BackboneConfig
from amodal.models.zoo import build, needs_prior
from amodal.settings import from_json, to_json
from amodal.training.config import TrainConfig
from amodal.training.recipes import DATA_SETS, METHODS, RECIPES, paths_of, recipe

DATA = Path("somewhere")


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_survives_json_and_states_its_name_and_data(name: str) -> None:
    config = RECIPES[name](DATA)
    assert config.recipe == name
    assert from_json(TrainConfig, to_json(config)) == config
    sources = [config.data.train, config.data.val]
    paths = [path for source in sources for path in paths_of(source)]
    assert all(Path(path).is_relative_to(DATA) for path in paths)
    assert bool(paths) == (name != "demo")
    for milestone in (*config.schedule.milestones, config.schedule.warm_up):
        assert 0 < milestone < config.schedule.iterations


def test_there_is_a_recipe_for_each_data_set_and_method() -> None:
    assert len(RECIPES) == 1 + len(DATA_SETS) * len(METHODS)
    masks = {"mask_rcnn": (4, "amodal"), "mask_rcnn_c8": (8, "amodal"), "mask_rcnn_visible": (4, "visible")}
    for method, expected in masks.items():
        model = RECIPES[f"d2sa_{method}"](DATA).model
        assert (model.method, model.mask.num_convs, model.mask.truth) == ("mask_rcnn", *expected)
    assert [RECIPES[f"kins_{method}"](DATA).model.method for method in ("orcnn", "sln", "vrsp")] == [
        "orcnn",
        "sln",
        "vrsp",
    ]


@pytest.mark.parametrize(
    ("name", "batch", "rate", "iterations", "milestones"),
    [
        ("d2sa_vrsp", 2, 0.005, 70_000, (40_000, 60_000)),
        ("kins_vrsp", 1, 0.0025, 48_000, (30_000, 40_000)),
        ("cocoa_cls_vrsp", 2, 0.0005, 10_000, (8_000,)),
    ],
)
def test_schedules_are_the_papers(name: str, batch: int, rate: float, iterations: int, milestones: tuple) -> None:
    config = RECIPES[name](DATA)
    assert (config.batch_size, config.optimiser.lr) == (batch, rate)
    assert (config.schedule.iterations, config.schedule.milestones) == (iterations, milestones)
    assert (config.optimiser.momentum, config.optimiser.weight_decay) == (0.9, 1e-4)
    assert config.model.backbone.name == "resnet50"
    assert config.prior.fit.num_convs == (2 if name == "kins_vrsp" else 3)
    assert config.model.vrsp.alpha == (3 if name == "kins_vrsp" else 2)


@pytest.mark.parametrize("name", [f"eth80_{method}_small" for method in METHODS])
def test_small_models_build(name: str) -> None:
    model = RECIPES[name](DATA).model
    light = replace(model, backbone=BackboneConfig("resnet18", "none", fpn_channels=model.backbone.fpn_channels))
    if needs_prior(light):
        light = replace(light, vrsp=replace(light.vrsp, prior_refinement=False, prior_rescoring=False))
    assert sum(weight.numel() for weight in build(light, 8).parameters()) > 0


def test_an_unknown_recipe_lists_the_known_ones_or_the_one_that_was_meant() -> None:
    with pytest.raises(UserError, match=r"no recipe is called 'x'. Known are demo, eth80_mask_rcnn_small, "):
        recipe("x", DATA)
    with pytest.raises(UserError, match=r"no recipe is called 'd2sa_vsrp'. Did you mean d2sa_vrsp"):
        recipe("d2sa_vsrp", DATA)


def test_data_that_are_not_there_are_named_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"d2sa_train.json: recipe 'd2sa_sln' needs it.* Pass --data"):
        recipe("d2sa_sln", Path("data"))
    with pytest.raises(UserError, match=r"eth80: recipe 'eth80_sln' needs it"):
        recipe("eth80_sln", tmp_path)
    (tmp_path / "eth80").mkdir()
    (tmp_path / "backgrounds").mkdir()
    assert recipe("eth80_sln", tmp_path).recipe == "eth80_sln"
    assert paths_of(FileSource(("a.json", "b.json"), "images")) == ["a.json", "b.json", "images"]


def test_flags_change_the_recipe() -> None:
    from amodal.commands.train import changed
    from amodal.commands.train_flags import Changes

    config = RECIPES["d2sa_vrsp"](DATA)
    assert changed(config, Changes()) == config
    found = changed(config, Changes(iterations=700, lr=0.1, seed=3, prior=Path("p"), validate_every=0, workers=0))
    assert (found.schedule.iterations, found.schedule.milestones, found.schedule.warm_up) == (700, (400, 600), 10)
    assert (found.optimiser.lr, found.seed, found.prior.file) == (0.1, 3, "p")
    assert (found.validation.every, found.workers) == (0, 0)


def test_recipes_are_read_without_torch() -> None:
    check = "import sys, amodal.training.recipes, amodal.commands.train; print('torch' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "False"


def test_every_data_set_says_its_command() -> None:
    tree = ast.parse(Path(sys.modules["amodal.training.recipes"].__file__ or "").read_text())
    docs = {node.name: ast.get_docstring(node) or "" for node in tree.body if isinstance(node, ast.FunctionDef)}
    for make in DATA_SETS.values():
        command = next(line for line in docs[make.__name__].splitlines() if "amodal train" in line)
        assert command.split()[2] in RECIPES
