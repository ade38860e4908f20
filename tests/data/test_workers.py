"""What is sent to worker processes: every source of images and scenes survives the way there, and serves two of them.

Processes may be forked or spawned, by Python's version and the system: what can be pickled can be sent either way.
"""

import io
import pickle
import sys
from dataclasses import replace
from multiprocessing import Pipe, get_context
from multiprocessing.connection import Connection
from multiprocessing.reduction import DupFd
from pathlib import Path
from time import sleep
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset

from amodal.cli import main
from amodal.data.config import AugmentConfig, DataConfig, FileSource, SceneSource
from amodal.data.loading import BatchPlan, StepBatches, batches
from amodal.data.sources import open_source
from amodal.data.workers import deaths_named, settle
from amodal.errors import UserError
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.formats import annotation_files
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutout_sources import open_cutouts
from amodal.synthesis.cutouts import Recent
from amodal.training import loop
from amodal.training.config import ValidationConfig

SCENES = SceneConfig(size=(48, 64), num_objects=(2, 3), min_visible_area=16)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders of cut-outs and of backgrounds, and annotated scenes made of them."""
    folder, rng = tmp_path_factory.mktemp("place"), np.random.default_rng(0)
    for category in ("box", "bar"):
        for number in range(4):
            rgba = rng.integers(0, 256, (40, 44, 4), dtype=np.uint8)
            rgba[..., 3] = 0
            rgba[4:36, 4:40, 3] = 255
            path = folder / "cutouts" / category / f"{category}{number}" / "a.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(rgba).save(path)
    (folder / "backgrounds").mkdir()
    for number in range(4):
        Image.fromarray(rng.integers(0, 256, (60, 90, 3), dtype=np.uint8)).save(
            folder / "backgrounds" / f"{number}.jpg"
        )
    flags = "--count 4 --size 160 200 --num-objects 2 3 --workers 1"
    main(f"synth --out {folder}/scenes --cutouts {folder}/cutouts --backgrounds {folder}/backgrounds {flags}".split())
    return folder


def sources(place: Path) -> dict[str, FileSource | SceneSource]:
    drawn = SceneSource(split="train", count=6, scenes=SCENES)
    folders = replace(drawn, cutouts=str(place / "cutouts"), backgrounds=str(place / "backgrounds"))
    return {
        "drawn": drawn,
        "plain": replace(drawn, backgrounds="plain"),
        "folders": folders,
        "annotated cut-outs": replace(folders, cutouts=str(place / "scenes" / "annotations.json")),
        "files": FileSource((str(place / "scenes"),)),
    }


KINDS = ["drawn", "plain", "folders", "annotated cut-outs", "files"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_source_arrives_in_another_process_as_it_is(place: Path, kind: str):
    samples = open_source(sources(place)[kind])
    first = samples[1]  # its caches are full now
    items = StepBatches(samples, BatchPlan(2, length=len(samples)), AugmentConfig())
    sent = pickle.dumps(items)
    arrived = pickle.loads(sent)
    assert torch.equal(arrived.samples[1]["image"], first["image"])
    for name, value in first["target"].items():
        assert torch.equal(arrived.samples[1]["target"][name], value)
    assert len(sent) < 100_000  # pictures that are kept are not sent along


@pytest.mark.parametrize("kind", KINDS)
def test_two_workers_give_what_none_give(place: Path, kind: str):
    samples = open_source(sources(place)[kind])
    items = StepBatches(samples, BatchPlan(2, length=len(samples)), AugmentConfig())
    alone, helped = (list(batches(items, range(3), workers=workers)) for workers in (0, 2))
    for one, other in zip(alone, helped, strict=True):
        for sample, same in zip(one, other, strict=True):
            assert torch.equal(sample["image"], same["image"])


@pytest.mark.parametrize("kind", ["folders", "files"])
def test_evaluation_reads_with_two_workers(place: Path, kind: str):
    samples = open_source(sources(place)[kind])

    def nothing(images: list[torch.Tensor]) -> list:
        shapes = [(0, *image.shape[-2:]) for image in images]
        return [
            {
                "boxes": torch.zeros(0, 4),
                "labels": torch.zeros(0, dtype=torch.int64),
                "scores": torch.zeros(0),
                "amodal_masks": torch.zeros(shape, dtype=torch.bool),
                "visible_masks": torch.zeros(shape, dtype=torch.bool),
            }
            for shape in shapes
        ]

    alone, helped = (predict(nothing, samples, loading=LoaderSettings(2, workers)) for workers in (0, 2))
    assert len(alone.truth.images) == len(samples)
    assert alone.truth.annotations == helped.truth.annotations


def test_a_training_reads_folders_with_two_workers(place: Path, tmp_path: Path):
    from tests.training.test_loop import tiny_run

    source = sources(place)["folders"]
    unscored = ValidationConfig(every=0, at_end=False)
    config = replace(tiny_run(2), data=DataConfig(source, None, AugmentConfig()), validation=unscored, workers=2)
    assert loop.train(config, tmp_path / "run", device_name="cpu")["steps"] == 2


def test_scenes_of_folders_are_written_by_two_processes(place: Path, tmp_path: Path):
    """More than one process's share, and more than one chunk of work for each."""
    cutouts, backgrounds = place / "cutouts", place / "backgrounds"
    flags = f"--cutouts {cutouts} --backgrounds {backgrounds} --size 24 24 --num-objects 1 2 --min-visible-area 4"
    for workers in (1, 2):
        main(f"synth --out {tmp_path}/{workers} {flags} --count 129 --workers {workers}".split())
    one, two = (annotation_files.read(tmp_path / name) for name in "12")
    assert one.annotations == two.annotations
    for image in one.images:
        first, second = (tmp_path / name / "images" / image.file_name for name in "12")
        assert first.read_bytes() == second.read_bytes()


