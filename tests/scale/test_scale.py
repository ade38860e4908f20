"""Parts of data, shards of results, and a cluster of two processes whose work is killed."""

import io
import json
import os
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from amodal import cli, outputs, rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.errors import UserError
from amodal.results import result_files
from amodal.scale import cluster, prediction, sources
from amodal.scale.packed import packed, unpacked
from amodal.scale.parts import of_images
from amodal.scale.rows import Row, from_table, to_table
from amodal.scale.shards import TRIES, About, ShardFolder, read_table
from amodal.scale.sources import IDS_A_TAR, open_source
from amodal.scale.work import Cluster, run
from tests.places import ROOT
from tests.scale_tasks import PARTS, Squares

pa = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")
fsspec = pytest.importorskip("fsspec")


def picture(shade: int, side: int = 24) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (side, side), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def shades(addresses: list[str]) -> list[tuple[int, str, object]]:
    """Id, name, and the first pixel of each picture of a source, or what is wrong with it."""
    found: list[tuple[int, str, object]] = []
    for part in open_source(addresses):
        for number, name, content in part.pictures():
            shade = str(content) if isinstance(content, UserError) else first_pixel(content)
            found.append((number, name, shade))
    return found


def first_pixel(content: bytes) -> int:
    return int(np.asarray(Image.open(io.BytesIO(content)))[0, 0, 0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three pictures in two folders; the working folder is above them, as a user's is."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a" / "deeper").mkdir(parents=True)
    for name, shade in (("a/1.png", 1), ("a/2.png", 2), ("a/deeper/0.png", 3)):
        (tmp_path / name).write_bytes(picture(shade))
    (tmp_path / "a" / "notes.md").write_text("no picture")
    return tmp_path


def test_a_folder_and_a_list(folder):
    assert shades(["a"]) == [(1, "a/1.png", 1), (2, "a/2.png", 2), (3, "a/deeper/0.png", 3)]
    assert shades(["a/2.png", "a/deeper"]) == [(1, "a/2.png", 2), (2, "a/deeper/0.png", 3)]
    (folder / "a" / "list.txt").write_text("2.png\n\nnowhere.png\n" + f"{folder}/a/1.png\n")
    assert shades(["a/list.txt"]) == [
        (1, "a/2.png", 2),
        (2, "a/nowhere.png", "no such file"),
        (3, f"{folder}/a/1.png", 1),
    ]


def test_tables_of_paths_bytes_and_images(folder, monkeypatch):
    monkeypatch.setattr(sources, "FEWEST_PARTS", 2)
    rows = 7
    table = pa.table({"bytes": [picture(n) for n in range(rows)], "image_id": [10**12 + n for n in range(rows)]})
    parquet.write_table(table, "bytes.parquet", row_group_size=3)
    parts = open_source(["bytes.parquet"])
    assert [(part.start, part.stop) for part in parts] == [(0, 4), (4, 7)]  # a part may begin within a group of rows
    assert shades(["bytes.parquet"]) == [(10**12 + n, f"{folder}/bytes.parquet#{n}", n) for n in range(rows)]
    parquet.write_table(pa.table({"path": ["a/1.png", "a/9.png", None]}), "paths.parquet")
    assert shades(["a/2.png", "paths.parquet"]) == [
        (1, "a/2.png", 2),
        (2, "a/1.png", 1),
        (3, "a/9.png", "no such file"),
        (4, f"{folder}/paths.parquet#2", "the row has no picture"),
    ]
    images = [{"bytes": picture(5), "path": "five.png"}, {"bytes": None, "path": "a/2.png"}]
    parquet.write_table(pa.table({"image": images, "file_name": ["x", "y"]}), "images.parquet")
    assert shades(["images.parquet"]) == [(1, "x", 5), (2, "y", 2)]
    parquet.write_table(pa.table({"label": [1]}), "none.parquet")
    with pytest.raises(UserError, match=r"none\.parquet: has no pictures, only label"):
        open_source(["none.parquet"])
    Path("broken.parquet").write_bytes(b"PAR1" + b"x" * 40)
    with pytest.raises(UserError, match=r"broken\.parquet: cannot be read as Parquet"):
        open_source(["broken.parquet"])


def test_a_group_of_rows_is_never_in_memory_as_a_whole(folder):
    rng, rows, each = np.random.default_rng(0), 400, 50_000
    contents = [rng.bytes(each) for _ in range(rows)]  # noise, which does not compress
    parquet.write_table(pa.table({"bytes": contents}), "one.parquet", write_batch_size=16)
    assert parquet.ParquetFile("one.parquet").num_row_groups == 1
    parts = open_source(["one.parquet"])
    pa.default_memory_pool().release_unused()
    before, most = pa.total_allocated_bytes(), 0
    for part in parts:
        for place, (_, _, content) in zip(range(part.start, part.stop), part.pictures(), strict=True):
            most = max(most, pa.total_allocated_bytes() - before)
            assert content == contents[place]
    assert most < rows * each / 4


def write_tar(path: Path, count: int, *, cut: int = 0) -> None:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        for number in range(count):
            for name, content in ((f"{number}.png", picture(number)), (f"{number}.json", b"{}")):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    path.write_bytes(file.getvalue()[: -cut or None])


def test_archives_of_pictures(folder):
    (folder / "tars").mkdir()
    write_tar(folder / "tars" / "0.tar", 2)
    write_tar(folder / "tars" / "1.tar", 3, cut=10_240 - 100)
    first, *rest = [shades([f"tars/{n}.tar"]) for n in range(2)]
    assert first == [(IDS_A_TAR, "0.png", 0), (IDS_A_TAR + 1, "1.png", 1)]
    both = shades(["tars"])
    assert both[:2] == first
    assert [number for number, _, _ in both[2:]] == [2 * IDS_A_TAR + n for n in range(len(rest[0]))]
    assert "the archive cannot be read to its end" in str(both[-1][2])


def test_other_file_systems_and_what_is_not_there(folder):
    memory = fsspec.filesystem("memory")
    for n in range(2):
        memory.pipe(f"/pictures/{n}.png", picture(n))
    memory.pipe("/list.txt", b"pictures/1.png\nmemory://pictures/0.png\n")
    assert shades(["memory://pictures"]) == [(1, "memory://pictures/0.png", 0), (2, "memory://pictures/1.png", 1)]
    assert [shade for *_, shade in shades(["memory://list.txt"])] == [1, 0]
    (folder / "empty").mkdir()
    for address, problem in (
        ("nowhere", "nowhere: no such file or folder"),
        ("empty", "empty: no images in this folder"),
        ("nosuch://bucket/a", "nosuch://bucket/a: cannot be reached"),
        ("memory://nowhere", "memory://nowhere: no such file or folder"),
    ):
        with pytest.raises(UserError, match=problem):
            open_source([address])


def test_parts_of_a_source_are_its_own_and_always_the_same(folder):
    (folder / "long.txt").write_text("".join(f"{n}.png\n" for n in range(100_000)))
    parts = open_source(["long.txt"])
    assert len(parts) == 100
    assert [number for part in parts for number in range(part.first_id, part.first_id + len(part.names))] == [
        *range(1, 100_001)
    ]
    assert sources.fingerprint(parts) == sources.fingerprint(open_source(["long.txt"]))
    assert sources.fingerprint(parts) != sources.fingerprint(parts[1:])


MASK = rle.encode(np.eye(4, 6, dtype=bool)[None])[0]
ROWS = [
    Row(2**40, "a.png", (4, 6), [Detection(2**40, 7, 0.1, (0.5, 1.0, 2.0, 3.0), MASK, MASK, 0)]),
    Row(2, "b.png", (4, 6), [Detection(2, 7, 1 / 3, None, MASK), Detection(2, 1, 0.2, (0, 0, 1, 1), None, MASK)]),
    Row(3, "c.png", (4, 6)),
    Row(4, "d.png", None, error="no such file"),
]


def test_rows_and_packed_answers_come_back_as_they_were():
    assert [replace_lists(row) for row in from_table(to_table(ROWS))] == [replace_lists(row) for row in ROWS]
    assert list(from_table(to_table([]))) == []
    annotation = Annotation(1, 2**40, 3, MASK, MASK, extra={"x": 0.1})
    assert list(unpacked(packed([annotation, annotation]), Annotation)) == [annotation, annotation]


def replace_lists(row: Row) -> tuple:
    return (row.image_id, row.file_name, row.size, list(row.detections), row.error)


def test_parts_of_annotated_images_take_their_annotations_along():
    images = [ImageRecord(n, f"{n}.png", 4, 6) for n in (5, 3, 9, 1, 2)]
    annotations = [Annotation(n, image, 1, MASK, MASK) for n, image in enumerate((1, 5, 9, 5, 9))]
    given = AnnotationSet(images, annotations, [Category(1, "a")], Path("x"), document={"info": "long"})
    parts = of_images(given, batch=2)
    assert [[image.id for image in part.images] for part in parts] == [[5, 3], [9, 1], [2]]
    assert [[a.id for a in part.annotations] for part in parts] == [[1, 3], [2, 4, 0], []]
    assert all(part.image_folder == Path("x").absolute() and not part.document for part in parts)


def test_a_folder_of_shards_is_begun_resumed_replaced_or_refused(tmp_path):
    folder, about = ShardFolder(tmp_path / "out"), About(3, {"model": "m", "score": 0.5})
    with outputs.guarded(outputs.Guard()):
        assert folder.plan(about, "refuse") == [0, 1, 2]
        assert not folder.folder.exists()
        folder.start(about, "refuse")
        folder.attempt(1)
        folder.write(1, to_table(ROWS))
    assert sorted(path.name for path in folder.folder.iterdir()) == ["about.json", "part-00000001.parquet"]
    with pytest.raises(UserError, match=r"holds results already.*--resume"):
        folder.plan(about, "refuse")
    assert folder.plan(about, "resume") == [0, 2]
    with pytest.raises(UserError, match=r"of another run .other score."):
        folder.plan(About(3, {"model": "m", "score": 0.6}), "resume")
    assert (folder.existing_of(about), folder.existing_of(About(3, {}))) == ("resume", "replace")
    with pytest.raises(UserError, match=r"2 of 3 shards are missing, the first part-00000000\.parquet"):
        list(folder.tables())
    assert folder.plan(about, "replace") == [0, 1, 2]
    folder.start(about, "replace")
    assert folder.missing(3) == [0, 1, 2]
    folder.path(1).write_bytes(b"broken")
    with pytest.raises(UserError, match="cannot be read as Parquet"):
        read_table(folder.path(1))
    for _ in range(TRIES):
        folder.attempt(0)
    with pytest.raises(UserError, match=f"shard 0 has ended its process {TRIES} times"):
        folder.attempt(0)
    folder.remove()
    assert not folder.folder.exists()


def test_a_strangers_files_are_no_shards(tmp_path):
    path = ShardFolder(tmp_path).path(1)
    path.write_text("precious")
    with outputs.guarded(outputs.Guard()), pytest.raises(UserError, match=r"part-00000001\.parquet: is there already"):
        ShardFolder(tmp_path).plan(About(3, {}), "replace")
    (tmp_path / "about.json").write_text('{"kind": "something"}')
    with pytest.raises(UserError, match="not of a folder of shards"):
        ShardFolder(tmp_path).about()
    assert path.read_text() == "precious"


def test_shards_are_joined_to_results(tmp_path, capsys):
    folder = ShardFolder(tmp_path / "shards")
    categories = [{"id": 7, "name": "cup", "supercategory": ""}]
    folder.start(About(2, {"categories": categories}), "refuse")
    folder.write(0, to_table(ROWS[:2]))
    with pytest.raises(SystemExit):
        cli.main(["join", str(folder.folder), "--out", str(tmp_path / "r.json")])
    assert "1 of 2 shards are missing" in capsys.readouterr().err
    folder.write(1, to_table(ROWS[2:]))
    flags = ["--out", str(tmp_path / "r.json"), "--images", str(tmp_path / "i.json")]
    cli.main(["join", str(folder.folder), *flags])
    said = capsys.readouterr()
    assert "amodal: d.png: no such file\namodal: 1 pictures failed" in said.err
    assert (
        "will match pictures by these results' numbers; with --images " in said.err
    )  # beside them, it is `images.json`
    assert "3 objects in 3 images" in said.out
    found = json.loads((tmp_path / "r.json").read_text())
    assert [(one["image_id"], one["category_id"], one["score"]) for one in found] == [
        *((2**40, 7, 0.1), (2, 7, 1 / 3), (2, 1, 0.2))
    ]
    content = json.loads((tmp_path / "i.json").read_text())
    assert [image["id"] for image in content["images"]] == [2**40, 2, 3]
    assert content["categories"] == categories


def test_joined_results_are_matched_by_names(tmp_path, capsys):
    folder = ShardFolder(tmp_path / "shards")
    folder.start(About(1, {"categories": [{"id": 7, "name": "cup"}, {"id": 1, "name": "jug"}]}), "refuse")
    folder.write(0, to_table([ROWS[0], Row(2, "b.png", (4, 6), [Detection(2, 1, 0.2, None, MASK, MASK)]), ROWS[2]]))
    out = tmp_path / "results.json"
    cli.main(["join", str(folder.folder), "--out", str(out), "--images", str(tmp_path / "images.json")])
    assert "numbers" not in capsys.readouterr().err
    images = [ImageRecord(number, f"{name}.png", 4, 6) for number, name in ((2, "a"), (3, "b"), (1, "c"))]
    found = result_files.read(out, AnnotationSet(images, [], [Category(7, "jug"), Category(1, "cup")]))
    assert found.image_ids.tolist() == [2, 3]
    assert found.category_ids.tolist() == [1, 7]


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (ROWS, ["d.png: no such file", "1 of 4 files failed, as said above. The other 3 are in shards"]),
        (ROWS[3:], ["d.png: no such file"]),
        (ROWS + ROWS[3:] * 24, ["d.png: no such file"] * 20 + ["... and 5 more: ", "25 of 28 files failed"]),
        (ROWS[:3], []),
    ],
)
def test_failed_pictures_are_named_as_without_a_cluster(rows, said, tmp_path, monkeypatch, capsys):
    def predict(task, sources, shards, **_):
        shards.start(About(2, {}), "refuse")
        shards.write(0, to_table(rows[:1]))
        shards.write(1, to_table(rows[1:]))

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prediction, "predict", predict)
    with pytest.raises(SystemExit) if said else nullcontext() as ended:
        cli.main(["predict", "pictures", "--out", "shards", "--ray", "local"])
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == len(said)
    assert all(line.startswith(f"amodal: {words}") for line, words in zip(lines, said, strict=True))
    assert ended is None or ended.value.code == 2


