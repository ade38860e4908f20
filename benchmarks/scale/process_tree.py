"""A command and all that it starts, watched from outside: processors' time and memory, from /proc."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")
EVERY = 0.25
"""Seconds between looks. What a process does after the last one is not counted."""


@dataclass
class Used:
    """What a command and its descendants used.

    Attributes:
        status: Its exit status.
        wall: Seconds.
        cpu: The processors' seconds, of all.
        workers_cpu: Those of the processes whose title names a worker alone.
        command_peak: Bytes of the command's own process at its peak.
        worker_peak: Bytes of the largest worker at its peak.
    """

    status: int = 0
    wall: float = 0.0
    cpu: float = 0.0
    workers_cpu: float = 0.0
    command_peak: int = 0
    worker_peak: int = 0
    _seconds: dict[int, float] = field(default_factory=dict)
    _workers: set[int] = field(default_factory=set)

    def look(self, root: int) -> list[int]:
        """Notes what all processes have used so far; gives the workers that are alive."""
        alive: list[int] = []
        for number in descendants(root):
            try:
                folder = Path(f"/proc/{number}")
                fields = (folder / "stat").read_text().rpartition(")")[2].split()
                self._seconds[number] = (int(fields[11]) + int(fields[12])) / TICKS
                peak = int((folder / "status").read_text().split("VmHWM:")[1].split()[0]) * 1024
                is_worker = b"MapWorker" in (folder / "cmdline").read_bytes()
            except (OSError, IndexError):  # it has ended
                continue
            if number == root:
                self.command_peak = max(self.command_peak, peak)
            if is_worker:
                alive.append(number)
                self._workers.add(number)
                self.worker_peak = max(self.worker_peak, peak)
        self.cpu = sum(self._seconds.values())
        self.workers_cpu = sum(self._seconds[number] for number in self._workers)
        return alive


def watched(
    line: Sequence[str], folder: Path, environment: dict[str, str], on_look: Callable[[list[int]], None] | None = None
) -> Used:
    """Runs a command in a folder. `on_look` is told the workers that are alive, again and again."""
    used, begun = Used(), time.monotonic()
    with (folder / "said.txt").open("w") as said:
        options = {"cwd": folder, "env": os.environ | environment, "stdout": said, "stderr": said}
        with subprocess.Popen([sys.executable, *line], **options) as command:  # type: ignore[call-overload]
            done = threading.Event()

            def watch() -> None:
                while not done.wait(EVERY):
                    alive = used.look(command.pid)
                    if on_look:
                        on_look(alive)

            watcher = threading.Thread(target=watch)
            watcher.start()
            used.status = command.wait()
            done.set()
            watcher.join()
    used.wall = time.monotonic() - begun
    return used


def descendants(root: int) -> list[int]:
    """A process and all below it, by their ids."""
    children: dict[int, list[int]] = {}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, IndexError):
            continue
        children.setdefault(parent, []).append(int(folder.name))
    found = [root]
    for number in found:
        found += children.get(number, [])
    return found


def proportional_bytes(number: int) -> int:
    """A process's memory, pages that it shares divided among those that share them."""
    text = Path(f"/proc/{number}/smaps_rollup").read_text()
    return int(text.split("\nPss:")[1].split()[0]) * 1024
