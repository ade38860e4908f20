"""An exported model on a machine without torch: the packages that the documentation names, and no others."""

import json
import os
import re
import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

import numpy as np
import pytest
from packaging.requirements import Requirement
from PIL import Image

import amodal
from amodal.annotations import Category
from amodal.commands.export import export
from amodal.models import checkpoint
from tests.documentation import DOCS, blocks
from tests.small_models import SMALL, small_model

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

SOURCE = Path(amodal.__file__).parent


def documented_packages() -> list[str]:
    """What the documentation says to install in place of `amodal`'s own dependencies."""
    (line,) = re.findall(
        r"^pip install (numpy .*)$", "".join(b.code for b in blocks(DOCS / "how-to" / "export.md")), re.MULTILINE
    )
    return line.split()


def with_dependencies(names: list[str]) -> set[str]:
    """The distributions and everything that they require."""
    found: set[str] = set()
    waiting = [name.lower() for name in names]
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found.add(name)
        for requirement in map(Requirement, distribution(name).requires or []):
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(requirement.name.lower())
    return found


@pytest.fixture(scope="module")
def packages(tmp_path_factory) -> Path:
    """A folder that holds those packages and this one, as links, and so is a Python environment without torch."""
    folder = tmp_path_factory.mktemp("packages")
    for name in with_dependencies(documented_packages()):
        for file in distribution(name).files or []:
            target = folder / file.parts[0]
            if file.parts[0] not in ("..", "__pycache__") and not target.exists():
                target.symlink_to(Path(str(distribution(name).locate_file(file.parts[0]))))
    (folder / "amodal").symlink_to(SOURCE)
    return folder


def run(packages: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Python that sees its standard library and the folder alone (-S: no site-packages)."""
    environment = {**os.environ, "PYTHONPATH": str(packages)}
    line = [sys.executable, "-S", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, check=False, env=environment)


def test_it_predicts_what_pytorch_predicts(packages, tmp_path):
    categories = [Category(4, "cup"), Category(5, "pear"), Category(9, "cow")]
    checkpoint.save(tmp_path / "m.safetensors", checkpoint.Checkpoint(small_model(SMALL).eval(), SMALL, categories))
    export(str(tmp_path / "m.safetensors"), tmp_path / "m.onnx")
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 50, 3), dtype=np.uint8)).save(tmp_path / "a.png")

    assert "No module named 'torch'" in run(packages, "-c", "import torch").stderr
    done = run(
        packages,
        "-m",
        "amodal.cli",
        "predict",
        tmp_path / "m.onnx",
        tmp_path / "a.png",
        "--out",
        tmp_path,
        "--score",
        "0",
    )
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "predictions.json").read_text())
    expected = amodal.load(tmp_path / "m.safetensors", "cpu").predict(tmp_path / "a.png", score_threshold=0).to_coco()
    assert len(written) == len(expected) > 0
    for ours, theirs in zip(written, expected, strict=True):
        assert ours["category_id"] == theirs["category_id"]
        assert ours["score"] == pytest.approx(theirs["score"], abs=1e-5)
        assert ours["bbox"] == pytest.approx(theirs["bbox"], abs=1e-2)
        assert ours["segmentation"]["size"] == theirs["segmentation"]["size"] == [40, 50]
    assert (tmp_path / "a.jpg").is_file()


def test_what_needs_torch_says_so(packages, tmp_path):
    Image.new("RGB", (30, 20)).save(tmp_path / "a.png")
    done = run(packages, "-m", "amodal.cli", "predict", tmp_path / "a.png", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("amodal: torch is not installed")
