"""Trainings in processes of their own, to be stopped, killed and starved: forked from one that has imported all."""

import ctypes
import os
import resource
import signal
import socket
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import get_context, set_start_method
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import torch
from torch.utils.data import DataLoader, Dataset

from amodal.cli import main
from amodal.data.workers import settle
from amodal.prior.config import PriorConfig
from amodal.stopping import listening
from amodal.training import loop, recipes, run_folder, validation
from amodal.training.config import PriorSource, TrainConfig
from tests.training.test_loop import TINY, tiny_run

STEPS = 24
SCENES = 8
"""So few that a worker soon has drawn all of their objects."""
PROCESSES = get_context("forkserver")
PROCESSES.set_forkserver_preload(
    ["amodal.cli", "amodal.training.loop", "pytest", "torchvision.models.detection", "timm"]
)


def unhurried(config: TrainConfig) -> TrainConfig:
    """The run, with pauses: a test that waits for one of its steps comes in time for what it does there."""
    advance = loop.advance

    def advancing(run: loop.Run, *rest: Any) -> Any:
        time.sleep(0.3)
        return advance(run, *rest)

    loop.advance = advancing
    return config


def endless_prior(config: TrainConfig) -> TrainConfig:
    """The run, with a prior that is fitted for hours first."""
    prior = PriorSource(scenes=2, fit=PriorConfig(steps=10**6, shapes_per_class=3, masks_per_class=4))
    return replace(config, model=replace(TINY, method="vrsp"), prior=prior)


def endless_validation(config: TrainConfig) -> TrainConfig:
    validation.Validation.run = lambda *_: time.sleep(600)  # type: ignore[method-assign]
    return config


def disk_that_fills(config: TrainConfig) -> TrainConfig:
    """The run, on a disk that has no room for its second checkpoint."""
    config, save = replace(config, checkpoint_every=5), loop.save

    def saving(run: loop.Run) -> None:
        if run.step > config.checkpoint_every:
            resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, resource.RLIM_INFINITY))
        save(run)

    loop.save = saving
    return config


def fill(folder: Path) -> None:
    """Leaves not a byte free on the folder's disk."""
    with suppress(OSError), (folder.parent / "ballast").open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def full_before_saving(config: TrainConfig) -> TrainConfig:
    """The run, on a disk that others fill before its second checkpoint."""
    save = loop.save

    def saving(run: loop.Run) -> None:
        if run.step > 5:
            fill(run.folder)
        save(run)

    loop.save = saving
    return replace(config, checkpoint_every=5)


def full_between(config: TrainConfig) -> TrainConfig:
    """The run, on a disk that others fill after its first checkpoint: the journal is the first to notice."""
    advance = loop.advance

    def advancing(run: loop.Run, *rest: Any) -> Any:
        if run.step == 7:
            fill(run.folder)
        return advance(run, *rest)

    loop.advance = advancing
    return replace(config, checkpoint_every=5)


def stuck_step(config: TrainConfig) -> TrainConfig:
    def advance(*_: object) -> None:
        print("stuck", file=sys.stderr)
        time.sleep(600)

    loop.advance = advance  # type: ignore[assignment]
    return config


