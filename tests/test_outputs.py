"""The guard over what a command writes, under the names by which users call files."""

from pathlib import Path

import pytest

from amodal import files, outputs
from amodal.errors import UserError
from amodal.outputs import Guard, guarded


@pytest.mark.parametrize("name", ["out.json", "new/out.json", "./new/../out.json", "link/out.json"])
def test_a_command_writes_its_own_file_as_often_as_it_likes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "new").mkdir()
    monkeypatch.chdir(tmp_path)
    with guarded(Guard()):
        for number in range(3):
            files.write_json(name, number)
    assert files.read_json(name) == 2


@pytest.mark.parametrize("replaces", [False, None])
def test_what_was_there_before_stays_by_whatever_name(
    replaces: bool | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("out.json").write_text("the user's")
    for name in ("out.json", "./out.json", str(tmp_path / "out.json")):
        with guarded(Guard(replaces=replaces)), pytest.raises(UserError, match="is there already"):
            files.write_json(name, 0)
        assert Path("out.json").read_text() == "the user's"


def test_a_claimed_name_holds_for_the_same_file_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with guarded(Guard()):
        outputs.claim([Path("out.json")])
        files.write_json("out.json", 1)
        files.write_json(tmp_path / "out.json", 2)
    assert files.read_json("out.json") == 2
