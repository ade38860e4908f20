"""What the command line says to mistakes: one clear line on standard error, status 2, no traceback, nothing written."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import NUM_CLASSES, SMALL, small_model, small_prior

from amodal import cli
from amodal.annotations import Category
from amodal.models import checkpoint


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
    message = [line for line in errors.splitlines() if line.startswith("amodal: ")]
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
