"""What the command line says to mistakes: one clear line on standard error, status 2, no traceback, nothing written."""

import json
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import torch
from PIL import Image

import amodal
from amodal import cli
from amodal.annotations import Category
from amodal.arguments import COUNT
from amodal.errors import unknown
from amodal.files import replacing
from amodal.models import checkpoint
from tests.small_models import NUM_CLASSES, SMALL, small_model, small_prior


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    """A folder of good and bad files."""
    folder = tmp_path_factory.mktemp("place")
    categories = [Category(i, f"thing {i}") for i in range(1, NUM_CLASSES + 1)]
    model = checkpoint.Checkpoint(small_model(SMALL).eval(), SMALL, categories)
    checkpoint.save(folder / "model.safetensors", model)
    small_prior().save(folder / "prior.safetensors")
    (folder / "broken.json").write_text('{"images": [')
    (folder / "broken.jpg").write_bytes(b"\xff\xd8 this is no picture")
    (folder / "empty").mkdir()
    Image.fromarray(np.zeros((8, 10, 3), np.uint8)).save(folder / "picture.png")
    square = [[2, 2, 6, 2, 6, 6, 2, 6]]
    good = {
        "images": [{"id": 1, "file_name": "picture.png", "height": 8, "width": 10}],
        "categories": [{"id": c.id, "name": c.name} for c in categories],
        "annotations": [{"id": 5, "image_id": 1, "category_id": 1, "segmentation": square, "iscrowd": 0}],
    }

    def variant(name: str, **changes) -> None:
        content = json.loads(json.dumps(good))
        content["annotations"][0].update(changes.pop("annotation", {}))
        (folder / name).write_text(json.dumps(content | changes))

    variant("good.json")
    variant("no_images.json", images=[], annotations=[])
    variant("unknown_category.json", annotation={"category_id": 77})
    variant("wrong_size.json", annotation={"segmentation": {"size": [8, 9], "counts": [72]}})
    variant("missing_image.json", images=[{"id": 1, "file_name": "gone.png", "height": 8, "width": 10}])
    variant("other_categories.json", categories=[{"id": 1, "name": "apple"}])
    (folder / "results.json").write_text(json.dumps([{"image_id": 9, "category_id": 1, "score": 0.5}]))
    return folder


