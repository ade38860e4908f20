"""Files are whole or not there: when the disk is full, when the writer is killed, when it cannot write at all."""

import errno
import os
import re
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import amodal
from amodal import files, temporaries, tensor_files
from amodal.annotations import Category
from amodal.errors import UserError
from amodal.files import found_in, is_hidden, naming_failures, replacing, write_json
from amodal.inference.folder import ResultFolder
from amodal.inference.ledger import Planned
from amodal.pictures import write_image
from amodal.training import run_folder
from tests.drawing.test_render import bars

PIXELS = np.random.default_rng(0).integers(0, 255, (99, 99, 3), dtype=np.uint8)


def write_tensors(path: Path) -> None:
    with replacing(path) as temporary:
        save_file({"a": torch.zeros(9999)}, temporary)


def write_state(path: Path) -> None:
    state = {"step": 1, "seconds": 1.0, "model": {"a": torch.zeros(9999)}, "optimiser": {}}
    run_folder.save_state(path.parent, state)  # type: ignore[arg-type]


def write_text(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("x" * 9999)


def write_found(path: Path) -> None:
    """A picture as `amodal predict` draws it."""
    folder = ResultFolder(path.parent, [Category(1, "cup")])
    folder.add(Planned(1, Path("a.png"), path.name), Image.fromarray(PIXELS), bars())


WRITERS: dict[str, Callable[[Path], None]] = {
    "a.safetensors": write_tensors,
    "training.pt": write_state,
    "a.json": lambda path: write_json(path, "x" * 9999),
    "a.txt": write_text,
    "found.jpg": write_found,
    **{f"a.{kind}": lambda path: write_image(path, PIXELS) for kind in ("png", "jpg", "webp", "bmp", "tiff")},
}


@pytest.fixture
def full_disk() -> Iterator[None]:
    """No file may have more than 2,000 bytes: the write that passes them fails in the middle, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.usefixtures("full_disk")
def test_a_full_disk_is_one_line_that_names_the_file_and_leaves_the_old_one(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(UserError, match=rf"{name}: cannot be written \(File too large\)"):
        WRITERS[name](tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == "old"


def test_what_is_not_about_writing_stays_what_it_is(tmp_path: Path) -> None:
    errors = [ValueError("no"), FileNotFoundError(errno.ENOENT, "no such file", "/elsewhere"), OSError(errno.EPIPE, "")]
    for error in errors:
        with pytest.raises(type(error)) as caught, naming_failures(tmp_path / "a"):
            raise error
        assert caught.value is error
    with pytest.raises(UserError, match=r"No space left on device.*Free some space"), naming_failures(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "anything")


def test_a_file_in_place_of_the_folder_is_named(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    for path in (tmp_path / "out" / "a.json", tmp_path / "out" / "b" / "a.json"):
        with pytest.raises(UserError, match=f"^{tmp_path}/out: is a file, not a folder"):
            write_json(path, 1)
    with pytest.raises(UserError, match=r"no picture's ending: '\.txt'"):
        write_image(tmp_path / "a.txt", PIXELS)


def test_content_and_name_reach_the_disk_before_and_after_the_rename(tmp_path: Path, monkeypatch) -> None:
    seen, sync = [], os.fsync

    def watched(handle: int) -> None:
        seen.append((Path(f"/proc/self/fd/{handle}").readlink(), (tmp_path / "a.json").exists()))
        sync(handle)

    monkeypatch.setattr(os, "fsync", watched)
    write_json(tmp_path / "a.json", 1)
    (file, renamed), (folder, renamed_then) = seen
    assert (file.parent, renamed) == (tmp_path, False)
    assert (folder, renamed_then) == (tmp_path, True)


def test_what_a_killed_writer_left_is_swept_by_the_next(tmp_path: Path, monkeypatch) -> None:
    script = (
        "import sys; from pathlib import Path; from amodal.files import replacing\n"
        "with replacing(Path(sys.argv[1]) / 'a.jpg') as path:\n    path.write_text('half')\n"
        "    print('.', flush=True)\n    input()"
    )
    command = [sys.executable, "-c", script, str(tmp_path)]
    writers = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) for _ in range(2)]
    try:
        for writer in writers:
            assert writer.stdout
            writer.stdout.read(1)
        dead, alive = (next(tmp_path.glob(f".amodal-*-{writer.pid}-*.jpg")) for writer in writers)
        writers[0].kill()
        writers[0].wait()
        old = tmp_path / ".amodal-00000000-1-x.png"  # another machine's
        fresh = tmp_path / ".amodal-00000000-2-x.png"
        earlier = tmp_path / f".amodal-{temporaries._HOST}-{os.getpid()}-x.png"
        theirs = tmp_path / ".hidden.png"
        for path in (old, fresh, earlier, theirs):
            path.touch()
        os.utime(old, (time.time() - 2 * temporaries.PATIENCE,) * 2)
        with replacing(tmp_path / "b.json") as own:
            monkeypatch.setattr(temporaries, "_swept", set())
            write_json(tmp_path / "c.json", 1)
            assert not any(path.exists() for path in (dead, old, earlier))
            assert all(path.exists() for path in (alive, fresh, theirs, own))
    finally:
        for writer in writers:
            writer.communicate(b"\n")
    assert (tmp_path / "a.jpg").read_text() == "half"


def test_pictures_keep_their_format_and_options(tmp_path: Path) -> None:
    for name, kind in (("a.jpg", "JPEG"), ("a.PNG", "PNG"), ("a.webp", "WEBP")):
        write_image(tmp_path / name, PIXELS)
        with Image.open(tmp_path / name) as image:
            assert image.format == kind
    write_image(tmp_path / "b.jpg", Image.fromarray(PIXELS), quality=10)
    assert (tmp_path / "b.jpg").stat().st_size < (tmp_path / "a.jpg").stat().st_size / 2


def test_pictures_are_written_in_one_place():
    """Pillow, given a path, takes a full disk for the end of a JPEG, and says nothing."""
    source = Path(files.__file__).parent
    by_path = re.compile(r"(?<!onnx)\.save\(temporary")
    assert [path.name for path in source.rglob("*.py") if by_path.search(path.read_text())] == []


@pytest.mark.parametrize("name", ["a/._b.jpg", "._b.jpg", ".cache/b.jpg", "__MACOSX/._b.jpg"])
def test_what_systems_hide_is_no_file_of_a_user_s(name: str, tmp_path: Path):
    assert is_hidden(name)
    for one in (name, "a/b.JPG", "b..jpg"):
        path = tmp_path / ".home" / one
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    assert found_in(tmp_path / ".home", (".jpg",)) == [tmp_path / ".home" / one for one in ("a/b.JPG", "b..jpg")]


def test_a_folder_that_may_not_be_read_is_not_passed_over(tmp_path: Path, monkeypatch) -> None:
    for name in ("a.txt", "secret/b.txt", ".hidden/c.txt", "lost+found/d.txt", "folder.txt/d.jpg"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    assert [path.name for path in files.found_in(tmp_path, (".txt",))] == ["a.txt", "b.txt"]
    assert files.found_in(tmp_path / "none", (".txt",)) == []
    look = os.scandir

    def refusing(path: str) -> Any:
        if Path(path).name in ("secret", ".hidden", "lost+found"):
            raise PermissionError(errno.EACCES, "Permission denied", path)
        return look(path)

    monkeypatch.setattr(os, "scandir", refusing)
    with pytest.raises(UserError, match=r"secret: may not be read\. Check who"):
        files.found_in(tmp_path, (".txt",))


def test_a_file_that_may_not_be_read_is_not_called_missing(tmp_path: Path, monkeypatch) -> None:
    """As safetensors and ONNX Runtime do."""
    for name in ("x.safetensors", "x.onnx", "x.json"):
        (tmp_path / name).touch()
    monkeypatch.setattr(os, "access", lambda path, mode: mode != os.R_OK)
    for read in (
        lambda: tensor_files.read(tmp_path / "x.safetensors", "amodal model", "Train one"),
        lambda: amodal.load(tmp_path / "x.safetensors"),
        lambda: amodal.load(tmp_path / "x.onnx"),
        lambda: files.read_json(tmp_path / "x.json"),
    ):
        with pytest.raises(UserError, match=r"x\.\w+: may not be read\. Check who"):
            read()
