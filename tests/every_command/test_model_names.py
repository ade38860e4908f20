"""Whatever `amodal.load` takes, every command takes."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.cli import main
from amodal.errors import UserError
from amodal.formats import coco
from amodal.inference import model_files
from amodal.models.checkpoint import Checkpoint, save
from amodal.paper import trained
from tests.small_models import SMALL, small_model

CATEGORIES = [Category(i, name) for i, name in enumerate(("cup", "pear", "cow"), start=1)]


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A packaged model, the same one on the hub, and an image with one object."""
    monkeypatch.setattr(model_files, "PACKAGED", tmp_path / "packaged")
    (tmp_path / "packaged").mkdir()
    path = tmp_path / "packaged" / "small.safetensors"
    save(path, Checkpoint(small_model(SMALL), SMALL, CATEGORIES))
    monkeypatch.setattr("amodal.inference.hub.download", lambda address: {"hf://ann/small": path}[address])
    mask = np.zeros((1, 48, 64), bool)
    mask[0, 10:30, 10:40] = True
    (run,) = rle.encode(mask)
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(noise).save(tmp_path / "images" / "1.png")
    objects = [Annotation(1, 1, 1, run, run)]
    coco.write(AnnotationSet([ImageRecord(1, "1.png", 48, 64)], objects, CATEGORIES), tmp_path / "data.json")
    return tmp_path


def numbers(path: Path) -> dict:
    return {key: value for key, value in json.loads(path.read_text()).items() if key != "about"}


def test_evaluate_takes_names_the_hub_and_exported_models(world):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    main(["export", "small", str(world / "small.onnx")])
    reports = []
    for index, model in enumerate(("small", "hf://ann/small", str(world / "small.onnx"))):
        out = world / f"{index}.json"
        flags = ["--device", "cpu", "--workers", "0", "--out", str(out)]
        main(["evaluate", model, str(world / "data.json"), *flags])
        reports.append(numbers(out))
    assert reports[0] == reports[1]
    assert reports[0]["counts"] == reports[2]["counts"]
    assert reports[0]["amodal"]["ar100"] == pytest.approx(reports[2]["amodal"]["ar100"], abs=1e-3)


def test_push_takes_a_name(world, monkeypatch):
    pushed = []
    monkeypatch.setattr("amodal.inference.hub.push_to_hub", lambda path, *_, **__: pushed.append(path) or "there")
    main(["push", "small", "ann/other"])
    assert pushed == [world / "packaged" / "small.safetensors"]


def test_the_bench_takes_names(world):
    (model,) = trained.load(["small"], world / "runs", 0, "cpu")
    assert model.label == "small"


def test_a_checkpoint_is_wanted_where_an_exported_model_does_not_do(world):
    (world / "m.onnx").touch()
    with pytest.raises(UserError, match="is an exported model"):
        model_files.checkpoint_file(world / "m.onnx")
    with pytest.raises(UserError, match="no model in the package is called 'nowhere'"):
        model_files.model_file("nowhere")
