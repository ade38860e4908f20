"""Training on WebDataset's shards: the samples of the folder they were made of, each once, and again after a stop."""

import tarfile
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
import torch

from amodal.cli import main
from amodal.data.config import AugmentConfig, FileSource
from amodal.data.dataset import MappedImages, Sample
from amodal.data.loading import BatchPlan, StepBatches, batches
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.formats import annotation_files, webdataset
from amodal.prior.collect import collect_masks
from tests.data.test_mapped import equal

COUNT = 10


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scenes in a folder, and as shards of three."""
    folder = tmp_path_factory.mktemp("world")
    main(f"synth --out {folder}/scenes --count {COUNT} --size 48 64 --workers 1".split())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(webdataset, "SAMPLES", 3)
        main(f"convert {folder}/scenes {folder}/shards --to webdataset".split())
    with tarfile.open(folder / "pictures.tar", "w") as archive:
        archive.add(folder / "scenes" / "images", "images")
    return folder


@pytest.fixture(autouse=True)
def inside(world: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Names are relative to the world, as a user's are to their folder."""
    monkeypatch.chdir(world)


def uploaded() -> str:
    memory = fsspec.filesystem("memory")
    for path in sorted(Path("shards").iterdir()):
        memory.pipe_file(f"/bucket/{path.name}", path.read_bytes())
    return "memory://bucket"


SOURCES = {
    "folder": FileSource(("shards",)),
    "numbered": FileSource(("shards/shard-{000000..000003}.tar",)),
    "several": FileSource(("shards/shard-00000[01].tar", "shards/shard-000002.tar", "shards/shard-000003.tar")),
    "beside": FileSource(("scenes/annotations.json",), "pictures.tar"),
    "file address": FileSource(("file://{}/shards",)),
    "address": FileSource(("memory://bucket",)),
}


def source(name: str) -> FileSource:
    uploaded()
    return replace(
        SOURCES[name],
        annotations=tuple(one.format(Path.cwd()) if "://" in one else one for one in SOURCES[name].annotations),
    )


@pytest.mark.parametrize(
    ("name", "cache"), [*((name, None) for name in SOURCES), ("folder", "cache"), ("beside", "cache")]
)
def test_samples_are_those_of_the_folder(name: str, cache: str | None) -> None:
    if cache:
        pytest.importorskip("pyarrow")
    plain, shards = open_source(FileSource(("scenes",))), open_source(replace(source(name), cache=cache))
    assert isinstance(shards, MappedImages) == bool(cache)
    assert plain.categories == shards.categories
    assert len(plain) == len(shards) == COUNT
    assert all(equal(plain[place], shards[place]) for place in range(COUNT))
    both = [collect_masks(samples.annotation_set) for samples in (plain, shards)]  # type: ignore[union-attr]
    assert all(torch.equal(one, other) for one, other in zip(*both, strict=True))


def test_the_cache_is_made_anew_when_a_shard_changes(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    for path in Path("shards").iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    kept = FileSource((f"{tmp_path}/*.tar",), cache=str(tmp_path / "cache"))
    assert len(open_source(kept)) == len(open_source(kept)) == COUNT
    assert len(list((tmp_path / "cache").glob("*.arrow"))) == 1
    (tmp_path / "shard-000001.tar").unlink()
    assert len(open_source(kept)) == COUNT - 3
    (tmp_path / "shard-000000.tar").write_bytes(Path("shards/shard-000003.tar").read_bytes())
    assert len(open_source(kept)) == COUNT - 5


def taken(rank: int, steps: range, workers: int = 2, cache: str | None = None) -> list[list[Sample]]:
    """The batches of one of two processes, prepared by workers."""
    samples = open_source(FileSource(("shards",), cache=cache))
    plan = BatchPlan(4, seed=3, length=len(samples), rank=rank, world_size=2)
    return list(batches(StepBatches(samples, plan, AugmentConfig(colour=0.4)), steps, workers=workers))


@pytest.mark.parametrize("cache", [None, "cache"])
def test_two_processes_and_their_workers_take_each_sample_once_an_epoch(cache: str | None) -> None:
    if cache:
        pytest.importorskip("pyarrow")
    both = [taken(rank, range(5), cache=cache) for rank in (0, 1)]
    seen = [sample["image_id"] for step in zip(*both, strict=True) for batch in step for sample in batch]
    epochs = seen[:COUNT], seen[COUNT:]
    assert epochs[0] != epochs[1]
    assert [sorted(epoch) for epoch in epochs] == [sorted(range(1, COUNT + 1))] * 2


def test_a_run_that_goes_on_takes_what_it_would_have_taken() -> None:
    whole, rest = taken(1, range(6)), taken(1, range(3, 6), workers=1)
    assert all(
        equal(*pair) for one, other in zip(whole[3:], rest, strict=True) for pair in zip(one, other, strict=True)
    )
    alone = taken(1, range(6), workers=0)
    assert all(equal(*pair) for one, other in zip(whole, alone, strict=True) for pair in zip(one, other, strict=True))


def test_a_damaged_picture_is_one_line_from_a_worker_too(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    place = annotation_files.read("shards/shard-000000.tar").images[1].stored
    assert place is not None
    content = bytearray(Path("shards/shard-000000.tar").read_bytes())
    content[place.offset : place.offset + place.size] = bytes(place.size)
    path.write_bytes(content)
    samples = open_source(FileSource((str(path),)))
    for workers in (0, 2):
        items = StepBatches(samples, BatchPlan(1, length=3), AugmentConfig())
        with pytest.raises(UserError, match=rf"s\.tar/{place.name}: cannot be read as an image") as told:
            list(batches(items, range(3), workers=workers))
        assert "\n" not in str(told.value)


def test_no_shard_is_one_line() -> None:
    for name, message in {
        "gone-{0..3}.tar": r"gone-0\.tar: no such file",
        "gone-*.tar": r"gone-\*\.tar: no such files",
        "memory://nowhere": "memory://nowhere: no such file",
        "pictures.tar": r"pictures\.tar: images/\d+\.jpg: has no annotations beside it",
    }.items():
        with pytest.raises(UserError, match=message):
            open_source(FileSource((name,)))
    with pytest.raises(UserError, match="no such file"):
        open_source(FileSource(("scenes",), "gone.tar"))


def test_shards_and_files_are_one_data_set_if_their_categories_are() -> None:
    with pytest.raises(UserError, match="has its images in"):
        open_source(FileSource(("scenes", "shards/shard-000000.tar")))
