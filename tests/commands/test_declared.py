"""Every command says what it reads and writes, and within which bounds its numbers lie; no input is ever replaced."""

import inspect
import os
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import pytest

from amodal import outputs
from amodal.arguments import Within
from amodal.cli import COMMANDS, GROUPS, main
from amodal.commands.declared import Leaf, Reads, Writes, checked, leaves
from amodal.errors import UserError
from amodal.files import replacing, write_json

ALL = {
    **COMMANDS,
    **{f"{group} {name}": command for group, (_, commands) in GROUPS.items() for name, command in commands.items()},
}
WORDS = {"--device", "--host", "--recipe", "--repository", "--name", "--categories", "--variants", "--against"} | {
    "--allow-host",
    "--category",
    "--methods",
    "--ray",
}
"""Texts that name no file."""


def parameters(command: Any) -> Iterator[Leaf]:
    """Every parameter of a command, groups opened, with its default: a group without one is made of placeholders."""
    hints = get_type_hints(command, include_extras=True)
    for name, parameter in inspect.signature(command).parameters.items():
        value = parameter.default
        if value is inspect.Parameter.empty:
            kind = plain(hints[name])
            value = kind(Path("out")) if hasattr(kind, "__dataclass_fields__") else None
        yield from leaves(hints, {name: value})


def plain(hint: Any) -> Any:
    return get_args(hint)[0] if hasattr(hint, "__metadata__") else hint


def kinds(hint: Any) -> set[Any]:
    """The plain types in a hint: {Path, NoneType} of Path | None."""
    hint = plain(hint)
    if get_origin(hint) in (Union, types.UnionType, tuple):
        return {kind for part in get_args(hint) for kind in kinds(part)}
    return {hint}


@pytest.mark.parametrize("name", ALL)
def test_every_parameter_that_names_a_file_says_whether_it_is_read_or_written(name: str):
    for leaf in parameters(ALL[name]):
        if Path in kinds(leaf.hint) or (str in kinds(leaf.hint) and leaf.flag not in WORDS):
            marks = [mark for mark in leaf.marks if isinstance(mark, Reads | Writes)]
            assert len(marks) == 1, f"amodal {name}: mark {leaf.flag} with READS or WRITES"


@pytest.mark.parametrize("name", ALL)
def test_every_number_has_bounds(name: str):
    """Groups of settings that check themselves, as scenes and priors do, look after their own."""
    command = ALL[name]
    own = {
        field
        for hint in get_type_hints(command, include_extras=True).values()
        if hasattr(plain(hint), "__post_init__")
        for field in plain(hint).__dataclass_fields__
    }
    for leaf in parameters(command):
        if kinds(leaf.hint) & {int, float} and leaf.flag.removeprefix("--").replace("-", "_") not in own:
            assert any(isinstance(mark, Within) for mark in leaf.marks), f"amodal {name}: bound {leaf.flag}"


def writing() -> list[tuple[str, str]]:
    return [
        (name, leaf.flag) for name, command in ALL.items() for leaf in parameters(command) if leaf.paths(Writes)
    ] + [
        (name, leaf.flag)
        for name, command in ALL.items()
        for leaf in parameters(command)
        if any(isinstance(mark, Writes) for mark in leaf.marks) and leaf.value is None
    ]


def call(name: str, changes: dict[str, Any], given: Any) -> None:
    """Calls a command behind its checks, every file that it reads being `given`; its body must not be reached."""
    command = ALL[name]

    def body(*args: Any, **kwargs: Any) -> None:
        raise AssertionError("the command began its work")

    body.__signature__ = inspect.signature(command)  # type: ignore[attr-defined]
    body.__annotations__ = get_type_hints(command, include_extras=True)
    hints, arguments = get_type_hints(command, include_extras=True), {}

    def value_of(leaf: Leaf) -> Any:
        if leaf.flag in changes:
            return changes[leaf.flag]
        if not any(isinstance(mark, Reads) for mark in leaf.marks):
            return leaf.value
        return (given,) if get_origin(plain(leaf.hint)) is tuple else given

    for key, parameter in inspect.signature(command).parameters.items():
        kind, default = plain(hints[key]), parameter.default
        if hasattr(kind, "__dataclass_fields__"):
            base = kind(Path("out")) if default is inspect.Parameter.empty else default
            found = {leaf.flag: leaf for leaf in leaves({key: hints[key]}, {key: base})}
            fields = {f: value_of(found[f"--{f.replace('_', '-')}"]) for f in kind.__dataclass_fields__}
            arguments[key] = object.__new__(kind)
            for field, value in fields.items():
                object.__setattr__(arguments[key], field, value)
        else:
            default = None if default is inspect.Parameter.empty else default
            arguments[key] = value_of(Leaf(f"--{key.replace('_', '-')}", hints[key], default))
    checked(body)(**arguments)


