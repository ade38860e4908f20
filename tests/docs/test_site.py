"""The site builds without a warning and without a network; its pictures and its notebook are up to date."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal import cli
from amodal.training import recipes
from tests import documentation
from tests.places import ROOT

DOCS = documentation.DOCS


def load(name: str) -> Any:
    """A script of the documentation as a module."""
    spec = importlib.util.spec_from_file_location(name, DOCS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    pytest.importorskip("zensical")
    pytest.importorskip("mkdocstrings")
    for name in ("zensical.toml", "CHANGELOG.md"):
        shutil.copy(ROOT / name, tmp_path)
    shutil.copytree(DOCS, tmp_path / "docs")
    (tmp_path / "src").symlink_to(ROOT / "src")
    line = [sys.executable, "-m", "zensical", "build", "--strict"]
    done = subprocess.run(line, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    built = {path.relative_to(tmp_path / "site") for path in (tmp_path / "site").rglob("*.html")}
    assert pages <= built
    loaded = re.compile(r'<(?:script|img|link rel="stylesheet")[^>]*(?:src|href)="?(https?://[^" >]+)')
    for page in built:
        assert not loaded.findall((tmp_path / "site" / page).read_text(encoding="utf-8")), page


def test_every_page_is_in_the_navigation() -> None:
    def pages(entries: list[dict[str, Any]]) -> list[str]:
        values = [value for entry in entries for value in entry.values()]
        return [page for v in values for page in (pages(v) if isinstance(v, list) else [v])]

    listed = pages(tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]["nav"])
    assert sorted(listed) == sorted(path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*.md"))


def test_every_command_has_its_section_with_the_help_that_it_prints() -> None:
    text, script = (DOCS / "commands.md").read_text(encoding="utf-8"), load("command_help")
    commands = [*cli.COMMANDS, *(f"{group} {name}" for group, (_, members) in cli.GROUPS.items() for name in members)]
    marked = [found["command"] for found in script.SECTION.finditer(text)]
    assert marked == re.findall(r"^##+ amodal (\S+(?: \S+)?)\n+```", text, re.MULTILINE)
    assert sorted(marked) == sorted(commands)
    assert text == script.written(text), "run docs/command_help.py"


def test_a_page_s_help_is_replaced_and_the_rest_kept() -> None:
    script = load("command_help")
    page = "# A\n\n<!-- help: data check -->\n\nstale words\n\n## B\n\nkept\n\n<!-- help: export -->\n"
    found = script.written(page)
    assert found.startswith("# A\n\n<!-- help: data check -->\n\nFinds what is wrong with annotations")
    assert "stale words" not in found
    assert "\n\n</details>\n\n## B\n\nkept\n\n<!-- help: export -->\n\nWrites" in found
    assert script.written(found) == found


def test_help_is_split_into_description_and_options() -> None:
    description, options = load("command_help").describe("data check").split("\n\n<details")
    assert description.startswith("Finds what is wrong with annotations")
    assert "--fix" in options
    assert "--fix" not in description


def test_help_of_an_unknown_command_fails() -> None:
    with pytest.raises(ValueError, match="no command 'nonsense'"):
        load("command_help").describe("nonsense")


PICTURES = load("make_pictures").PICTURES


def test_pictures_are_made_small_and_used() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in documentation.PAGES if page.exists())
    drawn_here = [path.stem for path in (DOCS / "pictures").glob("*.webp") if not path.stem.startswith("figure")]
    assert sorted(drawn_here) == sorted(PICTURES), "figures are the bench's"
    for path in (DOCS / "pictures").iterdir():
        assert path.stat().st_size < 150_000
        assert f"pictures/{path.name}" in text


@pytest.mark.parametrize("name", PICTURES)
def test_pictures_are_what_the_script_draws(name: str) -> None:
    drawn = PICTURES[name]()
    with Image.open(DOCS / "pictures" / f"{name}.webp") as picture:
        kept = np.asarray(picture.convert("RGB"), dtype=np.float32)
    assert kept.shape[:2] == drawn.size[::-1]
    assert np.abs(kept - np.asarray(drawn, dtype=np.float32)).mean() < 6, "run docs/make_pictures.py and look at them"


def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every cell, in order, with numbers and recipe made small."""
    notebook = json.loads((DOCS / "tutorial.ipynb").read_text(encoding="utf-8"))
    small = documentation.small_recipe(recipes.demo(Path()))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(recipes.RECIPES, "demo", lambda _: small)
    cells = ["".join(cell["source"]) for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not [cell for cell in notebook["cells"] if cell.get("outputs")], "the notebook is kept without outputs"
    cells = [re.sub(r"^(STEPS|TESTS) = \d+", r"\1 = 2", cell, flags=re.MULTILINE) for cell in cells]
    names: dict[str, Any] = {"__name__": "notebook"}
    for number, cell in enumerate(cells, start=1):
        exec(compile(cell, f"tutorial.ipynb, cell {number}", "exec"), names)
    assert names["report"].counts.images == 2
    assert len(names["completed"]) == len(names["truth"]) > 0
