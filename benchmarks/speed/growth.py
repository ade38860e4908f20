"""How time and memory grow with the number of annotations: measured by processes of `benchmarks/growing.py`."""

import json
import subprocess
import sys
from contextlib import redirect_stdout
from io import StringIO
from math import log10
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import growing
from benchmarks.growing import ANNOTATIONS, TASKS
from benchmarks.speed.harness import Curve, Measured, Row

TITLE = "Growth"
MOST_BYTES = 1.5e9
SIZES = {10_000: 3, 100_000: 3, 1_000_000: 1}
"""Annotations, and how often each task runs on them."""
Figures = dict[str, float]


def child(*given: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.growing", *given], capture_output=True, text=True, check=True
    )
    return done.stdout


def here(*given: str) -> str:
    """The same in this process."""
    with redirect_stdout(StringIO()) as said:
        growing.main(given)
    return said.getvalue()


def measure(quick: bool) -> Measured:
    sizes, run = ({100: 1, 1000: 1}, here) if quick else (SIZES, child)
    measured: dict[str, list[Figures]] = {task: [] for task in TASKS}
    megabytes = []
    for size, repetitions in sizes.items():
        with TemporaryDirectory() as name:
            child("make", name, str(size))
            megabytes.append((Path(name) / ANNOTATIONS).stat().st_size / 1e6)
            runs: dict[str, list[Figures]] = {task: [] for task in TASKS}
            for _ in range(repetitions):
                for task, figures in runs.items():
                    figures.append(json.loads(run(task, name)))
        for task, figures in runs.items():
            measured[task].append({key: median(one[key] for one in figures) for key in figures[0]})
            print(f"   {size:,} {task}: {measured[task][-1]}", flush=True)
    counts = list(sizes)
    curves = [
        Curve(task, "annotations", [float(count) for count in counts], [one["cpu_seconds"] for one in figures])
        for task, figures in measured.items()
    ]
    facts = {"counts": counts, "megabytes": megabytes, "tasks": measured}
    return Measured([memory(facts), *(tenfold(task, facts) for task in TASKS), polygons(facts)], curves, facts=facts)


def memory(facts: dict[str, Any]) -> Row:
    peak = facts["tasks"]["read"][-1]["peak_bytes"]
    return Row(f"Peak memory, {facts['counts'][-1]:,} annotations read", "1.5 GB", peak / MOST_BYTES, 0.0, "share", 1.0)


def tenfold(task: str, facts: dict[str, Any]) -> Row:
    """From the middle size to the largest: what is done once does not count there."""
    low, high = (one["cpu_seconds"] for one in facts["tasks"][task][-2:])
    exponent = log10(high / low) / log10(facts["counts"][-1] / facts["counts"][-2])
    name = f"Growth of `{task}` from {facts['counts'][-2]:,} to {facts['counts'][-1]:,} annotations, processor time"
    return Row(name, "a tenth as many", high / low, 0.0, "times as long", details={"exponent": exponent})


def polygons(facts: dict[str, Any]) -> Row:
    """Writing alone: converting without the reading."""
    count = facts["counts"][-2]
    written, read = (facts["tasks"][task][-2]["cpu_seconds"] for task in ("convert to kins", "read"))
    name = f"KINS' polygons of {count:,} objects written, processor seconds"
    return Row(name, "-", written - read, 0.0, "seconds", 6.0 if count == 100_000 else None)


def describe(measured: Measured) -> str:
    facts = measured.facts
    exponents = {row.name: row.details["exponent"] for row in measured.rows if "exponent" in row.details}
    head = " | ".join(f"{count:,}" for count in facts["counts"])
    lines = [f"| | {head} | exponent |", "|---|" + "---|" * (len(facts["counts"]) + 1)]
    for (task, figures), exponent in zip(facts["tasks"].items(), exponents.values(), strict=True):
        seconds = " | ".join(f"{one['cpu_seconds']:.2f} s, {one['peak_bytes'] / 1e9:.2f} GB" for one in figures)
        lines.append(f"| {task} | {seconds} | {exponent:.2f} |")
    table = "\n".join(lines)
    return f"""Processor time and peak memory of a process that does nothing else, its start not counted in the time.
Objects of 10 to 200 pixels, amodal and visible run lengths, in files of
{", ".join(f"{size:,.0f}" for size in facts["megabytes"])} MB; for `evaluate` a detection each. The exponent is that of
the last step: 1 is linear.

{table}"""
