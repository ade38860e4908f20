"""A training that is asked to stop: by Ctrl+C, a batch system, a spot machine, a terminal that closes.

The first signal lets the step in progress be finished and saved. A second one ends the process at once.
"""

import os
import select
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from time import monotonic

from amodal import processes
from amodal.errors import Stopped

SIGNALS = [
    getattr(signal, name) for name in ("SIGTERM", "SIGINT", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
]  # Windows has two of them
ONE_WISH = 1.0
"""Seconds within which signals are one wish: `timeout`, a closing terminal, a batch job with torchrun send it twice."""
PATIENCE = 25.0
"""Seconds that one process of several may take to come back to Python, which it never does while it waits for a lost
one. torchrun kills after 30."""

END = b"\0"
"""What is put behind the last signal in the pipe. Its closed end would not tell: workers that live on have it too."""


class Listener:
    """What has been asked so far.

    Attributes:
        signal: The number of the first signal, or 0.
        busy: Whether work is in progress that is finished first; otherwise a signal raises Stopped where it finds the
            main thread.
    """

    def __init__(self) -> None:
        self.signal = 0
        self.busy = False

    @contextmanager
    def being(self, busy: bool) -> Iterator[None]:
        """Sets `busy` for the `with` block. Raises Stopped where a signal came before, and is not waited for now."""
        before, self.busy = self.busy, busy
        try:
            if self.signal and not busy:
                raise Stopped(self.signal)
            yield
        finally:
            self.busy = before

    def hear(self, number: int, _frame: object = None) -> None:
        """Python's handler of the signals, in the main thread."""
        first, self.signal = not self.signal, self.signal or number
        if first and not self.busy:
            raise Stopped(number)

    def watch(self, pipe: int) -> None:
        """Speaks, and ends the process if need be; in a thread, for the main one may be outside Python for long."""
        with suppress(EOFError):
            number, since = _next(pipe), monotonic()
            if self.busy and processes.is_lead():
                _say(number, "finishing and saving the step; a second signal stops at once")
            while True:
                again = _next(pipe, PATIENCE)
                if again and monotonic() - since > ONE_WISH:
                    _leave(again, "stopped at once; the last checkpoint is whole")
                if not again and not self.signal and processes.world_size() > 1:
                    _leave(number, "this process waits in vain for another one; the last checkpoint is whole")


def _next(pipe: int, seconds: float | None = None) -> int:
    """The next signal's number, or 0 if none comes in so many seconds. Raises EOFError when nobody listens any more."""
    end = None if seconds is None else monotonic() + seconds
    while select.select([pipe], [], [], None if end is None else max(end - monotonic(), 0))[0]:
        byte = os.read(pipe, 1)
        if byte in (b"", END):
            raise EOFError
        if byte[0] in SIGNALS:
            return byte[0]
    return 0


@contextmanager
def listening() -> Iterator[Listener]:
    """Listens to signals while the `with` block runs. Signals that are ignored, as under nohup, stay so."""
    listener = Listener()
    if threading.current_thread() is not threading.main_thread():  # only there does Python take handlers
        yield listener
        return
    ends = os.pipe()
    os.set_blocking(ends[1], False)
    watcher = threading.Thread(target=listener.watch, args=[ends[0]], daemon=True)
    handled = {n: signal.getsignal(n) for n in SIGNALS if signal.getsignal(n) not in (signal.SIG_IGN, None)}
    fd_before = signal.set_wakeup_fd(ends[1], warn_on_full_buffer=False)
    for number in handled:
        signal.signal(number, listener.hear)
    watcher.start()
    try:
        yield listener
    finally:
        for number, handler in handled.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(fd_before)
        with suppress(BlockingIOError):  # full of signals: the closed end has to do
            os.write(ends[1], END)
        os.close(ends[1])
        watcher.join()
        os.close(ends[0])


def _say(number: int, words: str) -> None:
    with suppress(OSError):  # the terminal may be gone
        os.write(2, f"\namodal: {signal.Signals(number).name}: {words}\n".encode())


def _leave(number: int, words: str) -> None:
    _say(number, words)
    os._exit(128 + number)
