"""The worker processes of a data loader: one thread each, no ear for signals, and one clear error if they die."""

import multiprocessing
import os
import re
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import resource_sharer
from pathlib import Path
from threading import Thread
from traceback import walk_tb
from types import TracebackType

import torch

from amodal.errors import UserError

LOOKS = 5.0
"""Seconds between two looks for the parent."""
_REPORT = re.compile(r"DataLoader worker \(pid(?:\(s\))? [\d, ]+\) ([^.\n]+)")


def settle(_worker: int = 0) -> None:
    """What a worker does first.

    Terminals, `timeout`, torchrun and batch systems send a signal to all processes of a run. The process that trains
    decides what becomes of it, and needs its workers until then: they obey no SIGTERM but its own.
    """
    torch.set_num_threads(1)
    sys.excepthook = _told_but_for_lost_connections
    if not hasattr(signal, "sigtimedwait"):  # it tells who sent a signal; macOS and Windows have no such thing
        return
    signal.set_wakeup_fd(-1)  # the parent's own
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    Thread(target=_obey_the_parent, daemon=True).start()


def _told_but_for_lost_connections(
    kind: type[BaseException], error: BaseException, trace: TracebackType | None
) -> None:
    """An error of one of a worker's threads, told unless the process that trains has ended while it took a batch."""
    if not isinstance(error, ConnectionError | EOFError):
        sys.__excepthook__(kind, error, trace)


def _obey_the_parent() -> None:
    """Ends this process when its parent says so, or is no more.

    A worker that comes out of a fork server has another parent in the system's eyes, whose end would tell nothing.
    """
    parent = multiprocessing.parent_process()
    while parent is not None and parent.is_alive():
        heard = signal.sigtimedwait({signal.SIGTERM}, LOOKS)
        if heard is not None and heard.si_pid == parent.pid:
            break
    os._exit(0)


@contextmanager
def deaths_named() -> Iterator[None]:
    """Turns torch's report of a dead worker, which may come at any time, into a UserError.

    It may come while a file is written, say, whose writer then makes another error of it. It does not come where a
    batch is fetched from a worker that has died since.
    """
    try:
        yield
    except Exception as error:
        found = next(filter(None, map(_death, _with_causes(error))), None)
        if found is None:
            raise
        remedy = (
            "Shared memory ran out: give the container more (docker run --shm-size=8g), or pass --workers 0"
            if "Bus error" in found
            else "Most often memory ran out: pass fewer --workers"
        )
        raise UserError(f"a process that reads images {found}", remedy=remedy) from error


def _death(error: BaseException) -> str:
    """What an error says that a worker has done; nothing where it is about something else."""
    if isinstance(error, EOFError | ConnectionError):
        places = {Path(frame.f_code.co_filename).stem for frame, _ in walk_tb(error.__traceback__)}
        return "exited unexpectedly" if resource_sharer.__name__.rpartition(".")[2] in places else ""
    found = _REPORT.match(str(error)) if isinstance(error, RuntimeError) else None
    return found[1].replace("is killed", "was killed") if found else ""


def _with_causes(error: BaseException | None) -> Iterator[BaseException]:
    """An error, what it was raised from or in the course of, and so on."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
