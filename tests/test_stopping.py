"""Signals, dead workers, full disks, lost processes: the step is finished and saved, or the last checkpoint stands."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from time import monotonic, sleep

import pytest
import torch
from safetensors.torch import load_file

from amodal.training import run_folder
from tests import training_processes
from tests.training_processes import STEPS, Training, start

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="looks at processes in /proc"),
]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / run_folder.CHECKPOINT)


def saved_step(folder: Path) -> int:
    state = run_folder.load_state(folder)
    assert state
    assert not list(folder.glob(".amodal-*"))
    return state["step"]


def check_same(first: Path, second: Path) -> None:
    found, expected = weights(first), weights(second)
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[name], expected[name]) for name in found)
    for name in (run_folder.LOSSES, run_folder.SCORES):
        assert (first / name).read_text() == (second / name).read_text()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    assert start(folder).end() == (0, "")
    return folder


def test_every_signal_saves_and_the_line_it_says_goes_on_to_the_same_weights(tmp_path: Path, undisturbed: Path) -> None:
    flags: list[str] = []
    for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP"):
        number = getattr(signal, name)
        before = len(run_folder.notes(tmp_path / "run", run_folder.LOSSES))
        training = start(tmp_path / "run", *flags, change=training_processes.unhurried)
        training.wait_for_step(before + 2)
        for _ in range(2):  # to the workers too, and twice: as `timeout` and terminals do
            os.killpg(training.pid, number)
        status, said = training.end()
        assert status == 128 + number
        done = len(run_folder.notes(tmp_path / "run", run_folder.LOSSES))
        assert saved_step(tmp_path / "run") == done < STEPS
        first, last = said.splitlines()
        assert first == f"amodal: {name}: finishing and saving the step; a second signal stops at once"
        reason, _, command = last.partition(". Go on with: ")
        assert reason == f"amodal: stopped by {name}; step {done} of {STEPS} is saved"
        program, *words = shlex.split(command)
        assert [program, *words[:4]] == ["amodal", "train", "tiny", "--out", str(tmp_path / "run")]
        flags = words[6:]
        assert flags == ["--resume"]
    assert start(tmp_path / "run", *flags).end() == (0, "")
    check_same(tmp_path / "run", undisturbed)


def test_a_validation_is_broken_off_and_made_up_for(tmp_path: Path, undisturbed: Path) -> None:
    training = start(tmp_path / "run", change=training_processes.endless_validation)
    training.wait_for_step(STEPS)
    training.wait_for((tmp_path / "run" / run_folder.STATE).exists)
    training.send(signal.SIGTERM)
    status, said = training.end(within=60)
    assert (status, saved_step(tmp_path / "run")) == (143, STEPS)
    assert "Go on with: amodal train" in said
    assert start(tmp_path / "run", "--resume").end() == (0, "")
    check_same(tmp_path / "run", undisturbed)


def test_the_fitting_of_a_prior_is_broken_off(tmp_path: Path) -> None:
    training = start(tmp_path / "run", change=training_processes.endless_prior)
    training.wait_for(lambda: "auto-encoder" in training.errors.read_text())
    training.send(signal.SIGINT)
    status, said = training.end(within=60)
    assert status == 130
    assert said.startswith("amodal: stopped by SIGINT. Go on with: amodal train tiny")
    assert said.endswith("--resume")


def test_a_second_signal_stops_at_once(tmp_path: Path) -> None:
    training = start(tmp_path / "run", change=training_processes.stuck_step)
    training.wait_for(lambda: "stuck" in training.errors.read_text())
    training.send(signal.SIGTERM)
    training.wait_for(lambda: "finishing" in training.errors.read_text())
    training.process.join(1.2)
    training.send(signal.SIGINT)
    status, said = training.end(within=3)
    assert status == 130
    assert said.endswith("SIGINT: stopped at once; the last checkpoint is whole")


@contextmanager
def forked(work: Callable[..., None], *given: object) -> Iterator[BaseProcess]:
    """A process that does this, and is ended at the end, whatever became of it."""
    process = training_processes.PROCESSES.Process(target=work, args=given)
    process.start()
    try:
        yield process
    finally:
        process.kill()
        process.join()


def test_a_process_that_is_stuck_outside_python_can_be_stopped(tmp_path: Path) -> None:
    with forked(training_processes.stuck, tmp_path / "stuck") as process:
        wait_until((tmp_path / "stuck").exists)
        assert process.pid
        os.kill(process.pid, signal.SIGTERM)
        process.join(1.2)
        assert process.exitcode is None
        os.kill(process.pid, signal.SIGTERM)
        process.join(3)
        assert process.exitcode == 143


@pytest.mark.parametrize("work", [training_processes.outlived, training_processes.under_nohup])
def test_workers_that_live_on_and_signals_that_are_ignored_change_nothing(work: Callable[[], None]) -> None:
    with forked(work) as process:
        process.join(30)
        assert process.exitcode == 0


def test_a_worker_that_dies_is_one_line(tmp_path: Path) -> None:
    training = start(tmp_path / "run", "--checkpoint-every", "2", change=training_processes.unhurried)
    training.wait_for_step(3)  # after which nothing is saved
    os.kill(training.children()[0], signal.SIGKILL)
    began = monotonic()
    status, said = training.end(within=30)
    assert status == 2
    assert monotonic() - began < 30
    assert re.fullmatch(
        r"amodal: a process that reads images (was killed by signal: Killed|exited unexpectedly)\. "
        r"Most often memory ran out: pass fewer --workers",
        said,
    )
    assert saved_step(tmp_path / "run") >= 2


@pytest.mark.parametrize("method", ["fork", "forkserver"])
def test_workers_obey_their_own_process_and_do_not_outlive_it(tmp_path: Path, method: str) -> None:
    told = tmp_path / "pid"
    process = training_processes.PROCESSES.Process(target=training_processes.read, args=(method, told))
    process.start()
    wait_until(lambda: told.exists() and told.read_text() != "")
    status = Path(f"/proc/{told.read_text()}/stat")
    os.kill(int(told.read_text()), signal.SIGTERM)
    sleep(0.5)
    assert status.read_text().split()[2] != "Z"
    process.kill()
    wait_until(lambda: not status.exists() or status.read_text().split()[2] == "Z")


def wait_until(condition: Callable[[], bool]) -> None:
    end = monotonic() + 60
    while not condition():
        assert monotonic() < end
        sleep(0.05)


def test_a_full_disk_is_one_line_and_the_last_checkpoint_stands(tmp_path: Path) -> None:
    status, said = start(tmp_path / "run", change=training_processes.disk_that_fills).end()
    assert status == 2
    path = tmp_path / "run" / run_folder.CHECKPOINT
    assert said == f"amodal: {path}: cannot be written (File too large). Check the folder, or write elsewhere"
    assert saved_step(tmp_path / "run") == 5
    assert weights(tmp_path / "run")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 400 MB."""
    mount, unmount = shutil.which("mount"), shutil.which("umount")
    folder = tmp_path / "disk"
    folder.mkdir()
    if mount is None or unmount is None or os.geteuid() != 0:
        pytest.skip("only root can mount")
    answer = subprocess.run([mount, "-t", "tmpfs", "-o", "size=400m", "none", folder], capture_output=True, check=False)
    if answer.returncode:
        pytest.skip(f"cannot mount ({answer.stderr.decode().strip()})")
    try:
        yield folder
    finally:
        subprocess.run([unmount, folder], check=True)