def test_the_command_line_imports_neither_ray_nor_arrow():
    code = "import amodal.cli, amodal.scale.shards, sys; print({'ray', 'pyarrow', 'torch'} & set(sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "set()\n"


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("nonsense", "'nonsense' is no address of a cluster"),
        ("ray://host:1", "'ray://host:1' is no address"),
        ("127.0.0.1:1", "no cluster can be used at '127.0.0.1:1' .Connection refused."),
        ("no-such-host.invalid:6379", "no cluster can be used at 'no-such-host.invalid:6379'"),
    ],
)
def test_an_address_that_leads_nowhere_is_one_line(address, problem):
    with pytest.raises(UserError, match=problem), cluster.connected(address):
        pass


def test_a_cluster_of_another_version_is_one_line(monkeypatch):
    """What Ray says at length of a cluster that reports another version of itself."""
    said = "Version mismatch: The cluster was started with:\n    Ray: 1.0\n    Python: 3.9\nThis process was started"

    def init(**_: object) -> None:
        raise RuntimeError(said)

    ended: list[bool] = []
    other = SimpleNamespace(init=init, is_initialized=lambda: False, shutdown=lambda: ended.append(True))
    monkeypatch.setattr(cluster, "_package", lambda: other)
    with pytest.raises(UserError, match=r"Version mismatch: The cluster was started with: Ray: 1\.0 P") as told:
        with cluster.connected("auto"):
            pass
    assert "\n" not in str(told.value)
    assert "the same versions of Ray and Python" in str(told.value)
    assert ended == [True]


