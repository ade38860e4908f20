"""Work for a cluster that takes no time: numbers in, rows out; some ends its process, some waits. No torch here."""

import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from amodal.errors import UserError
from amodal.scale.packed import packed


def wait_until(condition: Callable[[], bool], seconds: float = 1200) -> None:
    """Waits; the time is no measure of anything, so that a machine may be as busy as it likes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.1)


@dataclass(frozen=True)
class Squares:
    """Squares of numbers. A part whose number is in `fatal` kills its process as often as it says; one in `wrong` is a
    user's mistake.

    Attributes:
        notes: A folder in which every start of a part is noted.
        fatal: How often, by the first number of a part.
        wrong: First numbers of parts.
        held: Parts from this number on wait until the file `released` is there: what is done to their processes then
            finds work left to do, however slow or quick the machine is.
    """

    notes: Path
    fatal: tuple[tuple[int, int], ...] = ()
    wrong: tuple[int, ...] = ()
    held: int | None = None
    uses_gpu: bool = False

    @property
    def released(self) -> Path:
        """The file that parts are held for."""
        return self.notes.with_name("released")

    def open(self, device: str | None) -> Callable[[range], Any]:
        return self._work

    def _work(self, part: range) -> Any:
        times = sum(path.name.startswith(f"{part.start}-") for path in self.notes.iterdir())
        (self.notes / f"{part.start}-{os.getpid()}-{time.monotonic_ns()}").touch()
        if self.held is not None and part.start >= self.held:
            wait_until(self.released.exists)
        if times < dict(self.fatal).get(part.start, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        if part.start in self.wrong:
            raise UserError("cannot be squared", record=str(part.start))
        return packed([number**2 for number in part])


PARTS = [range(low, low + 5) for low in range(0, 60, 5)]
