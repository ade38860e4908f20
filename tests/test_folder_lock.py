"""Folders that are written for long are written by one process at a time."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filelock import FileLock
from PIL import Image

from amodal import cli, folder_lock
from amodal.errors import UserError
from amodal.folder_lock import NAME, locked
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run
from tests.places import ROOT
from tests.scale_tasks import PARTS, Squares

COMMANDS = [
    "predict demo photo.png --out {out}",
    "predict demo photo.png --out {out} --overwrite",
    "synth --out {out} --count 1 --size 64 64 --workers 1",
    "cutouts photo.png --category cup --out {out} --workers 1",
    "train demo --out {out} --iterations 1",
    "train completer --train instances.json --out {out}",
]
"""What writes into a folder for more than a moment, except on a cluster."""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(folder_lock, "PATIENCE", 0.0)
    Image.fromarray(np.full((64, 64, 3), 128, np.uint8)).save("photo.png")
    Path("instances.json").write_text("{}")
    return tmp_path


@pytest.mark.parametrize("command", COMMANDS)
def test_a_folder_in_use_is_left_alone(command: str, place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked(place / "out"):
        (place / "out" / "precious").write_text("theirs")
        with pytest.raises(SystemExit) as stopped:
            cli.main(command.format(out="out").split())
        assert stopped.value.code == 2
        assert f"out: another process is writing there (process {os.getpid()} on " in capsys.readouterr().err
        assert {path.name for path in Path("out").iterdir()} == {NAME, "precious"}
    assert [path.name for path in Path("out").iterdir()] == ["precious"]


def test_shards_in_use_are_left_alone(place: Path) -> None:
    shards = ShardFolder(place / "out")
    with locked(shards.folder), pytest.raises(UserError, match="another process is writing there"):
        run(Squares(place), PARTS, shards, About(len(PARTS), {}), cluster=Cluster("local"), existing="replace")
    assert not shards.folder.exists()


def test_who_ends_within_some_seconds_is_waited_for(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder_lock, "PATIENCE", 30.0)
    with subprocess.Popen([sys.executable, "-c", HOLDER, "0.3"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with locked(place / "out"):
            assert (place / "out" / NAME).read_text().startswith(f"process {os.getpid()} on ")
    assert not (place / "out" / NAME).exists()


def test_a_folder_that_goes_while_it_is_waited_for_is_made_again(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As where its only file was the lock of a process that ends."""
    monkeypatch.setattr(folder_lock, "PATIENCE", 30.0)
    acquire, gone = FileLock.acquire, iter((True, False))

    def late(self: FileLock, **given: object) -> object:
        if next(gone):
            (place / "out").rmdir()
        return acquire(self, **given)

    monkeypatch.setattr(FileLock, "acquire", late)
    with locked(place / "out"):
        assert (place / "out" / NAME).is_file()
    assert not (place / "out").exists()


HOLDER = f"""
import sys, time
sys.path[:0] = [{str(ROOT / "src")!r}]
from pathlib import Path
from amodal.folder_lock import locked
with locked(Path("out")):
    print("held", flush=True)
    time.sleep(float(sys.argv[1]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_killed_process_leaves_the_folder_free(place: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", HOLDER, "60"], stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        with pytest.raises(UserError, match=f"process {holder.pid} on "), locked(place / "out"):
            pass
        holder.kill()
        holder.wait()
        with locked(place / "out"):
            (place / "out" / "mine").touch()
    assert [path.name for path in (place / "out").iterdir()] == ["mine"]


def test_nobody_is_kept_out_where_there_are_no_locks(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise NotImplementedError

    monkeypatch.setattr(FileLock, "acquire", refuse)
    with locked(place / "new" / "out"), locked(place / "new" / "out"):
        assert (place / "new" / "out").is_dir()
    assert not (place / "new").exists()


def test_a_folder_that_cannot_be_one_is_named(place: Path) -> None:
    with pytest.raises(UserError, match="is a file, not a folder"), locked(place / "photo.png"):
        pass
