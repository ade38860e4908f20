"""Draws docs/performance.md and its pictures from benchmarks/results/speed.json.

python -m benchmarks.speed.page
"""

from importlib import import_module
from pathlib import Path
from typing import Any

from amodal.files import replacing
from benchmarks.speed import PARTS, charts
from benchmarks.speed.harness import RESULTS, Measured, Row, Stage, parts, read

DOCS = Path(__file__).parents[2] / "docs"
INTRODUCTION = """# Performance

How fast, and compared with what. In each line of the table two programs did the same work in the same run, taking turns
on one thread; the figure is the median of the repetitions' ratios, ± their interquartile range.

```sh
python -m benchmarks.speed       # measures again and writes benchmarks/results/speed.json
python -m benchmarks.speed.page  # draws this page from it
```
"""
FORMATS = {
    "times faster": (1.0, "{:.3g} x faster", "at least {:.3g} x"),
    "times as long": (1.0, "{:.3g} x as long", "at most {:.3g} x"),
    "share": (100.0, "{:.2g} %", "at most {:.3g} %"),
    "seconds": (1.0, "{:.2g} s", "at most {:.2g} s"),
}
"""By what a ratio means: the factor to print it with, and how it and its aim are printed."""


def page(results: Path = RESULTS) -> str:
    """The page's Markdown."""
    known = [part for part in PARTS if part in parts(results)]
    measured = {part: read(part, results) for part in known}
    ceilings = measured["floors"][0].facts if "floors" in measured else {}
    rows = [row for part in known for row in measured[part][0].rows]
    sections = [INTRODUCTION, disturbed(measured), table(rows)]
    sections += [section(part, measured[part][0], ceilings) for part in known]
    sections.append(origins({part: about for part, (_, about) in measured.items()}))
    return "\n".join(text for text in sections if text)


def disturbed(measured: dict[str, tuple[Measured, dict[str, Any]]]) -> str:
    """A warning where the machine had more to do than to measure."""
    timed = {part: about for part, (_, about) in measured.items() if part != "memory"}  # peaks do not mind
    busy = [part for part, about in timed.items() if about["load_average"] > about["threads"] + 1]
    if not busy:
        return ""
    return f"**Other work ran on the machine while these parts were measured: {', '.join(busy)}.** Measure again.\n"


def table(rows: list[Row]) -> str:
    lines = ["| what | beside | | ± | aim | met |", "|---|---|---|---|---|---|"]
    for row in rows:
        factor, value, aim = FORMATS[row.sense]
        met = {None: "", True: "yes", False: "**no**"}[row.met]
        wanted = "" if row.aim is None else aim.format(factor * row.aim)
        figure = f"**{value.format(factor * row.ratio)}**"
        lines.append(f"| {row.name} | {row.rival} | {figure} | {factor * row.spread:.2g} | {wanted} | {met} |")
    return "\n".join(lines) + "\n"


def section(part: str, measured: Measured, ceilings: dict[str, Any]) -> str:
    module = import_module(f"benchmarks.speed.{part}")
    pieces = [f"## {module.TITLE}", module.describe(measured)]
    if measured.stages:
        pieces.append(floors(measured.stages, ceilings))
    if measured.curves:
        pieces.append(f"![Time against size, logarithmic both ways](pictures/speed-{part}.svg)")
    return "\n\n".join(pieces) + "\n"


def floors(stages: list[Stage], ceilings: dict[str, Any]) -> str:
    """Counted work of each stage, and how its time compares with what the machine's ceilings allow."""
    lines = ["| stage | time | operations | bytes | floor | time / floor |", "|---|---|---|---|---|---|"]
    for stage in stages:
        floor, times = "", ""
        if ceilings:
            rates = ceilings["operations_per_second"], ceilings["bytes_per_second"]
            least = max(stage.operations / rates[0], stage.num_bytes / rates[1])
            floor, times = f"{1e3 * least:.2g} ms", f"{stage.seconds / least:.2g}"
        work = f"{stage.operations / 1e6:,.4g} M | {stage.num_bytes / 1e6:,.4g} MB"
        lines.append(f"| {stage.name} | {1e3 * stage.seconds:.3g} ms | {work} | {floor} | {times} |")
    return "\n".join(lines)


def origins(abouts: dict[str, dict[str, Any]]) -> str:
    """Command, commit, machine of every part. The load counts the measurement itself as 1."""
    lines = [
        "## Where the figures come from",
        "",
        "| command | commit | date | threads | load |",
        "|---|---|---|---|---|",
    ]
    for about in abouts.values():
        told = [f"`{about['command']}`", about["commit"], about["date"], about["threads"], about["load_average"]]
        lines.append(f"| {' | '.join(map(str, told))} |")
    machines = sorted({f"{about['machine']}, {about['processor']}" for about in abouts.values()})
    versions = sorted({", ".join(f"{k} {v}" for k, v in about["versions"].items()) for about in abouts.values()})
    lines += [
        "",
        "Machine: " + "; ".join(machines) + ". Load is the machine's average at the end, this measurement included.",
    ]
    return "\n".join([*lines, "", "Versions: " + "; ".join(versions) + ".", ""])


def main() -> None:
    text = page()
    with replacing(DOCS / "performance.md") as temporary:
        temporary.write_text(text, encoding="utf-8")
    for part in PARTS:
        if part not in parts():
            continue
        measured, _ = read(part)
        if measured.curves:
            charts.draw_growth(measured.curves, DOCS / "pictures" / f"speed-{part}.svg")
        if "profile" in measured.facts and part == "loading":
            charts.draw_waiting(measured.facts["profile"], DOCS / "pictures" / "speed-loading.svg")


if __name__ == "__main__":
    main()
