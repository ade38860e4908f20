"""Files within archives, by path and by address: any is read alone, and what is wrong is one line."""

import tarfile
from pathlib import Path

import fsspec
import pytest
from fsspec.implementations.memory import MemoryFileSystem

from amodal.addresses import is_address, listed, spelled
from amodal.archives import are_archives, members
from amodal.errors import UserError

CONTENTS = {"a.jpg": b"x" * 700, "in/side.json": b"{}", "./b.png": b"", "é" * 80 + ".jpg": b"long"}


def write(path: Path, contents: dict[str, bytes]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        folder = tarfile.TarInfo("in")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in contents.items():
            beside = path.parent / "content"
            beside.write_bytes(content)
            archive.add(beside, name)
            beside.unlink()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """In a folder with three archives; names are relative to it, as a user's."""
    monkeypatch.chdir(tmp_path)
    for number in range(9, 12):
        write(Path(f"shards/s-{number:03d}.tar"), CONTENTS)
    return tmp_path


def uploaded(place: Path, address: str) -> str:
    """The archives at an address of a file system in memory."""
    for path in sorted(place.glob("shards/*.tar")):
        fsspec.filesystem("memory").pipe_file(f"{address}/{path.name}".removeprefix("memory:/"), path.read_bytes())
    return address


@pytest.mark.parametrize("name", ["shards", "shards/s-*.tar", "shards/s-{009..011}.tar", "./shards/s-0{09..11}.tar"])
def test_a_name_stands_for_many(name: str, place: Path) -> None:
    expected = [place / "shards" / f"s-{number:03d}.tar" for number in (9, 10, 11)]
    assert [Path(one).resolve() for one in listed([name], ".tar")] == [path.resolve() for path in expected]


def test_numbers_are_as_wide_as_they_are_written(place: Path) -> None:
    assert [Path(one).name for one in listed(["{0..1}-{09..10}.tar", "1-10.tar", "9{8..10}.tar"], ".tar")] == [
        "0-09.tar", "0-10.tar", "1-09.tar", "1-10.tar", "98.tar", "99.tar", "910.tar",
    ]  # fmt: skip


@pytest.mark.parametrize("name", ["", "/s-*.tar", "/s-{009..011}.tar"])
def test_addresses_are_named_alike(name: str, place: Path) -> None:
    address = uploaded(place, "memory://bucket/names")
    found = listed([address + name], ".tar")
    assert [one.rpartition("/")[2] for one in found] == ["s-009.tar", "s-010.tar", "s-011.tar"]
    assert all(one.startswith("memory://") for one in found)
    assert are_archives(address)
    assert not are_archives(place / "shards")


def test_an_address_survives_a_path() -> None:
    for name in (
        "s3://b/x.tar",
        "memory://a",
        "file:///tmp/x.tar",
        "simplecache::s3://b/x-*.tar",
        "a/b.tar",
        "C:/a.tar",
    ):
        assert spelled(Path(name)) == spelled(name) == name
        assert is_address(Path(name)) == ("://" in name)


@pytest.mark.parametrize("at", ["path", "address"])
def test_any_file_of_an_archive_is_read_alone(at: str, place: Path) -> None:
    names = listed(["shards" if at == "path" else uploaded(place, "memory://bucket/any")], ".tar")
    found = members(names, read=".json")
    assert [len(each) for each in found] == [len(CONTENTS)] * 3
    for member, (name, content) in zip(reversed(found[1]), reversed(CONTENTS.items()), strict=True):
        assert (member.place.name, member.place.read()) == (name.removeprefix("./"), content)
        assert member.content == (content if name.endswith(".json") else None)


def test_what_is_no_whole_archive_is_one_line(place: Path) -> None:
    whole = Path("shards/s-009.tar").read_bytes()
    last = members([str(place / "shards/s-009.tar")], read="\0")[0][-1].place
    Path("cut.tar").write_bytes(whole[: last.offset + 2])
    Path("none.tar").write_bytes(b"no archive" * 100)
    Path("empty.tar").write_bytes(b"")
    with tarfile.open("packed.tar", "w:gz") as archive:
        archive.add("shards")
    for name in ("cut.tar", "none.tar", "empty.tar", "packed.tar"):
        with pytest.raises(UserError, match=rf"{name}: is no whole tar archive \(.*\)\. Copy it again"):
            members([name], read=".json")
    with pytest.raises(UserError, match=r"gone\.tar: no such file"):
        members(listed(["gone.tar"], ".tar"), read=".json")
    with pytest.raises(UserError, match=r"gone-\*\.tar: no such files"):
        listed(["gone-*.tar"], ".tar")
    with pytest.raises(UserError, match=r"nosuch://x/a\.tar: cannot be reached"):
        listed(["nosuch://x/a.tar"], ".tar")


def test_an_archive_that_became_shorter_is_told(place: Path) -> None:
    path = place / "shards/s-010.tar"
    first = members([str(path)], read=".json")[0][0].place
    path.write_bytes(path.read_bytes()[: first.offset + 5])
    with pytest.raises(UserError, match=r"s-010\.tar: a\.jpg: is cut off"):
        first.read()
    path.unlink()
    with pytest.raises(UserError, match=r"s-010\.tar: no such file"):
        first.read()


class Versioned(MemoryFileSystem):
    """As S3's, whose files are read by path, version and range."""

    protocol = "versioned"

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return MemoryFileSystem._strip_protocol(path.replace("versioned://", "memory://"))

    def cat_file(self, path: str, version_id: str | None = None, start=None, end=None, **options) -> bytes:  # type: ignore[override]
        assert version_id is None
        return super().cat_file(path, start=start, end=end, **options)


def test_a_file_system_that_asks_for_a_version_is_read_too(place: Path) -> None:
    fsspec.register_implementation("versioned", Versioned, clobber=True)
    uploaded(place, "memory://bucket/versions")
    [found] = members(["versioned://bucket/versions/s-009.tar"], read="\0")
    assert [member.place.read() for member in found] == list(CONTENTS.values())
