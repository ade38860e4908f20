"""The pictures of docs/performance.md, as SVG that is the same for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator

from amodal.files import replacing
from benchmarks.speed.harness import Curve

OURS, RIVAL = "#2b6cb0", "#c05621"
STYLE = {"svg.hashsalt": "amodal", "font.size": 9, "axes.spines.top": False, "axes.spines.right": False}
WIDTH, HEIGHT, COLUMNS = 4.2, 3.0, 2


def draw_growth(curves: list[Curve], path: Path) -> None:
    """Each curve on axes of its own, logarithmic both ways, beside its rival's."""
    rows, columns = -(-len(curves) // COLUMNS), min(len(curves), COLUMNS)
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(WIDTH * columns, HEIGHT * rows), layout="constrained")
        grid = figure.subplots(rows, columns, squeeze=False).ravel()
        for axes, curve in zip(grid, curves, strict=False):
            draw_curve(axes, curve)
        for axes in grid[len(curves) :]:
            axes.remove()
        save(figure, path)


def draw_curve(axes: Axes, curve: Curve) -> None:
    lines = [(curve.ours, "amodal", OURS, "o"), (curve.rivals, curve.rival, RIVAL, "s")]
    for seconds, name, colour, marker in lines:
        if seconds:
            milliseconds = [1e3 * second for second in seconds]
            axes.loglog(curve.sizes[: len(seconds)], milliseconds, f"-{marker}", color=colour, label=name, markersize=4)
    axes.set(xlabel=curve.axis, ylabel="milliseconds", title=curve.name)
    both = [*curve.ours, *curve.rivals]
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if max(both) < 50 * min(both) else (1,)))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xticks(curve.sizes, [f"{size:g}" for size in curve.sizes])
    axes.minorticks_off()
    axes.margins(x=0.08, y=0.25)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def draw_waiting(profile: list[dict[str, Any]], path: Path) -> None:
    """Every step as a bar along time, the wait for its data first; one line for each number of workers."""
    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(COLUMNS * WIDTH, 0.5 * len(profile) + 0.9), layout="constrained")
        axes = figure.subplots()
        for line, one in enumerate(profile):
            at = 0.0
            for wait, compute in zip(one["waiting"], one["computing"], strict=True):
                axes.barh(line, wait, left=at, color=RIVAL, height=0.6)
                axes.barh(line, compute, left=at + wait, color=OURS, height=0.6, edgecolor="white", linewidth=0.8)
                at += wait + compute
        workers = [one["workers"] for one in profile]
        axes.set_yticks(range(len(profile)), [f"{count or 'no'} worker{'s' * (count > 1)}" for count in workers])
        axes.invert_yaxis()
        axes.set_xlabel("seconds; blue: the step, red: waiting for its data")
        save(figure, path)


def save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})
