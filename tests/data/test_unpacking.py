"""Archives unpacked where they were downloaded to: stopped in the middle of a file, and gone on with."""

import errno
import shutil
import tarfile
import zipfile
from pathlib import Path
from typing import IO, Any

import pytest

from amodal.data.unpacking import unpack
from amodal.errors import UserError

CONTENT = b"a picture" * 1000


def zipped(path: Path, names: tuple[str, ...]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name in names:
            archive.writestr(name, CONTENT)


def tarred(path: Path, names: tuple[str, ...]) -> None:
    source = path.with_name("source")
    source.write_bytes(CONTENT)
    with tarfile.open(path, "w:xz") as archive:
        for name in names:
            archive.add(source, name)
    source.unlink()


PACKERS = [pytest.param(zipped, "x.zip", id="zip"), pytest.param(tarred, "x.tar.xz", id="tar")]


@pytest.mark.parametrize(("pack", "name"), PACKERS)
@pytest.mark.parametrize(
    "stop", [KeyboardInterrupt(), OSError(errno.ENOSPC, "No space left on device")], ids=["stopped", "full"]
)
def test_a_file_is_whole_or_not_there_and_the_rest_follows(
    pack: Any, name: str, stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    pack(tmp_path / name, ("images/1.jpg", "images/2.jpg"))
    copied = []

    def stopping(source: IO[bytes], target: IO[bytes], *rest: int) -> None:
        copied.append(target.write(source.read(5000 if copied else -1)))
        if len(copied) == 2:
            raise stop

    with monkeypatch.context() as patch:
        patch.setattr(shutil, "copyfileobj", stopping)
        with pytest.raises(UserError if isinstance(stop, OSError) else KeyboardInterrupt) as raised:
            unpack(tmp_path)
    if isinstance(stop, OSError):
        assert f"{tmp_path / 'images/2.jpg'}: cannot be written" in str(raised.value)
    assert [path.name for path in (tmp_path / "images").iterdir()] == ["1.jpg"]
    assert unpack(tmp_path) == 1
    assert [path.read_bytes() for path in sorted((tmp_path / "images").iterdir())] == [CONTENT, CONTENT]


@pytest.mark.parametrize(("pack", "name"), PACKERS)
def test_what_is_there_stays(pack: Any, name: str, tmp_path: Path):
    pack(tmp_path / name, ("mine.jpg", "./new.jpg"))
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    unpack(tmp_path)
    assert (tmp_path / "mine.jpg").read_bytes() == b"mine"
    assert (tmp_path / "new.jpg").read_bytes() == CONTENT


@pytest.mark.parametrize(("pack", "name"), PACKERS)
@pytest.mark.parametrize("outside", ["../x.jpg", "a/../../x.jpg"])
def test_nothing_is_written_outside(pack: Any, name: str, outside: str, tmp_path: Path):
    folder = tmp_path / "folder"
    folder.mkdir()
    pack(folder / name, (outside,))
    with pytest.raises(UserError, match="leaves its folder"):
        unpack(folder)
    assert not (tmp_path / "x.jpg").exists()


def test_a_link_within_an_archive_is_a_file(tmp_path: Path):
    (tmp_path / "a.jpg").write_bytes(CONTENT)
    (tmp_path / "b.jpg").symlink_to("a.jpg")
    folder = tmp_path / "folder"
    folder.mkdir()
    with tarfile.open(folder / "x.tar", "w") as archive:
        archive.add(tmp_path / "a.jpg", "a.jpg")
        archive.add(tmp_path / "b.jpg", "b.jpg")
    unpack(folder)
    assert (folder / "b.jpg").read_bytes() == CONTENT


def test_a_password_is_no_mistake_of_the_program(tmp_path: Path):
    zipped(tmp_path / "x.zip", ("a.jpg",))
    content = bytearray((tmp_path / "x.zip").read_bytes())
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(mark) + offset] |= 1  # says that it is encrypted
    (tmp_path / "x.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"x\.zip: cannot be unpacked here \(.*encrypted"):
        unpack(tmp_path)
