"""README and documentation say what is so: their Python runs, their commands are ones that `amodal` takes."""

import functools
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

import amodal
from amodal import cli
from amodal.commands.train import train
from amodal.inference import model_files
from amodal.training import recipes
from tests import documentation
from tests.places import ROOT

PAGES = [page for page in documentation.PAGES if page.exists()]
INLINE = re.compile(r"`(amodal [a-z][^`]*)`")


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("world")
    documentation.make_world(folder)
    return folder


@pytest.fixture
def run(world: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In the world, where the recipe `demo` is small and a model called "demo" is in the package."""
    small = documentation.small_recipe(recipes.demo(Path()))
    monkeypatch.chdir(world)
    monkeypatch.setattr(recipes, "demo", lambda _: small)
    monkeypatch.setattr(model_files, "PACKAGED", world / "runs" / "packaged")
    documentation.save_model(world / "runs" / "packaged" / "photos.safetensors")
    documentation.save_completer(world / "runs" / "packaged" / "completer.safetensors")
    return world


def test_the_readme_s_first_block_runs_in_an_empty_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the model and the picture that the package holds, and nothing else."""
    block = next(b for b in documentation.blocks(ROOT / "README.md") if b.language == "python")
    (name,) = re.findall(r'amodal\.load\("(\w+)"\)', block.code)
    if not (model_files.PACKAGED / f"{name}.safetensors").is_file():
        pytest.skip(f"the weights of {name} are not in the package")
    monkeypatch.chdir(tmp_path)
    exec(compile(block.code, block.page, "exec"), {"__name__": "page"})
    assert [path.name for path in tmp_path.iterdir()] == ["drawn.jpg"]


def test_the_readme_s_blocks_run_one_after_the_other_in_an_empty_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As they stand; but few scenes are made, and in place of the line that takes minutes its model is put there."""
    lines, long = [], "amodal train demo --out runs/demo"
    monkeypatch.chdir(tmp_path)
    for block in documentation.blocks(ROOT / "README.md"):
        if block.language == "python":
            exec(compile(block.code, block.page, "exec"), {"__name__": "page"})
        for words in documentation.lines_of(block):
            lines.append(" ".join(words))
            if lines[-1] == long:
                documentation.save_model(tmp_path / "runs/demo/model.safetensors")
            elif words[0] == "amodal":
                cli.main([word if word != "200" else "2" for word in words[1:]])
            else:
                assert words[0] == "make", words
    assert long in lines
    assert len(lines) >= 8
    for made in ("drawn.jpg", "scenes/annotations.json", "predictions/sheet.jpg", "kins.json"):
        assert (tmp_path / made).is_file()


def test_the_sample_is_a_small_picture_with_its_licence_beside_it() -> None:
    picture = amodal.sample()
    assert picture.is_file()
    assert picture.stat().st_size <= 60_000
    assert "CC0" in (picture.parent / "README.md").read_text(encoding="utf-8")


with_python = [page for page in PAGES if any(block.language == "python" for block in documentation.blocks(page))]


@pytest.mark.filterwarnings("ignore:OpenCV")  # supervision says that it does without
@pytest.mark.parametrize("page", with_python, ids=name_of)
def test_python_runs(page: Path, run: Path) -> None:
    """Blocks of a page run one after the other and share their names, as a reader would type them."""
    if "model.onnx" in page.read_text(encoding="utf-8"):
        pytest.importorskip("onnx")
        pytest.importorskip("onnxruntime")
        cli.main(["export", "model.safetensors", "model.onnx"])
    names: dict[str, Any] = {"__name__": "page"}
    for block in documentation.blocks(page):
        if block.language == "python":
            exec(compile("\n" * (block.line - 1) + block.code, block.page, "exec"), names)


@pytest.fixture
def silent(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Commands take their arguments and do nothing but to note that they were called."""
    called: list[str] = []

    def still(name: str, command: Any) -> Any:
        @functools.wraps(command)
        def note(*_: Any, **__: Any) -> None:
            called.append(name)

        return note

    commands = {name: still(name, command) for name, command in cli.COMMANDS.items()}
    groups = {
        group: (about, {name: still(f"{group} {name}", command) for name, command in members.items()})
        for group, (about, members) in cli.GROUPS.items()
    }
    monkeypatch.setattr(cli, "COMMANDS", commands)
    monkeypatch.setattr(cli, "GROUPS", groups)
    return called


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_are_ones_that_amodal_takes(page: Path, silent: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    wrong = []
    for place, words in documentation.command_lines(page):
        arguments = documentation.arguments_of(words)
        if arguments is None or "..." in arguments:
            continue
        silent.clear()
        try:
            cli.main(arguments)
        except SystemExit as end:
            if end.code:
                wrong.append(f"{place}: {' '.join(words)}\n{capsys.readouterr().err or capsys.readouterr().out}")
        else:
            if not silent:
                wrong.append(f"{place}: {' '.join(words)} names no command")
    assert not wrong, "\n".join(wrong)


def test_a_wrong_command_would_be_found(silent: list[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["synth", "--no-such-flag", "--out", "x"])
    cli.main(["synth", "--out", "x"])
    assert silent == ["synth"]


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_recipes_are_known(page: Path) -> None:
    for place, words in documentation.command_lines(page):
        arguments = documentation.arguments_of(words)
        if arguments and arguments[0] == "train" and arguments[1] != "...":
            assert arguments[1] in {*recipes.RECIPES, "completer"}, place


def test_the_help_of_training_names_both_halves_of_every_recipe() -> None:
    words = set(re.findall(r"\w+", train.__doc__ or ""))
    data_sets = {name.replace("_{}", "").removesuffix("_small") for name in recipes.DATA_SETS}
    assert {*recipes.METHODS, *data_sets, "demo", "completer"} - words == set()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_models_called_by_name_are_in_the_wheel(page: Path) -> None:
    """The model that pyproject.toml leaves out is had in this repository alone."""
    left_out = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]["targets"]["wheel"][
        "exclude"
    ]
    names = "|".join(Path(name).stem for name in left_out)
    called = re.compile(rf"""(?:evaluate|export|predict|load\("|evaluate\("|--model|--start-from)\s?(?:{names})\b""")
    assert [block.code for block in documentation.blocks(page) if called.search(block.code)] == []


def test_commands_named_in_the_text_exist(capsys: pytest.CaptureFixture[str]) -> None:
    """A command that the text mentions exists, and so do its flags."""

    @functools.cache
    def help_of(command: tuple[str, ...]) -> str:
        with pytest.raises(SystemExit) as end:
            cli.main([*command, "--help"])
        shown = capsys.readouterr().out
        assert end.value.code == 0, command
        assert shown.startswith(f"usage: amodal {' '.join(command)} "), f"no command {command}"
        return shown

    for page in PAGES:
        for mention in INLINE.findall(documentation.FENCE.sub("", page.read_text(encoding="utf-8"))):
            _, *words = mention.split()
            command = words[:2] if words[0] in cli.GROUPS and len(words) > 1 else words[:1]
            shown = help_of(tuple(command))
            assert all(word in shown for word in words if word.startswith("--")), f"{name_of(page)}: {mention}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_make_targets_exist(page: Path) -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = {words[1] for _, words in documentation.command_lines(page) if words[0] == "make"}
    assert named <= targets


def test_every_extra_is_explained() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    table = (documentation.DOCS / "install.md").read_text(encoding="utf-8")
    explained = re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)
    assert sorted(explained) == sorted(project["project"]["optional-dependencies"])


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_extras_exist(page: Path) -> None:
    """`.[onnx]` and its like name extras that pyproject.toml has."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = re.findall(r"(?:\.|amodal)\[([\w,]+)\]", page.read_text(encoding="utf-8"))
    named = {name for names in lists for name in names.split(",")}
    assert named <= set(project["project"]["optional-dependencies"])
