"""The shape of the code: layers, file sizes, what `amodal --help` may load, the public names."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import amodal
from tests.places import TESTS

SOURCE = Path(amodal.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
MOST_LINES = 300
WALKS = {"benchmarks", "docs", "project"}


def test_imports_run_one_way():
    """The layers stand in pyproject.toml; import-linter reads them."""
    from importlinter.cli import lint_imports

    assert lint_imports(config_filename=str(SOURCE.parents[1] / "pyproject.toml")) == 0


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(SOURCE)))
def test_files_stay_small(file: Path):
    assert len(file.read_text().splitlines()) <= MOST_LINES


def test_no_grab_bags():
    assert not [file for file in FILES if file.stem in {"utils", "util", "helpers", "common", "misc"}]


def test_tests_mirror_the_source():
    """A test's file is named after what it tests, in the same folder; what walks the project has folders of its own."""
    strangers = []
    for file in TESTS.rglob("test_*.py"):
        folder = file.parent.relative_to(TESTS)
        if folder.parts and (folder.parts[0] in WALKS or folder.parts[0].startswith("every_")):
            continue
        known = {path.stem for path in (SOURCE / folder).glob("*") if path.stem != "__init__"} | {folder.name}
        if not any(name and file.stem.startswith(f"test_{name}") for name in known):
            strangers.append(str(file.relative_to(TESTS)))
    assert not strangers


def test_help_answers_within_a_second_without_torch():
    code = (
        "import sys, amodal.cli as c\ntry: c.main(['--help'])\nexcept SystemExit: pass\nprint('torch' in sys.modules)"
    )
    seconds = []
    for _ in range(3):
        before = os.times()
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
        after = os.times()
        # The processor's time, as other tests share the machine: what a person waits who has it alone.
        seconds.append(after.children_user + after.children_system - before.children_user - before.children_system)
        assert done.stdout.rstrip().endswith("False"), done.stdout
    assert min(seconds) < 1.0


def test_public_names():
    names = [
        "Predictor",
        "Result",
        "UserError",
        "__version__",
        "compare",
        "evaluate",
        "load",
        "read",
        "sample",
        "synth",
    ]
    assert dir(amodal) == sorted(amodal.__all__) == [*names, "train"]
    for name in amodal.__all__:
        assert getattr(amodal, name) is not None


def test_every_module_says_what_it_is():
    assert not [file for file in FILES if not file.read_text().lstrip().startswith(('"""', 'r"""'))]
