"""What a part measures, how two callables are timed side by side, and the file that results are kept in."""

import gc
import os
import statistics
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from time import perf_counter
from typing import Any, Literal

import torch

from amodal.files import read_json, write_json
from amodal.paper.about import about

RESULTS = Path(__file__).parents[1] / "results" / "speed.json"
Sense = Literal["times faster", "times as long", "share", "seconds"]
"""What a ratio means. Times faster: rival's time / ours, more is better. Of the others less is better: our time /
rival's time, or / the whole that it is a share of; plain seconds where there is no rival."""


@dataclass(frozen=True)
class Row:
    """A line of the page's table."""

    name: str
    """What is measured, with its sizes. No other row has this name."""
    rival: str
    """What it is measured against, in the same run; "-" for nothing."""
    ratio: float
    """The median of the repetitions' ratios."""
    spread: float
    """Their interquartile range."""
    sense: Sense = "times faster"
    aim: float | None = None
    """At least this for "times faster", at most this for the others. None: reported, not aimed at."""
    details: dict[str, Any] = field(default_factory=dict)
    """Seconds of both, repetitions, equality of results, ...: what JSON takes."""

    @property
    def met(self) -> bool | None:
        """Whether the aim is met; None without one."""
        if self.aim is None:
            return None
        return self.ratio >= self.aim if self.sense == "times faster" else self.ratio <= self.aim


@dataclass(frozen=True)
class Curve:
    """How time grows with a size, drawn on logarithmic axes. `rivals` may be empty."""

    name: str
    axis: str
    """The size that grows, such as "objects"."""
    sizes: list[float]
    ours: list[float]
    """Seconds."""
    rivals: list[float] = field(default_factory=list)
    """Seconds."""
    rival: str = ""


@dataclass(frozen=True)
class Stage:
    """A stage's counted work beside its time: the page shows how far it is from the machine's measured ceilings."""

    name: str
    operations: float
    """Floating-point (or integer) operations that the result needs; a multiply-add is two."""
    num_bytes: float
    """Bytes that must be read and written at least once."""
    seconds: float


@dataclass(frozen=True)
class Measured:
    """All that a part measures."""

    rows: list[Row] = field(default_factory=list)
    curves: list[Curve] = field(default_factory=list)
    stages: list[Stage] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    """Whatever else its text needs: what JSON takes."""


@dataclass(frozen=True)
class Timing:
    """Seconds of two callables that took turns, one pair a repetition."""

    ours: list[float]
    rivals: list[float]

    def row(
        self, name: str, rival: str, aim: float | None = None, *, sense: Sense = "times faster", **details: Any
    ) -> Row:
        """The row of this timing, with both medians in its details."""
        faster = [theirs / own for own, theirs in zip(self.ours, self.rivals, strict=True)]
        ratios = faster if sense == "times faster" else [1 / ratio for ratio in faster]
        seconds = {"seconds": statistics.median(self.ours), "rival_seconds": statistics.median(self.rivals)}
        return Row(name, rival, *centre(ratios), sense, aim, {**seconds, "ratios": ratios, **details})


def compare(
    ours: Callable[[], Any],
    rival: Callable[[], Any],
    *,
    repetitions: int = 7,
    clock: Callable[[], float] = perf_counter,
) -> Timing:
    """Times two callables in turn, so that whatever else the machine does falls on both; each goes first in turn.

    Where both compute all the time, `clock` may be the processor's, which knows nothing of what else runs. A single
    repetition only tries whether all runs, and is not warmed up.
    """
    if repetitions > 1:
        ours(), rival()
    gc.collect()
    seconds: tuple[list[float], list[float]] = ([], [])
    for repetition in range(repetitions):
        pair = ((ours, seconds[0]), (rival, seconds[1]))
        for run, kept in pair if repetition % 2 == 0 else pair[::-1]:
            kept.append(timed(run, clock))
    return Timing(*seconds)


def timed(run: Callable[[], Any], clock: Callable[[], float] = perf_counter) -> float:
    """Seconds of one call, with whatever it started on a GPU. Garbage waits, as in `timeit`."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        _wait()
        began = clock()
        run()
        _wait()
        return clock() - began
    finally:
        if was_on:
            gc.enable()


def best(run: Callable[[], Any], repetitions: int = 3, clock: Callable[[], float] = perf_counter) -> float:
    """The fewest seconds of a few calls: for curves and stages, which have no rival to share a disturbance with."""
    gc.collect()
    return min(timed(run, clock) for _ in range(repetitions))


def _wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def centre(values: Sequence[float]) -> tuple[float, float]:
    """Median and interquartile range."""
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive") if len(values) > 1 else [values[0]] * 3
    return middle, high - low


def run(part: str, quick: bool, out: Path) -> None:
    """Measures one part, on one thread, and writes it to `out`."""
    torch.set_num_threads(1)
    measured = import_module(f"benchmarks.speed.{part}").measure(quick)
    for row in measured.rows:
        print(f"   {row.name} | {row.rival} | {row.ratio:.3g} {row.sense}, spread {row.spread:.2g}, met: {row.met}")
    merge(part, measured, path=out)


def merge(part: str, measured: Measured, *, path: Path = RESULTS, **details: Any) -> None:
    """Puts what a part measured in the file, in place of what that part had there.

    The file is a flat list of all parts' rows. Beside it lies `<name>_parts.json`: a part's name to where its figures
    come from (command, commit, machine, load, ...), its curves, stages and facts.
    """
    rows = [row for row in (read_json(path) if path.exists() else []) if row["part"] != part]
    rows += [{"part": part, **asdict(row), "met": row.met} for row in measured.rows]
    names = [row["name"] for row in rows]
    assert len(names) == len(set(names)), f"two rows with one name in {names}"
    rest = {key: value for key, value in asdict(measured).items() if key != "rows"}
    others = parts(path)
    write_json(path, rows, indent=1)
    write_json(_beside(path), {**others, part: {"about": origin(part, **details), **rest}}, indent=1)


def parts(path: Path = RESULTS) -> dict[str, Any]:
    """What lies beside the rows: each measured part's origin, curves, stages and facts."""
    return read_json(_beside(path)) if _beside(path).exists() else {}


def _beside(path: Path) -> Path:
    return path.with_stem(f"{path.stem}_parts")


def origin(part: str, **details: Any) -> dict[str, Any]:
    """Where a part's figures come from."""
    load = {"load_average": round(os.getloadavg()[0], 2), "threads": torch.get_num_threads()}
    return about(f"python -m benchmarks.speed {part}", **details, **load, processor=_processor())


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def read(part: str, path: Path = RESULTS) -> tuple[Measured, dict[str, Any]]:
    """What the file holds of a part, and where that comes from."""
    own = [row for row in read_json(path) if row["part"] == part]
    rows = [Row(**{key: value for key, value in row.items() if key not in ("part", "met")}) for row in own]
    rest = parts(path)[part]
    curves = [Curve(**curve) for curve in rest["curves"]]
    stages = [Stage(**stage) for stage in rest["stages"]]
    return Measured(rows, curves, stages, rest["facts"]), rest["about"]
