"""One input after the other in a process of its own, with limits: what a reader makes of each."""

import multiprocessing
import os
import random
import re
import resource
import shutil
import tempfile
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from time import process_time
from typing import Any

from amodal.errors import UserError
from benchmarks.fuzz.mutators import mutated

_NO_MEMORY = re.compile("alloc|out of memory", re.IGNORECASE)
LIVES = 4000
"""Inputs after which a process is replaced, so that what libraries keep does not count against a late input."""


@dataclass(frozen=True)
class Seed:
    """A whole file, or folder of files, that a reader takes.

    Attributes:
        files: Contents by path.
        target: The path that the reader is given; "" for the folder.
        fixed: Files that are not damaged: the photographs beside annotations.
    """

    files: dict[str, bytes]
    target: str = ""
    fixed: tuple[str, ...] = (".jpg", ".png")

    @staticmethod
    def of(folder: Path, target: str = "", fixed: tuple[str, ...] = (".jpg", ".png")) -> "Seed":
        """What lies in a folder."""
        paths = sorted(path for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
        return Seed({path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}, target, fixed)

    def damaged(self, rng: random.Random) -> dict[str, bytes]:
        """The files, one of them changed."""
        name = rng.choice([name for name in self.files if not name.endswith(self.fixed)])
        return self.files | {name: mutated(self.files[name], rng)}


@dataclass(frozen=True)
class Reader:
    """What reads a path, giving its object or a UserError; and whole files for it."""

    name: str
    read: Callable[[Path], Any]
    seeds: list[Seed]

    def input(self, seed: int, number: int) -> tuple[dict[str, bytes], str]:
        """The files of one input, and which of them is read; the same for the same seed."""
        rng = random.Random(f"{seed} {self.name} {number}")
        chosen = rng.choice(self.seeds)
        return chosen.damaged(rng), chosen.target


@dataclass(frozen=True)
class Limits:
    """What one input may take.

    Attributes:
        seconds: Of the processor, so that other work on the machine does not count.
        num_bytes: Of memory, beyond what the process held before.
        patience: Seconds of the clock after which a process that does not answer is ended.
    """

    seconds: float = 5.0
    num_bytes: int = 2**30
    patience: float = 120.0


@dataclass(frozen=True)
class Outcome:
    """`kind` is "read", "refused" or what went wrong; `trace` tells where."""

    kind: str
    seconds: float = 0.0
    trace: str = ""

    @property
    def is_fault(self) -> bool:
        """Whether it is neither of the two that are right."""
        return self.kind not in ("read", "refused")


def attempt(reader: Reader, files: dict[str, bytes], target: str, limits: Limits) -> Outcome:
    """What a reader makes of files, in this process."""
    with tempfile.TemporaryDirectory(prefix="amodal-fuzz-") as name:
        folder = Path(name)
        for path, content in files.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_bytes(content)
        began, before = process_time(), _peak()
        kind, trace = "read", ""
        try:
            reader.read(folder / target)
        except UserError as error:
            kind, trace = _of_refusal(error), "".join(traceback.format_exception(error))
        except BaseException as error:
            kind, trace = f"{type(error).__name__}: {_first_line(error)}", traceback.format_exc()
        seconds, taken = process_time() - began, _peak() - before
        if seconds > limits.seconds:
            kind = f"{seconds:.1f} seconds of the processor"
        elif taken > limits.num_bytes:
            kind = f"{taken / 2**20:.0f} MiB of memory"
        return Outcome(kind, seconds, trace)


def _of_refusal(error: UserError) -> str:
    """A refusal is right if it is one line, and came before memory was asked for in vain."""
    if not str(error).isprintable():
        return "a message that is not one printable line"
    cause: BaseException | None = error
    while cause is not None:
        if _asked_in_vain(cause):
            return f"memory was asked for in vain: {_first_line(cause)}"
        cause = cause.__cause__ or cause.__context__
    return "refused"


def _asked_in_vain(error: BaseException) -> bool:
    """Whether memory ran out. FFmpeg's errors, which have a number, are of its own ceiling: it asked for nothing."""
    if isinstance(error, UserError) or getattr(error, "errno", None) is not None:
        return False
    return isinstance(error, MemoryError) or _NO_MEMORY.search(_first_line(error)) is not None


def _first_line(error: BaseException) -> str:
    return next(iter(str(error).splitlines()), "")[:200]


def _peak() -> int:
    """Most memory that this process ever held, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@dataclass
class Worker:
    """A process that tries inputs; it is replaced after a fault."""

    readers: dict[str, Reader]
    seed: int
    limits: Limits = field(default_factory=Limits)
    _process: Any = None
    _connection: Connection | None = None
    _tried: int = 0

    def attempt(self, name: str, number: int) -> Outcome:
        """What the reader of this name makes of its input of this number."""
        connection = self._started()
        connection.send((name, number))
        self._tried += 1
        if not connection.poll(self.limits.patience):
            self.stop()
            return Outcome("no answer in time", self.limits.patience)
        try:
            outcome = connection.recv()
        except (EOFError, ConnectionResetError):
            self._process.join()
            code = self._process.exitcode
            self.stop()
            return Outcome(f"the process died of signal {-code}" if code < 0 else f"the process ended with {code}")
        if outcome.is_fault or self._tried >= LIVES:
            self.stop()
        return outcome

    def stop(self) -> None:
        """Ends the process."""
        if self._process is not None:
            self._process.kill()
            self._process.join()
        self._process, self._connection, self._tried = None, None, 0

    def _started(self) -> Connection:
        if self._connection is None:
            context = multiprocessing.get_context("fork")  # with everything imported
            self._connection, other = context.Pipe()
            self._process = context.Process(target=_work, args=(self, other), daemon=True)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # this process has threads that wait, of libraries; none is needed
                self._process.start()
            other.close()
        return self._connection


def _work(worker: Worker, connection: Connection) -> None:
    """Answers until the connection ends."""
    warnings.simplefilter("ignore")
    # Of addresses, not of memory: threads reserve many that they never use. What is used is measured.
    now = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (now + 8 * worker.limits.num_bytes, resource.RLIM_INFINITY))
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.dup2(null, 2)
    while True:
        name, number = connection.recv()
        reader = worker.readers[name]
        files, target = reader.input(worker.seed, number)
        connection.send(attempt(reader, files, target, worker.limits))


def keep(files: dict[str, bytes], folder: Path) -> None:
    """Writes the files of an input for a closer look."""
    shutil.rmtree(folder, ignore_errors=True)
    for path, content in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(content)
