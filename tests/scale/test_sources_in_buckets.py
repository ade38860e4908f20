"""An object store that speaks S3: pictures and shards in a bucket are those on disk. Where these are not installed it
skips:

    pip install 'moto[server]' s3fs
    python -m pytest tests/scale/test_sources_in_buckets.py
"""

import json
import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from amodal.archives import Stored
from amodal.cli import main
from amodal.data.config import AugmentConfig, FileSource
from amodal.data.loading import BatchPlan, StepBatches, batches
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.formats import webdataset
from amodal.scale import sources
from amodal.training import recipes
from tests.data.test_mapped import equal
from tests.places import ROOT
from tests.training.test_loop import tiny_run

store = pytest.importorskip("moto.server")
pytest.importorskip("s3fs")
pytest.importorskip("pyarrow")
pytestmark = pytest.mark.filterwarnings("ignore")  # the store's own
COUNT = 10


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Scenes in a folder, as shards of three, as a list and as a table; and all of them in a bucket."""
    import pyarrow as pa
    import s3fs
    from pyarrow import parquet

    folder = tmp_path_factory.mktemp("world")
    server = store.ThreadedMotoServer(ip_address="127.0.0.1", port=0)
    server.start()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(webdataset, "SAMPLES", 3)
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            patch.setenv(name, "testing")
        patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
        main(f"synth --out scenes --count {COUNT} --size 48 64 --workers 1".split())
        main(["convert", "scenes", "shards", "--to", "webdataset"])
        pictures = sorted(Path("scenes/images").iterdir())
        Path("scenes/list.txt").write_text("".join(f"images/{path.name}\n" for path in pictures))
        parquet.write_table(pa.table({"bytes": [path.read_bytes() for path in pictures]}), "scenes/table.parquet")
        files = s3fs.S3FileSystem()
        files.mkdir("bucket")
        for name in ("scenes", "shards"):
            files.put(name, "bucket", recursive=True)
        yield folder
    server.stop()


@pytest.fixture(autouse=True)
def inside(bucket: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bucket)


def read(address: str) -> list[tuple[int, Any]]:
    return [picture[::2] for part in sources.open_source([address]) for picture in part.pictures()]


@pytest.mark.parametrize("name", ["scenes/images", "scenes/list.txt", "scenes/table.parquet", "shards"])
def test_pictures_are_those_on_disk(name: str) -> None:
    assert len(read(name)) == COUNT
    assert read(f"s3://bucket/{name}") == read(name)


@pytest.mark.parametrize("name", ["s3://bucket/shards", "s3://bucket/shards/shard-{000000..000003}.tar"])
@pytest.mark.parametrize("cache", [None, "cache"])
def test_samples_are_those_on_disk_in_workers_too(name: str, cache: str | None) -> None:
    here, far = open_source(FileSource(("shards",))), open_source(FileSource((name,), cache=cache))
    for workers in (0, 2):
        both = [
            batches(
                StepBatches(samples, BatchPlan(4, length=COUNT), AugmentConfig(colour=0.4)), range(4), workers=workers
            )
            for samples in (here, far)
        ]
        for pair in zip(*both, strict=True):
            assert all(equal(*samples) for samples in zip(*pair, strict=True))


def test_annotations_with_pictures_in_a_bucket() -> None:
    main(["convert", "scenes", "beside.json", "--to", "d2sa"])
    here = open_source(FileSource(("scenes/annotations.json",)))
    far = open_source(FileSource(("scenes/annotations.json",), "s3://bucket/shards"))
    assert all(equal(here[place], far[place]) for place in range(COUNT))


def report(*flags: str) -> Any:
    main(["evaluate", "demo", *flags, "--device", "cpu", "--batch-size", "2", "--out", "r.json", "--overwrite"])
    return {name: value for name, value in json.loads(Path("r.json").read_text()).items() if name != "about"}


def test_a_report_is_that_of_the_disk() -> None:
    assert report("s3://bucket/shards", "--workers", "2") == report("shards", "--workers", "0")


def test_a_training_is_that_of_the_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recipes, "recipe", lambda _, __, own: replace(tiny_run(3), data=own))
    for name, data in {"here": "shards", "far": "s3://bucket/shards"}.items():
        main(f"train tiny --train {data} --val scenes --out {name} --workers 2 --device cpu".split())
    here, far = (load_file(Path(name) / "model.safetensors") for name in ("here", "far"))
    assert all(torch.equal(here[name], far[name]) for name in here)


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("s3://nowhere", "s3://nowhere: no such file"),
        ("s3://bucket/nowhere", "s3://bucket/nowhere: no such file"),
        ("s3://bucket/nowhere-*.tar", r"nowhere-\*.tar: no such file"),
    ],
)
def test_what_is_not_there_is_one_line(address: str, problem: str) -> None:
    for opened in (lambda: sources.open_source([address]), lambda: open_source(FileSource((address,)))):
        with pytest.raises(UserError, match=problem) as told:
            opened()
        assert "\n" not in str(told.value)


def test_a_shard_that_has_gone_is_one_line() -> None:
    with pytest.raises(UserError, match=r"s3://bucket/gone\.tar: no such file"):
        Stored("s3://bucket/gone.tar", "a.jpg", 0, 9).read()


def test_a_store_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    import s3fs

    s3fs.S3FileSystem.clear_instance_cache()
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    try:
        with pytest.raises(UserError, match="s3://bucket/shards: cannot be reached") as told:
            sources.open_source(["s3://bucket/shards"])
    finally:
        s3fs.S3FileSystem.clear_instance_cache()
    assert "\n" not in str(told.value)


@pytest.mark.slow
def test_a_cluster_reads_it_too(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT), *sys.path]))  # of its processes
    main(["predict", "s3://bucket/shards", "--model", "demo", "--out", "found", "--ray", "local", "--score", "0.01"])
    main(["predict", "shards", "--model", "demo", "--out", "found-here", "--ray", "local", "--score", "0.01"])
    for name in ("found", "found-here"):
        main(f"join {name} --out {name}.json".split())
    assert Path("found.json").read_bytes() == Path("found-here.json").read_bytes()
    assert report("s3://bucket/shards", "--ray", "local") == report("shards", "--workers", "0")
