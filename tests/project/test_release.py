"""What is released: the wheel's contents and size, a complete sdist, one version, a dated entry in the changelog."""

import re
import subprocess
import tarfile
import tomllib
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest

import amodal
from tests.places import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
MOST_BYTES = 45_000_000
EXTRAS_ONLY = ("matplotlib", "scikit-learn", "opencv-python-headless", "gradio", "onnx", "av")
"""Packages that `pip install amodal` does not bring."""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    builders = pytest.importorskip("hatchling.builders.wheel")
    (path,) = builders.WheelBuilder(str(ROOT)).build(
        directory=str(tmp_path_factory.mktemp("dist")), versions=["standard"]
    )
    assert Path(path).stat().st_size <= MOST_BYTES
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_and_nothing_else(wheel: zipfile.ZipFile):
    source = ROOT / "src"
    files = {
        path.relative_to(source).as_posix()
        for path in (source / "amodal").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert files - held == {"amodal/weights/demo.safetensors"}, "of drawn objects: for tests and benchmarks"
    assert held <= files
    assert {"amodal/py.typed", "amodal/weights/photos.safetensors", "amodal/samples/sample.jpg"} <= held
    notes = [name for name in wheel.namelist() if ".dist-info/" in name]
    assert any(name.endswith("LICENSE") for name in notes)
    (entry,) = (name for name in notes if name.endswith("entry_points.txt"))
    assert "amodal = amodal.cli:main" in wheel.read(entry).decode()


def test_what_only_extras_need_is_not_installed_for_all(wheel: zipfile.ZipFile):
    (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    stated = Parser().parsestr(wheel.read(name).decode())
    assert stated["Version"] == amodal.__version__
    needed = [line for line in stated.get_all("Requires-Dist") or [] if "extra ==" not in line]
    assert not [line for line in needed if re.match(r"[\w-]+", line)[0].lower() in EXTRAS_ONLY]
    assert set(stated.get_all("Provides-Extra") or []) == set(PROJECT["optional-dependencies"])


def test_the_sdist_is_complete(tmp_path: Path):
    """Whatever the repository tracks: whoever unpacks it can run `make test`."""
    builders = pytest.importorskip("hatchling.builders.sdist")
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip("no repository")
    (path,) = builders.SdistBuilder(str(ROOT)).build(directory=str(tmp_path), versions=["standard"])
    with tarfile.open(path) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    tracked = {name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()}
    assert not [name for name in tracked - held if not name.startswith(".ci/")]
    assert not [name for name in held if name.startswith((".venv", "runs", "site")) or "__pycache__" in name]


def test_one_version_with_a_dated_entry():
    assert PROJECT["version"] == amodal.__version__
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    released = re.search(r"^date-released: (\d{4}-\d{2}-\d{2})$", citation, re.MULTILINE)
    assert released
    assert f"\nversion: {amodal.__version__}\n" in citation
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert f"\n## [{amodal.__version__}] - {released[1]}\n" in changes
    assert changes.index("## [Unreleased]") < changes.index(f"## [{amodal.__version__}]")
    assert f"version = {{{amodal.__version__}}}" in (ROOT / "docs" / "cite.md").read_text(encoding="utf-8")
