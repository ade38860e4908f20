"""The exported completer answers as PyTorch does, for any number of objects."""

from pathlib import Path

import numpy as np
import pytest
import torch

import amodal
from amodal.commands.export import export
from amodal.completion import checkpoint
from amodal.completion.network import build
from amodal.errors import UserError
from amodal.inference.completer import Completer, crops_of
from amodal.inference.onnx import load
from tests import photographs
from tests.completion.test_completion import TINY

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

IMAGE = np.random.default_rng(0).integers(0, 256, (90, 120, 3), dtype=np.uint8)
MASKS = np.stack([mask for _, mask in photographs.objects()])


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("models")
    torch.manual_seed(0)
    checkpoint.save(path / "own.safetensors", build(TINY), {})
    export(str(path / "own.safetensors"), path / "own.onnx")
    return path


@pytest.mark.parametrize("count", [1, 2, 5])
def test_it_answers_as_pytorch_does(folder: Path, count: int):
    crops = np.stack([crop.inputs for crop in crops_of(IMAGE, MASKS[:count])])
    exported, eager = load(folder / "own.onnx", "cpu"), amodal.load(folder / "own.safetensors", "cpu").model
    assert isinstance(exported, Completer)
    assert isinstance(eager, Completer)
    for ours, theirs in zip(exported.network(crops), eager.network(crops), strict=True):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours, theirs, atol=1e-3)


def test_it_is_loaded_by_its_file(folder: Path):
    first, second = (amodal.load(folder / f"own{suffix}", "cpu") for suffix in (".onnx", ".safetensors"))
    ours, theirs = (p.complete(IMAGE, visible_masks=MASKS) for p in (first, second))
    assert (ours.masks ^ theirs.masks).mean() < 1e-3
    with pytest.raises(UserError, match="finds no objects"):
        first.predict(IMAGE)
    with pytest.raises(UserError, match="exported already"):
        export(str(folder / "own.onnx"), folder / "again.onnx")


def test_eight_bits_are_smaller(folder: Path):
    export(str(folder / "own.safetensors"), folder / "small.onnx", int8=True)
    assert (folder / "small.onnx").stat().st_size < 0.5 * (folder / "own.onnx").stat().st_size
    assert len(amodal.load(folder / "small.onnx", "cpu").complete(IMAGE, visible_masks=MASKS)) == 5