@pytest.mark.parametrize("change", [training_processes.full_before_saving, training_processes.full_between])
def test_a_run_on_a_disk_that_others_fill_goes_on_when_there_is_room(
    small_disk: Path, undisturbed: Path, change: training_processes.Change
) -> None:
    folder = small_disk / "run"
    training = start(folder, change=change, errors=small_disk.parent / "errors.txt")
    status, said = training.end()
    assert status == 2
    assert said.startswith(f"amodal: {folder}")
    assert said.endswith("cannot be written (No space left on device). Free some space, or write elsewhere")
    assert said.count("\n") == 0
    assert saved_step(folder) == 5
    assert weights(folder)
    (small_disk / "ballast").unlink()
    assert start(folder, "--resume", errors=small_disk.parent / "errors.txt").end() == (0, "")
    check_same(folder, undisturbed)


@dataclass(frozen=True)
class Pair:
    """Two processes of one run, as torchrun starts them."""

    lead: Training
    other: Training

    @classmethod
    def start(cls, folder: Path, *flags: str, change: training_processes.Change | None = None) -> "Pair":
        both = training_processes.places(2)
        return cls(*(start(folder, *flags, environment=place, change=change) for place in both))


def test_two_processes_stop_after_the_same_step_and_outlive_each_other_in_one_line(tmp_path: Path) -> None:
    whole = Pair.start(tmp_path / "whole")
    assert whole.lead.end() == whole.other.end() == (0, "")

    pair = Pair.start(tmp_path / "run", change=training_processes.unhurried)
    pair.lead.wait_for_step(2)
    pair.other.send(signal.SIGUSR1)
    status, said = pair.lead.end()
    assert status == 138
    assert pair.other.end() == (138, "")
    done = saved_step(tmp_path / "run")
    assert len(run_folder.notes(tmp_path / "run", run_folder.LOSSES)) == done < STEPS
    torchrun = "torchrun --nproc-per-node 2 -m amodal.cli train tiny --out"
    assert said == (
        f"amodal: stopped by SIGUSR1; step {done} of {STEPS} is saved. "
        f"Go on with: {torchrun} {tmp_path}/run --device cpu --resume"
    )

    pair = Pair.start(tmp_path / "run", "--resume", change=training_processes.unhurried)
    pair.lead.wait_for_step(done + 2)
    pair.other.send(signal.SIGKILL)
    status, said = pair.lead.end(within=30)
    assert status == 2
    assert said.startswith("amodal: another process of this run has ended or was lost")
    assert said.count("\n") == 0
    assert saved_step(tmp_path / "run") == done
    pair.other.end()

    pair = Pair.start(tmp_path / "run", "--resume")
    assert pair.lead.end() == pair.other.end() == (0, "")
    check_same(tmp_path / "run", tmp_path / "whole")