MISTAKES = {
    "nonsense --help": ["nonsense"],
    "evalute --help": ["evalute", "Did you mean evaluate?"],
    "data chek {p}/good.json": ["amodal data chek", "Did you mean check?"],
    "train dmeo --out {p}/out": ["dmeo", "Did you mean demo?"],
    "train demo --lr -1 --out {p}/out": ["--lr -1", "more than 0"],
    "train demo --batch-size 0 --out {p}/out": ["--batch-size 0"],
    "train demo --train {p}/nofile.json --out {p}/out": ["nofile.json", "--train"],
    "predict {p}/picture.png --score 2.5 --out {p}/out": ["--score 2.5", "0 to 1"],
    "predict {p}/picture.png --score nan --out {p}/out": ["--score nan"],
    "predict {p}/picture.png --out {p}/good.json": ["good.json", "is a file, not a folder"],
    "predict {p}/picture.png --model deno --out {p}/out": ["deno", "Did you mean demo?"],
    "evaluate {p}/model.safetensors {p}/good.json --workers -1": ["--workers -1"],
    "export {p}/model.safetensors {p}/good.json": ["good.json"],
    "bench table1 --recipe eth80_smal --out {p}/out": ["eth80_smal", "Did you mean eth80_small"],
    "bench figure1 --models vrps --recipe demo --out {p}/out": ["vrps", "Did you mean vrsp"],
    # command: what the one line must name
    "synth --out {p}/out --cutouts {p}/nowhere": ["nowhere"],
    "synth --out {p}/out --cutouts {p}/empty": ["empty"],
    "synth --out {p}/out --cutouts {p}/broken.json": ["broken.json"],
    "train no_such_recipe --out {p}/out": ["no_such_recipe", "eth80_vrsp_small"],
    "train eth80_vrsp_small --data {p}/nowhere --out {p}/out": ["nowhere"],
    "train eth80_vrsp_small --data {p}/empty --out {p}/out": ["empty"],
    "evaluate {p}/nowhere.safetensors {p}/good.json": ["nowhere.safetensors"],
    "evaluate {p}/prior.safetensors {p}/good.json": ["prior.safetensors", "shape prior"],
    "evaluate {p}/picture.png {p}/good.json": ["picture.png"],
    "evaluate {p}/model.safetensors {p}/nowhere.json": ["nowhere.json"],
    "evaluate {p}/model.safetensors {p}/broken.json": ["broken.json", "line 1"],
    "evaluate {p}/model.safetensors {p}/no_images.json": ["no_images.json"],
    "evaluate {p}/model.safetensors {p}/unknown_category.json": ["unknown_category.json", "5", "77"],
    "evaluate {p}/model.safetensors {p}/wrong_size.json": ["wrong_size.json", "5"],
    "evaluate {p}/model.safetensors {p}/missing_image.json --images {p} --workers 0": ["gone.png"],
    "evaluate {p}/model.safetensors {p}/other_categories.json": ["model.safetensors"],
    "evaluate --predictions {p}/results.json {p}/good.json": ["results.json", "9"],
    "evaluate --predictions {p}/nowhere.json {p}/good.json": ["nowhere.json"],
    "evaluate {p}/good.json": ["paths"],
    "compare {p}/good.json {p}/broken.json": ["good.json"],
    "predict {p}/nowhere.safetensors {p}/picture.png --out {p}/out": ["nowhere.safetensors"],
    "predict {p}/model.safetensors {p}/nowhere.png --out {p}/out": ["nowhere.png"],
    "predict {p}/model.safetensors {p}/empty --out {p}/out": ["empty"],
    "predict https://a.b/c.JPG?d=1 --out {p}/out": ["https://a.b/c.JPG?d=1 is a picture", "Download it"],
    "predict {p}/picture.png {p}/picture.png --model completer --out {p}/out": ["finds no objects", "amodal complete"],
    "evaluate completer {p}/good.json": ["finds no objects", "amodal complete"],
    "predict {p}/prior.safetensors {p}/picture.png --out {p}/out": ["prior.safetensors"],
    "complete {p}/broken.json {p}/model.safetensors --out {p}/out.json": ["broken.json"],
    "complete {p}/good.json {p}/prior.safetensors --out {p}/out.json": ["prior.safetensors"],
    "convert {p}/broken.json --to kins {p}/out.json": ["broken.json"],
    "convert {p}/wrong_size.json --to d2sa {p}/out.json": ["wrong_size.json", "5"],
    "export {p}/prior.safetensors {p}/out.onnx": ["prior.safetensors"],
    "data check {p}/nowhere.json": ["nowhere.json"],
    "data check {p}/broken.json": ["broken.json"],
    "data show {p}/broken.json {p}/out.html": ["broken.json"],
    "prior fit {p}/broken.json --out {p}/out.safetensors": ["broken.json"],
    "prior fit {p}/no_images.json --out {p}/out.safetensors": ["no"],
    "prior show {p}/model.safetensors {p}/out.png": ["model.safetensors", "not a shape prior"],
    "bench table1 --data {p}/nowhere --out {p}/out": ["nowhere"],
}


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_one_line_that_names_it(place, capsys, command):
    before = {path.name for path in place.iterdir()}
    with pytest.raises(SystemExit) as stopped:
        cli.main(command.format(p=place).split())
    errors = capsys.readouterr().err
    assert stopped.value.code == 2, errors
    said = [line for line in errors.splitlines() if line.startswith("amodal: ")]
    message = [line for line in said if not line.endswith(" ...")]  # what goes on
    assert len(message) == 1, errors
    assert "Traceback" not in errors
    for word in MISTAKES[command]:
        assert word in message[0]
    assert {path.name for path in place.iterdir()} - before <= {"out"}
    assert not [path for path in place.rglob("out/**/*") if path.is_file()]


@pytest.mark.parametrize("name", [*cli.COMMANDS, *(f"{g} {c}" for g, (_, cs) in cli.GROUPS.items() for c in cs)])
def test_every_command_explains_itself(name, capsys):
    with pytest.raises(SystemExit) as stopped:
        cli.main([*name.split(), "--help"])
    assert stopped.value.code == 0
    assert f"amodal {name}" in capsys.readouterr().out


