"""`amodal train` on annotations of one's own."""

import functools
import inspect
import json
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amodal.cli import COMMANDS, main
from amodal.commands.next_steps import after_completer, after_training
from amodal.commands.train import own_data
from amodal.commands.train_flags import DataSet
from amodal.data.config import DataConfig, FileSource
from amodal.errors import UserError
from amodal.training import recipes


def test_own_files_take_the_place_of_the_recipes(tmp_path: Path):
    train, val = tmp_path / "train.json", tmp_path / "val.json"
    train.write_text("{}")
    val.write_text("{}")
    images = str(tmp_path)
    own = own_data(DataSet(train=(str(train),), val=(str(val),), images=images))
    config = recipes.recipe("d2sa_vrsp", Path("nowhere"), own)
    assert config.data == DataConfig(FileSource((str(train),), images), FileSource((str(val),), images))
    assert config.schedule == recipes.RECIPES["d2sa_vrsp"](Path("nowhere")).schedule


def test_own_files_that_are_not_there(tmp_path: Path):
    with pytest.raises(UserError, match=r"train\.json"):
        recipes.recipe("d2sa_vrsp", Path("nowhere"), own_data(DataSet(train=(f"{tmp_path}/train.json",))))
    with pytest.raises(UserError, match="go with --train"):
        own_data(DataSet(val=("val.json",)))


def test_what_comes_next_is_commands_that_amodal_takes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Run as they are said: with the run's own validation data where these are files."""
    called = []
    for name in ("evaluate", "predict", "complete"):
        command = COMMANDS[name]

        def note(*args: Any, command: Any = command, name: str = name, **kwargs: Any) -> None:
            called.append((name, inspect.signature(command).bind(*args, **kwargs).arguments))

        monkeypatch.setitem(COMMANDS, name, functools.wraps(command)(note))
    (tmp_path / "val.json").write_text("{}")
    own = DataConfig(FileSource(("train.json",)), FileSource((f"{tmp_path}/val.json",), str(tmp_path)))
    run = tmp_path / "my run"
    lines = after_training(run, replace(recipes.RECIPES["d2sa_vrsp"](tmp_path), data=own))
    lines += after_training(run, recipes.RECIPES["demo"](tmp_path)) + after_completer(run / "model.safetensors")
    for line in lines:
        label, _, command = line.partition(": ")
        if label.startswith("next"):
            main(shlex.split(command)[1:])
    model = str(run / "model.safetensors")
    assert [name for name, _ in called] == ["evaluate", "predict"] * 2 + ["complete"]
    assert [given["sources"] for name, given in called if name == "evaluate"] == [
        (model, f"{tmp_path}/val.json"),
        (model, "DATA"),
    ]
    assert called[0][1]["scored"].images == str(tmp_path)
    assert called[1][1]["images"] == (model, "PICTURES")
    assert called[4][1]["checkpoint"] == model


@pytest.mark.slow
@pytest.mark.parametrize("source", ["scenes", "shards/shard-{000000..000000}.tar"])
def test_scenes_on_disk_are_trained_on_and_scored(source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    main(
        ["synth", "--out", "scenes", "--count", "2", "--size", "64", "64", "--num-objects", "2", "3", "--workers", "1"]
    )
    if source != "scenes":
        main(["convert", "scenes", "shards", "--to", "webdataset"])
    flags = f"--train {source} --val {source} --out run --iterations 1 --batch-size 1 --workers 0 --device cpu"
    main(f"train eth80_mask_rcnn_small {flags}".split())
    assert Path("run/model.safetensors").is_file()
    assert json.loads(Path("run/metrics.json").read_text())["steps"] == 1
    main(f"evaluate run/model.safetensors {source} --out scores.json --html page.html --workers 0 --device cpu".split())
    assert json.loads(Path("scores.json").read_text())["counts"]["images"] == 2
    assert "image folder not found" not in Path("page.html").read_text()