def test_a_cache_is_sent_empty():
    recent = Recent[list[int]](len, limit=500)
    assert recent.get("key", lambda: list(range(400))) == list(range(400))
    again = pickle.loads(pickle.dumps(recent))
    assert (again.size_of, again.limit) == (len, 500)
    assert again.get("key", lambda: [1]) == [1]


@pytest.mark.parametrize("workers", [1, 2])
def test_scenes_that_fail_leave_nothing_half_made(place: Path, tmp_path: Path, workers: int, capsys):
    """A cut-out is damaged: the command stops, and what was there before stays as it was."""
    broken = tmp_path / "cutouts" / "box"
    for number in range(8):
        target = broken / f"box{number}" / "a.png"
        target.parent.mkdir(parents=True)
        target.write_bytes((place / "cutouts" / "box" / "box0" / "a.png").read_bytes() if number == 0 else b"none")
    flags = f"--cutouts {tmp_path}/cutouts --count 129 --size 24 24 --min-visible-area 4 --workers {workers}"
    with pytest.raises(SystemExit):
        main(f"synth --out {tmp_path}/new/deeper {flags}".split())
    assert "cannot be read as an image" in capsys.readouterr().err
    assert not (tmp_path / "new").exists()
    main(f"synth --out {tmp_path}/old --count 2 --size 48 48 --workers 1".split())
    before = {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()}
    with pytest.raises(SystemExit):
        main(f"synth --out {tmp_path}/old --overwrite {flags}".split())
    assert {path: path.read_bytes() for path in (tmp_path / "old").rglob("*") if path.is_file()} == before


def test_every_kind_of_backgrounds_and_cut_outs_can_be_sent(place: Path):
    rng = np.random.default_rng
    for where in ("drawn", "plain", str(place / "backgrounds")):
        found = open_backgrounds(where)
        expected = found.sample((20, 30), rng(0))
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(found)).sample((20, 30), rng(0)), expected)
    for where in ("drawn", str(place / "cutouts")):
        source = open_cutouts(where)
        expected = source.sample(rng(0)).pixels
        np.testing.assert_array_equal(pickle.loads(pickle.dumps(source)).sample(rng(0)).pixels, expected)


class Failures(Dataset[int]):
    """In a worker, what its threads' errors are told by is called with an error."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        sys.excepthook(type(self.error), self.error, None)
        return index


def test_a_worker_does_not_tell_that_the_training_left_while_it_took_a_batch(capfd: pytest.CaptureFixture[str]) -> None:
    for error, is_told in ((ConnectionResetError("gone"), False), (EOFError(), False), (ValueError("odd"), True)):
        items = DataLoader(Failures(error), batch_size=None, num_workers=1, worker_init_fn=settle)
        assert [int(item) for item in items] == [0]
        assert (type(error).__name__ in capfd.readouterr().err) == is_told


DEATH = RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. Details are lost")


class Interrupted(io.BytesIO):
    """A file in whose third piece a worker's death is reported, as it may be anywhere."""

    pieces = 0

    def write(self, content: Any) -> int:
        self.pieces += 1
        if self.pieces == 3:
            raise DEATH
        return super().write(content)


def test_a_death_is_named_wherever_it_is_reported() -> None:
    with (
        pytest.raises(UserError, match=r"was killed by signal: Killed\. .* fewer --workers"),
        deaths_named(),
    ):
        raise DEATH
    with pytest.raises(RuntimeError, match="unexpected pos"):  # what torch makes of it
        torch.save({"step": 1}, Interrupted())
    with pytest.raises(UserError, match="reads images was killed by signal: Killed"), deaths_named():
        torch.save({"step": 1}, Interrupted())
    for other in (RuntimeError("another"), EOFError("another"), ConnectionRefusedError("another")):
        with pytest.raises(type(other), match="another"), deaths_named():
            raise other


@pytest.mark.skipif(sys.platform == "win32", reason="batches are not fetched from workers there")
def test_a_batch_of_a_worker_that_has_died_since_is_named() -> None:
    shared, other = Pipe()
    worker = get_context("spawn").Process(target=share_and_die, args=(other,))
    worker.start()
    lost = shared.recv()
    worker.kill()
    worker.join()
    with pytest.raises(UserError, match="a process that reads images exited unexpectedly"), deaths_named():
        lost.detach()


def share_and_die(pipe: Connection) -> None:
    """A worker's way to hand a batch over: the other process fetches it when it wants it."""
    pipe.send(DupFd(pipe.fileno()))
    sleep(60)
