"""The pictures of docs/performance.md, as SVG that is the same for the same figures."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from amodal.files import replacing
from benchmarks.speed.harness import Curve

OURS, RIVAL = "#2b6cb0", "#c05621"
STYLE = {"svg.hashsalt": "amodal", "svg.fonttype": "path", "font.size": 9, "axes.spines.top": False}
WIDTH, HEIGHT = 4.2, 3.0


def draw_growth(curves: list[Curve], path: Path) -> None:
    """Each curve on axes of its own, logarithmic both ways, ours below a named rival."""
    figure = Figure(figsize=(WIDTH * len(curves), HEIGHT), layout="constrained")
    for axes, curve in zip(figure.subplots(1, len(curves), squeeze=False)[0], curves, strict=True):
        draw_curve(axes, curve)
    save(figure, path)


def draw_curve(axes: Axes, curve: Curve) -> None:
    lines = [(curve.ours, "amodal", OURS, "o"), (curve.rivals, curve.rival, RIVAL, "s")]
    for seconds, name, colour, marker in lines:
        if seconds:
            milliseconds = [1e3 * second for second in seconds]
            axes.loglog(curve.sizes[: len(seconds)], milliseconds, f"-{marker}", color=colour, label=name, markersize=4)
    axes.set(xlabel=curve.axis, ylabel="milliseconds", title=curve.name)
    for side in (axes.xaxis, axes.yaxis):
        side.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xticks(curve.sizes, [f"{size:g}" for size in curve.sizes])
    axes.minorticks_off()
    axes.spines["right"].set_visible(False)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False, fontsize=8)


def draw_waiting(profile: list[dict[str, Any]], path: Path) -> None:
    """Every step as a bar along time, the wait for its data first; one line for each number of workers."""
    figure = Figure(figsize=(2 * WIDTH, 0.5 * len(profile) + 0.9), layout="constrained")
    axes = figure.subplots()
    for line, one in enumerate(profile):
        at = 0.0
        for wait, compute in zip(one["waiting"], one["computing"], strict=True):
            axes.barh(line, wait, left=at, color=RIVAL, height=0.6)
            axes.barh(line, compute, left=at + wait, color=OURS, height=0.6, edgecolor="white", linewidth=0.8)
            at += wait + compute
    axes.set_yticks(range(len(profile)), [f"{one['workers']} workers" for one in profile])
    axes.invert_yaxis()
    axes.set_xlabel("seconds; blue: the step, red: waiting for its data")
    axes.spines["right"].set_visible(False)
    save(figure, path)


def save(figure: Figure, path: Path) -> None:
    with replacing(path) as temporary, mpl.rc_context(STYLE):
        figure.savefig(temporary, format="svg", metadata={"Date": None})