@pytest.mark.parametrize(("patience", "tries"), [("0", 1), ("9", 4), ("nonsense", 61)])
def test_a_cluster_that_does_not_start_is_started_again(patience, tries, monkeypatch):
    """On a busy machine Ray's parts are too late for each other."""
    now, begun = [0.0], list[float]()

    def init(**_: object) -> None:
        begun.append(now[0])
        now[0] += 3
        raise RuntimeError("The current node timed out during startup")

    other = SimpleNamespace(init=init, is_initialized=lambda: False, shutdown=lambda: None)
    monkeypatch.setattr(cluster, "_package", lambda: other)
    monkeypatch.setattr(cluster.time, "monotonic", lambda: now[0])
    monkeypatch.setenv(cluster.PATIENT, patience)
    with pytest.raises(UserError, match="timed out during startup"), cluster.connected("local"):
        pass
    assert len(begun) == pytest.approx(tries, abs=1)


@pytest.fixture(scope="module")
def local() -> Iterator[None]:
    """A cluster of two processes on this machine."""
    ray = pytest.importorskip("ray")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))  # of its processes
        with cluster.connected("local", cpus=2):
            yield
    assert not ray.is_initialized()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # Ray's own
@pytest.mark.usefixtures("local")
class TestOnACluster:
    def squares(self, tmp_path: Path, existing="resume", **options) -> ShardFolder:
        (tmp_path / "notes").mkdir(exist_ok=True)
        shards = ShardFolder(tmp_path / "out")
        task = Squares(tmp_path / "notes", **options)
        run(task, PARTS, shards, About(len(PARTS), {}), cluster=Cluster("local"), existing=existing)
        return shards

    def check(self, shards: ShardFolder) -> None:
        """Every row is there, once and in order, and nothing else is left."""
        assert [row for table in shards.tables() for row in unpacked(table, int)] == [n**2 for n in range(60)]
        assert len(list(shards.folder.iterdir())) == len(PARTS) + 1

    def test_every_part_once_and_what_is_there_is_not_done_again(self, tmp_path):
        self.check(self.squares(tmp_path))
        starts = len(list((tmp_path / "notes").iterdir()))
        assert starts == len(PARTS)
        shards = ShardFolder(tmp_path / "out")
        before = shards.path(3).stat().st_mtime_ns
        shards.path(7).unlink()
        self.check(self.squares(tmp_path))
        assert len(list((tmp_path / "notes").iterdir())) == starts + 1
        assert shards.path(3).stat().st_mtime_ns == before

    def test_killed_processes_cost_nothing(self, tmp_path):
        self.check(self.squares(tmp_path, fatal=((10, 1), (55, 2))))

    def test_what_a_user_can_mend_is_said_and_the_rest_is_done(self, tmp_path):
        with pytest.raises(UserError, match=r"15: cannot be squared \(and 1 more shards\).*the same command"):
            self.squares(tmp_path, wrong=(15, 20))
        assert ShardFolder(tmp_path / "out").missing(len(PARTS)) == [3, 4]
        self.check(self.squares(tmp_path))

    @pytest.mark.soak
    def test_a_part_that_ends_every_process_is_given_up(self, tmp_path):
        with pytest.raises(UserError, match=f"shard 2 has ended its process {TRIES} times"):
            self.squares(tmp_path, fatal=((10, 10**6),))
        assert ShardFolder(tmp_path / "out").missing(len(PARTS)) == [2]
        self.check(self.squares(tmp_path))  # another run has another chance

    def test_scenes_are_those_of_one_process(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        flags = ["--count", "9", "--size", "64", "64"]
        cli.main(["synth", "--out", "plain", *flags, "--workers", "1"])
        cli.main(["synth", "--out", "many", *flags, "--ray", "local"])
        files = sorted(path.relative_to("plain") for path in Path("plain").rglob("*"))
        assert sorted(path.relative_to("many") for path in Path("many").rglob("*")) == files
        for path in files:
            if Path("plain", path).is_file():
                assert Path("plain", path).read_bytes() == Path("many", path).read_bytes()
