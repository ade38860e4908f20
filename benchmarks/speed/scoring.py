"""Reading and scoring results: measured by `benchmarks/evaluation.py`, whose files this takes into the page."""

from pathlib import Path
from typing import Any

from amodal.files import read_json
from benchmarks.speed.harness import Measured, Row

TITLE = "Reading and scoring results"
SOURCE = Path(__file__).parents[1] / "results" / "evaluation.json"
PHOTOGRAPHS = SOURCE.with_name("evaluation_photographs.json")
KINDS = {"bbox": "boxes", "segm": "masks"}


def measure(quick: bool) -> Measured:
    """Nothing new, quick or not: the figures of the other benchmark's files."""
    made, photographs = read_json(SOURCE), read_json(PHOTOGRAPHS)
    size = f"{made['images']:,} images of {made['detections_per_image']:g} detections"
    found = "what `photos` finds on {images} photographs, {detections_per_image:g} an image".format(**photographs)
    rows = [
        *rows_of(made, size, {"bbox": 70.0, "segm": 25.0}),
        *rows_of(photographs, found, {"bbox": None, "segm": None}),
    ]
    about = {key: made[key] for key in ("command", "commit", "date", "bootstrap", "load_average_at_end")}
    told = {key: photographs[key] for key in ("command", "commit", "date")}
    return Measured(
        rows, facts={"measured": with_times(made), "photographs": with_times(photographs), **about, "told": told}
    )


def rows_of(content: dict[str, Any], size: str, aims: dict[str, float | None]) -> list[Row]:
    """This package beside pycocotools, of boxes and of masks."""
    measured = {(one["system"], one["kind"]): one for one in content["measured"]}
    of_cpu = processor_ratios(content)
    rows = []
    for kind, words in KINDS.items():
        own, theirs, ratio = measured["amodal", kind], measured["pycocotools", kind], of_cpu["amodal", kind]
        details = {
            "seconds": own["cpu_seconds"],
            "rival_seconds": theirs["cpu_seconds"],
            "equal": all(one["ap"] == theirs["ap"] for one in content["measured"] if one["kind"] == kind),
        }
        name = f"Results of {words} read and scored, {size}, processor time"
        rows.append(Row(name, "pycocotools", ratio["ratio"], ratio["spread"], aim=aims[kind], details=details))
    return rows


def with_times(content: dict[str, Any]) -> list[dict[str, Any]]:
    """Each program's figures, and how many times longer pycocotools takes."""
    of_cpu = processor_ratios(content)
    keyed = [((one["system"], one["kind"]), one) for one in content["measured"]]
    return [one | {"times": of_cpu[key]["ratio"] if key in of_cpu else 1.0} for key, one in keyed]


def processor_ratios(content: dict[str, Any]) -> dict[tuple[str, str], dict[str, Any]]:
    """How many times each program's processor time pycocotools takes, by program and kind."""
    return {(one["system"], one["kind"]): one for one in content["ratios"] if one["of"] == "cpu_seconds"}


def describe(measured: Measured) -> str:
    facts, equal = measured.facts, all(row.details["equal"] for row in measured.rows)
    told = facts["told"]
    theirs, engines = (processor_time(facts, system) for system in ("pycocotools", "hotcoco"))
    same = "All give pycocotools' AP to the last digit" if equal else "NOT all give pycocotools' AP"
    return f"""Measured by `{facts["command"]}` (commit {facts["commit"]}, {facts["date"]}): each program reads the same
two files and gives AP, in a process of its own. {same}. The machine's load was
{facts["load_average_at_end"]:.1f}: the processors' time counts, of all threads, and not the clock's. A resample of
`amodal compare` of {facts["bootstrap"]["detections"]:,} detections takes {1e3 * facts["bootstrap"]["seconds"]:.0f} ms.

hotcoco does the matching for us. What we take beyond it goes into what it does not do: every mask, box and id of both
files is checked, so that a damaged record is named, and all is kept for whatever else is measured. The aims are out of
reach that way: of masks a 25th of pycocotools' time is {theirs["segm"] / 25:.2f} s, and hotcoco alone takes
{engines["segm"]:.2f} s; of boxes a 70th is {theirs["bbox"] / 70:.2f} s, and hotcoco takes {engines["bbox"]:.2f} s.
A profile on a busy machine (processor time, one thread) gave matching two fifths of our time for masks, checks of the
results' masks a third (half of it one pass of hotcoco over their run lengths), decoding JSON and reading the truth a
tenth each. To leave out masks that can match nothing, by box and area, spares less than it takes to know their boxes;
matching of our own over hotcoco's overlaps took longer than hotcoco's. ultrafast-pycocotools calls itself alpha,
vernier's own metadata say that it is being planned: rivals to measure against, not engines to depend on alone.

{table(facts["measured"])}

**What a trained detector finds**: `photos` on photographs that it was not trained on, its visible masks and the boxes
around them, few to an image (`{told["command"]}`, commit {told["commit"]}, {told["date"]}). There is so
little to match that reading, which is where every record is checked, takes most of our time:

{table(facts["photographs"])}"""


def table(measured: list[dict[str, Any]]) -> str:
    """A row of each program and kind."""
    lines = [
        "| | | read, s | score, s | processor time, s | pycocotools' time / its | peak memory, GB | AP |",
        "|---|---|---|---|---|---|---|---|",
        *map(line, measured),
    ]
    return "\n".join(lines)


def processor_time(facts: dict[str, Any], system: str) -> dict[str, float]:
    """Seconds of the processors, of all threads, by kind."""
    return {one["kind"]: one["cpu_seconds"] for one in facts["measured"] if one["system"] == system}


def line(one: dict[str, Any]) -> str:
    wall = f"{one['load_seconds']:.2f} | {one['score_seconds']:.2f}"
    own = f"{one['cpu_seconds']:.2f} | {one['times']:.3g} x"
    return (
        f"| {one['system']} | {KINDS[one['kind']]} | {wall} | {own} | {one['peak_gigabytes']:.2f} | {one['ap']:.6f} |"
    )
