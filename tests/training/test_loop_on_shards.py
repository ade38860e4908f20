"""Two gloo processes of two workers learn from shards what they learn from the folder, and so they do after a stop."""

import os
from dataclasses import replace
from multiprocessing import set_start_method
from pathlib import Path

import pytest
import torch

from amodal import cli, processes
from amodal.data.config import AugmentConfig, DataConfig, FileSource
from amodal.formats import webdataset
from amodal.training import loop
from tests.training.test_loop import stop_after, tiny_run
from tests.training.test_loop_in_two_processes import WEIGHTS, PerImage
from tests.training_processes import in_two_processes

RUNS = ("of-folder", "of-shards", "stopped")
SHARDS = FileSource(("shards/shard-{000000..000003}.tar",))


def train(folder: str, source: FileSource, *, stop: int | None = None, resume: bool = False) -> None:
    """Four steps of four images in all: twice round the ten scenes, nearly."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.zoo, "build", lambda *_: PerImage())
        patch.setattr(
            loop.checkpoint, "save", lambda path, found: torch.save(found.model.state_dict(), path.parent / WEIGHTS)
        )
        if stop is not None:
            stop_after(patch, stop)
        data = DataConfig(source, None, AugmentConfig(colour=0.3))
        config = replace(tiny_run(4), data=data, batch_size=4, workers=2)
        loop.train(config, Path(folder), resume=resume, device_name="cpu")


def one_of_two(folder: Path) -> None:
    """What each of the two processes does."""
    set_start_method("fork", force=True)  # its data workers are its own children, not the fork server's
    os.chdir(folder)
    with processes.joined("cpu"):
        train("of-folder", FileSource(("scenes",)))
        train("of-shards", SHARDS)
        with pytest.raises(KeyboardInterrupt):
            train("stopped", SHARDS, stop=3)
        train("stopped", SHARDS, resume=True)


@pytest.mark.slow
def test_two_processes_learn_from_shards_what_they_learn_from_the_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    cli.main(["synth", "--out", "scenes", "--count", "10", "--size", "64", "64", "--workers", "1"])
    monkeypatch.setattr(webdataset, "SAMPLES", 3)
    cli.main(["convert", "scenes", "shards", "--to", "webdataset"])
    in_two_processes(one_of_two, tmp_path)
    folder, *others = (torch.load(Path(name) / WEIGHTS, weights_only=True) for name in RUNS)
    assert all(torch.equal(folder[name], other[name]) for other in others for name in folder)
    first, *others = ((Path(name) / "losses.jsonl").read_text() for name in RUNS)
    assert len(first.splitlines()) == 4
    assert others == [first] * 2