@pytest.mark.parametrize(("name", "flag"), writing(), ids=lambda part: part)
def test_an_output_that_is_an_input_or_there_or_impossible_is_refused(name: str, flag: str, tmp_path: Path):
    """By itself, behind a link, and as a hard link; with --overwrite, too."""
    command = ALL[name]
    mark = next(m for leaf in parameters(command) if leaf.flag == flag for m in leaf.marks if isinstance(m, Writes))
    ending = (*mark.endings, ".onnx")[0]
    given, hard, soft, other = (tmp_path / f"{kind}{ending}" for kind in ("given", "hard", "soft", "other"))
    given.write_text("precious")
    other.write_text("another")
    os.link(given, hard)
    soft.symlink_to(given)
    for out in (given, hard, soft):
        for overwrite in (False, True):
            problem = "is an input" if mark.kind != "folder" else "is a file, not a folder"
            with pytest.raises(UserError, match=problem):
                call(name, {flag: out, "--overwrite": overwrite}, given)
    if mark.kind != "folder":
        with pytest.raises(UserError, match=r"other\.\w+: is there already.*--overwrite"):
            call(name, {flag: other}, given)
        with pytest.raises(AssertionError, match="began"):
            call(name, {flag: other, "--overwrite": True}, given)
    with pytest.raises(UserError, match=r"other\.\w+: is a file, not a folder"):
        call(name, {flag: other / "deeper"}, given)
    with pytest.raises(AssertionError, match="began"):
        call(name, {flag: tmp_path / "".join(("new", *mark.endings[:1]))}, given)
    assert (given.read_text(), other.read_text()) == ("precious", "another")


@pytest.mark.parametrize("name", ALL)
def test_a_dash_is_a_file_but_where_it_is_standard_output(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    Path("-").write_text("precious")
    (tmp_path / "given").write_text("input")
    for leaf in parameters(ALL[name]):
        for mark in leaf.marks:
            if isinstance(mark, Writes) and mark.kind == "file":
                error, said = (AssertionError, "began") if mark.shows else (UserError, "-: is there already")
                with pytest.raises(error, match=said):
                    call(name, {leaf.flag: Path("-")}, tmp_path / "given")


BOUNDED = [
    (name, leaf.flag, mark)
    for name, command in ALL.items()
    for leaf in parameters(command)
    for mark in leaf.marks
    if isinstance(mark, Within)
]


@pytest.mark.parametrize(("name", "flag", "mark"), BOUNDED, ids=lambda part: part if isinstance(part, str) else "")
def test_numbers_out_of_bounds_are_refused_before_any_work(name: str, flag: str, mark: Within, tmp_path: Path):
    leaf = next(leaf for leaf in parameters(ALL[name]) if leaf.flag == flag)
    for value in (mark.least - 1, mark.most + 1, float("nan")):
        if value != float("inf"):
            wrong = (value,) if get_origin(plain(leaf.hint)) is tuple else value
            with pytest.raises(UserError, match=f"^{flag} .* cannot be"):
                call(name, {flag: wrong, "--out": tmp_path / "new.onnx"}, tmp_path / "given")


def test_a_guard_holds_for_every_file_that_is_written(tmp_path: Path):
    folder = tmp_path / "read"
    folder.mkdir()
    (folder / "a.json").write_text("precious")
    (tmp_path / "there.json").write_text("old")
    (tmp_path / "link.json").symlink_to(tmp_path / "there.json")
    with outputs.guarded(outputs.Guard((folder,), replaces=False)):
        for path in ("there.json", "link.json"):
            with pytest.raises(UserError, match="is there already"):
                write_json(tmp_path / path, 1)
        for value in (1, 2):  # what the command wrote itself it may write again
            write_json(tmp_path / "new.json", value)
        write_json(folder / "new.json", 1)  # a new file in a folder that is read does no harm
        outputs.own([tmp_path / "there.json"])
        write_json(tmp_path / "there.json", 3)
    with outputs.guarded(outputs.Guard((folder,), replaces=True)):
        with pytest.raises(UserError, match="lies in a folder that is read"):
            write_json(folder / "a.json", 1)
        write_json(tmp_path / "link.json", 4)
    assert (tmp_path / "link.json").is_symlink()
    assert (tmp_path / "there.json").read_text() == "4\n"
    assert (folder / "a.json").read_text() == "precious"


def test_several_files_are_claimed_all_or_none(tmp_path: Path):
    for name in "bc":
        (tmp_path / name).write_text("old")
    with outputs.guarded(outputs.Guard()):
        with pytest.raises(UserError, match=r"b: is there already \(and 1 more of the files to write\)"):
            outputs.claim([tmp_path / name for name in "abbc"])
        (tmp_path / "a").write_text("not ours after all")
        with pytest.raises(UserError, match="a: is there already"):
            outputs.claim([tmp_path / "a"])


def test_a_link_to_nothing_and_what_is_no_file(tmp_path: Path):
    link = tmp_path / "link"
    link.symlink_to(tmp_path / "deeper" / "target")
    with replacing(link) as temporary:
        temporary.write_text("new")
    assert link.is_symlink()
    assert (tmp_path / "deeper" / "target").read_text() == "new"
    os.mkfifo(tmp_path / "pipe")
    for path, problem in ((tmp_path / "pipe", "no ordinary file"), (tmp_path, "is a folder, not a file")):
        with pytest.raises(UserError, match=problem), replacing(path):
            pass


def test_one_file_for_two_outputs_is_refused(tmp_path: Path, capsys):
    with pytest.raises(SystemExit):
        main(f"evaluate a b --out {tmp_path}/r.json --html {tmp_path}/r.json".split())
    assert "is named for two outputs" in capsys.readouterr().err


@pytest.mark.parametrize("words", ["data show {truth} {out}", "evaluate photos {truth} --html {out}"])
def test_a_page_has_the_name_of_one(words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Whatever opens a file goes by its ending: a page called shelf.jpg is one that nothing shows."""
    truth, out = write_json_file(tmp_path / "truth.json"), tmp_path / "shelf.jpg"
    with pytest.raises(SystemExit) as stopped:
        main(words.format(truth=truth, out=out).split())
    assert stopped.value.code == 2
    assert "ends in .html. Call it shelf.html" in capsys.readouterr().err
    assert not out.exists()


def write_json_file(path: Path) -> Path:
    write_json(path, {})
    return path
