"""torchrun starts a run again whose process was killed: it ends with the weights of an undisturbed one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from amodal.training import run_folder
from tests.places import ROOT


def torchrun(folder: Path, *flags: str, **environment: str) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", *flags, "-m"]
    line += ["tests.elastic_run", "train", "tiny", "--out", str(folder), "--device", "cpu"]
    return subprocess.run(
        line, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, timeout=1800, check=False
    )


@pytest.mark.soak
def test_a_run_that_is_started_again_ends_with_the_weights_of_an_undisturbed_one(tmp_path: Path) -> None:
    undisturbed = torchrun(tmp_path / "whole")
    assert undisturbed.returncode == 0, undisturbed.stderr
    kills = tmp_path / "kills"
    kills.mkdir()
    disturbed = torchrun(tmp_path / "run", "--max-restarts", "3", KILLS=str(kills))
    assert disturbed.returncode == 0, disturbed.stderr
    assert sorted(path.name for path in kills.iterdir()) == ["0-6", "1-11"]
    whole, run = (load_file(tmp_path / name / run_folder.CHECKPOINT) for name in ("whole", "run"))
    assert all(torch.equal(whole[name], run[name]) for name in whole)
    notes = [(tmp_path / name / run_folder.LOSSES).read_text() for name in ("whole", "run")]
    assert notes[0] == notes[1]
    assert not list((tmp_path / "run").glob(".amodal-*"))


def test_only_a_process_that_was_started_again_goes_on_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "run").mkdir()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert not run_folder.is_started_again(tmp_path / "run")
    (tmp_path / "run" / run_folder.CONFIG).write_text("{}")
    assert run_folder.is_started_again(tmp_path / "run")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "0")
    monkeypatch.setenv("SLURM_RESTART_COUNT", "2")
    assert run_folder.is_started_again(tmp_path / "run")
    monkeypatch.delenv("SLURM_RESTART_COUNT")
    assert not run_folder.is_started_again(tmp_path / "run")
