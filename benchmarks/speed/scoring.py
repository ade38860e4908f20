"""Reading and scoring results: measured by `benchmarks/evaluation.py`, whose file this takes into the page."""

from pathlib import Path
from typing import Any

from amodal.files import read_json
from benchmarks.speed.harness import Measured, Row

TITLE = "Reading and scoring results"
SOURCE = Path(__file__).parents[1] / "results" / "evaluation.json"
KINDS = {"bbox": "boxes", "segm": "masks"}


def measure(quick: bool) -> Measured:
    """Nothing new, quick or not: the figures of the other benchmark's file."""
    content = read_json(SOURCE)
    size = f"{content['images']:,} images of {content['detections_per_image']} detections"
    measured = {(one["system"], one["kind"]): one for one in content["measured"]}
    rows = []
    for ratio in content["ratios"]:
        if (ratio["system"], ratio["of"]) == ("amodal", "seconds"):
            own, theirs = measured["amodal", ratio["kind"]], measured["pycocotools", ratio["kind"]]
            details = {
                "seconds": own["seconds"],
                "rival_seconds": theirs["seconds"],
                "equal": own["ap"] == theirs["ap"],
            }
            name = f"Results of {KINDS[ratio['kind']]} read and scored, {size}"
            rows.append(Row(name, "pycocotools", ratio["ratio"], ratio["spread"], aim=40.0, details=details))
    about = {key: content[key] for key in ("command", "commit", "date", "bootstrap")}
    whole = [ratio for ratio in content["ratios"] if (ratio["system"], ratio["of"]) == ("hotcoco", "seconds")]
    bare = {ratio["kind"]: ratio["ratio"] for ratio in whole}
    return Measured(rows, facts={"measured": content["measured"], "evaluator_alone": bare, **about})


def describe(measured: Measured) -> str:
    alone = measured.facts["evaluator_alone"]
    facts, equal = measured.facts, all(row.details["equal"] for row in measured.rows)
    lines = [
        "| | | read, s | score, s | peak memory, GB | AP |",
        "|---|---|---|---|---|---|",
        *map(line, facts["measured"]),
    ]
    table = "\n".join(lines)
    same = "pycocotools' AP to the last digit" if equal else "NOT pycocotools' AP"
    return f"""Measured by `{facts["command"]}` (commit {facts["commit"]}, {facts["date"]}): each program reads the same
two files and gives AP, in a process of its own. Ours is {same}. A resample of `amodal compare` of
{facts["bootstrap"]["detections"]:,} detections takes {1e3 * facts["bootstrap"]["seconds"]:.0f} ms.

hotcoco, which does the matching for us, reads and scores boxes {alone["bbox"]:.0f} x and masks {alone["segm"]:.0f} x as
fast as pycocotools when it has the files to itself. What we take beyond that goes into what it does not do: every mask,
box and id of both files is checked, and kept for whatever else is measured.

{table}"""


def line(one: dict[str, Any]) -> str:
    seconds = f"{one['load_seconds']:.2f} | {one['score_seconds']:.2f}"
    return f"| {one['system']} | {KINDS[one['kind']]} | {seconds} | {one['peak_gigabytes']:.2f} | {one['ap']:.6f} |"