def test_the_version(capsys):
    cli.main(["--version"])
    assert capsys.readouterr().out == f"amodal {amodal.__version__}\n"
    done = subprocess.run([sys.executable, "-m", "amodal", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout == f"amodal {amodal.__version__}\n"


def test_without_words_it_explains_itself(capsys):
    for words in ([], ["data"]):
        with pytest.raises(SystemExit) as stopped:
            cli.main(words)
        assert stopped.value.code == 0
        assert "convert" in capsys.readouterr().out or words


def test_what_nobody_foresaw_is_one_line_and_a_file(monkeypatch, capsys, tmp_path):
    def breaking(number: Annotated[int, COUNT] = 1) -> None:
        raise ZeroDivisionError("nobody\nforesaw this")

    monkeypatch.setitem(cli.COMMANDS, "breaking", breaking)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(SystemExit) as stopped:
        cli.main(["breaking"])
    said = capsys.readouterr().err
    assert stopped.value.code == 1
    assert said.count("\n") == 1
    assert "ZeroDivisionError: nobody. The details are in" in said
    details = Path(said.split()[-1]).read_text()
    assert "in breaking" in details
    assert "foresaw this" in details
    monkeypatch.setenv(cli.DEBUG, "1")
    with pytest.raises(ZeroDivisionError):
        cli.main(["breaking"])


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_signal_ends_a_command_as_ctrl_c_does_and_leaves_nothing_behind(name, monkeypatch, capsys, tmp_path):
    number, closed = getattr(signal, name), []

    def writing() -> None:
        with replacing(tmp_path / "out.txt") as temporary:
            temporary.write_text("half")
            try:
                signal.raise_signal(number)
            finally:
                closed.append(name)

    monkeypatch.setitem(cli.COMMANDS, "writing", writing)
    usual = signal.default_int_handler if name == "SIGINT" else signal.SIG_DFL
    before = signal.signal(number, usual)  # Ray, where another test has started it, leaves its own
    try:
        with pytest.raises(SystemExit) as stopped:
            cli.main(["writing"])
        assert signal.getsignal(number) is usual
    finally:
        signal.signal(number, before)
    assert stopped.value.code == 128 + number
    assert capsys.readouterr().err == "amodal: stopped\n"
    assert closed == [name]
    assert list(tmp_path.iterdir()) == []


def test_a_signal_that_is_ignored_stays_so(monkeypatch):
    """As under nohup."""
    monkeypatch.setitem(cli.COMMANDS, "waiting", lambda: signal.raise_signal(signal.SIGHUP))
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        cli.main(["waiting"])
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_the_systems_errors_name_their_file(monkeypatch, capsys):
    def breaking() -> None:
        raise PermissionError(13, "Permission denied", "/some/where")

    monkeypatch.setitem(cli.COMMANDS, "breaking", breaking)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["breaking"])
    assert stopped.value.code == 2
    assert capsys.readouterr().err == "amodal: /some/where: Permission denied\n"


@pytest.mark.parametrize("kind", ["gpu", "machine", "array"])
def test_out_of_memory_is_one_line_with_the_way_out(kind, monkeypatch, capsys):
    def breaking() -> None:
        if kind == "gpu":
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 9 GiB.\nand so on")
        raise MemoryError if kind == "machine" else np._core._exceptions._ArrayMemoryError((9, 9), np.dtype(float))

    monkeypatch.setitem(cli.COMMANDS, "breaking", breaking)
    with pytest.raises(SystemExit) as stopped:
        cli.main(["breaking"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2
    assert said.startswith("amodal: out of memory (")
    assert said.count("\n") == 1
    assert "--batch-size" in said


def test_a_reader_that_stops_reading_is_no_error():
    line = f"{sys.executable} -m amodal synth --help | head -1"
    done = subprocess.run(["bash", "-c", f"set -o pipefail; {line}"], capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


def test_scores_that_are_no_probabilities_are_named(place, capsys):
    found = [{"image_id": 1, "category_id": 1, "score": score, "bbox": [2, 2, 4, 4]} for score in (0.5, 2.5, -1)]
    (place / "scores.json").write_text(json.dumps(found))
    cli.main(["evaluate", "--predictions", str(place / "scores.json"), str(place / "good.json")])
    said = capsys.readouterr().err
    assert "scores.json: 2 of 3 scores lie outside 0 to 1, the first 2.5 (detection 1)" in said


def test_one_name_is_meant_or_all_are_listed():
    assert str(unknown("no 'aple'", "aple", ["Apple", "cup"])) == "no 'aple'. Did you mean Apple?"
    assert str(unknown("no 'x'", "x", ["apple", "cup"])) == "no 'x'. Known are apple, cup"
    assert str(unknown("no 'x'", "x", map("name{:03d}".format, range(100)))).endswith("name059, ... (100 in all)")