def places(count: int) -> list[dict[str, str]]:
    """What torchrun tells each of so many processes of one run."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    group = {"WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count), "GROUP_WORLD_SIZE": "1", "GROUP_RANK": "0"}
    group |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "test"}
    return [group | {"RANK": str(rank)} for rank in range(count)]


def in_two_processes(work: Callable[..., None], *given: object) -> None:
    """Calls `work(*given)` in two processes of one run."""
    both = [PROCESSES.Process(target=_as_one_of_them, args=(place, work, given)) for place in places(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(300)
    statuses = [process.exitcode for process in both]
    for process in both:
        process.kill()
    assert statuses == [0, 0]


def _as_one_of_them(environment: dict[str, str], work: Callable[..., None], given: tuple[object, ...]) -> None:
    os.environ |= environment
    torch.set_num_threads(1)
    work(*given)


Change = Callable[[TrainConfig], TrainConfig]


def _train(arguments: list[str], errors: Path, environment: dict[str, str], change: Change | None) -> None:
    set_start_method("fork", force=True)  # its data workers are its own children, not the fork server's
    os.setsid()  # as a shell does, so that a signal can be sent to the run and its workers together
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # whoever runs the tests under nohup ignores it, and so would the run
    os.environ |= environment
    handle = os.open(errors, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(handle, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    torch.set_num_threads(1)
    config = replace(tiny_run(STEPS), checkpoint_every=1000, workers=2)
    config = replace(config, data=replace(config.data, train=replace(config.data.train, count=SCENES)))
    recipes.recipe = lambda *_: change(config) if change else config  # type: ignore[assignment]
    main(arguments)


@dataclass(frozen=True)
class Training:
    """A process that runs `amodal train tiny`, and what it says."""

    process: BaseProcess
    folder: Path
    errors: Path

    @property
    def pid(self) -> int:
        assert self.process.pid
        return self.process.pid

    def wait_for(self, condition: Callable[[], bool]) -> None:
        end = time.monotonic() + 400
        while not condition():
            assert self.process.is_alive(), self.errors.read_text()
            assert time.monotonic() < end, self.errors.read_text()
            time.sleep(0.01)

    def wait_for_step(self, step: int) -> None:
        self.wait_for(lambda: len(run_folder.notes(self.folder, run_folder.LOSSES)) >= step)

    def send(self, number: signal.Signals) -> None:
        os.kill(self.pid, number)

    def children(self) -> list[int]:
        return [int(pid) for pid in Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text().split()]

    def end(self, within: float = 400) -> tuple[int | None, str]:
        """The exit status, and the lines of standard error that are the command's own."""
        self.process.join(within)
        code = self.process.exitcode
        if code is None:
            with suppress(ProcessLookupError):
                os.killpg(self.pid, signal.SIGKILL)
            self.process.join()
        said = self.errors.read_text()
        assert "Traceback" not in said, said
        return code, "\n".join(line for line in said.splitlines() if line.startswith("amodal:"))


class WhoReads(Dataset[int]):
    """Every item is the number of the process that reads it."""

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> int:
        return os.getpid()


def read(method: str, told: Path) -> None:
    """Writes down who reads for this process, and waits to be killed."""
    set_start_method(method, force=True)
    items = iter(DataLoader(WhoReads(), batch_size=None, num_workers=1, worker_init_fn=settle))
    told.write_text(str(next(items)))
    time.sleep(600)


def stuck(told: Path) -> None:
    """Says so, and waits for ever, and outside Python."""
    lock, mutex = ctypes.create_string_buffer(64), ctypes.CDLL(None).pthread_mutex_lock
    with listening() as listener, listener.being(busy=True):
        mutex(lock)
        told.touch()
        mutex(lock)


def outlived() -> None:
    """Has a worker that outlives the listening."""
    with listening():
        worker = os.fork()
        if not worker:
            time.sleep(60)
    os.kill(worker, signal.SIGKILL)


def under_nohup() -> None:
    """Is told of a terminal that closes, as whoever is started by `nohup` is."""
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with listening():
        os.kill(os.getpid(), signal.SIGHUP)


def start(
    folder: Path,
    *flags: str,
    environment: dict[str, str] | None = None,
    change: Change | None = None,
    errors: Path | None = None,
) -> Training:
    """Starts `amodal train tiny --out folder FLAGS`; what it says goes to `errors`, beside the folder by default."""
    rank = (environment or {}).get("RANK", "")
    errors = errors or folder.parent / f"{folder.name}-errors{rank}.txt"
    errors.write_text("")
    arguments = ["train", "tiny", "--out", str(folder), "--device", "cpu", *flags]
    process = PROCESSES.Process(target=_train, args=(arguments, errors, environment or {}, change))
    process.start()
    return Training(process, folder, errors)
