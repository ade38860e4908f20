"""Scoring detections: measured by `benchmarks/evaluation.py`, whose file this takes into the page."""

from pathlib import Path
from typing import Any

from amodal.files import read_json
from benchmarks.speed.harness import Measured, Row

TITLE = "Scoring"
SOURCE = Path(__file__).parents[1] / "results" / "evaluation.json"
KINDS = {"bbox": "boxes", "segm": "masks"}


def measure(quick: bool) -> Measured:
    """Nothing new: the rows of the other benchmark's file."""
    content = read_json(SOURCE)
    size = f"{content['images']:,} images of {content['detections_per_image']} detections"
    rows = []
    for kind, what in KINDS.items():
        own, theirs = (next(m for m in content["measured"] if (m["system"], m["kind"]) == (s, kind)) for s in SYSTEMS)
        rows.append(row(f"AP of {what}, {size}", own, theirs))
    about = {key: content[key] for key in ("command", "commit", "date")}
    return Measured(rows, facts={"measured": content["measured"], **about})


SYSTEMS = ("amodal", "pycocotools")


def row(name: str, own: dict[str, Any], theirs: dict[str, Any]) -> Row:
    ratio = theirs["seconds"] / own["seconds"]
    details = {"seconds": own["seconds"], "rival_seconds": theirs["seconds"], "equal": own["ap"] == theirs["ap"]}
    return Row(name, "pycocotools", ratio, 0.0, aim=40.0, details=details)


def describe(measured: Measured) -> str:
    facts = measured.facts
    lines = ["| | | seconds | peak memory, GB | AP |", "|---|---|---|---|---|"]
    for one in facts["measured"]:
        figures = f"{one['seconds']:.1f} | {one['peak_gigabytes']:.2f} | {one['ap']:.6f}"
        lines.append(f"| {one['system']} | {KINDS[one['kind']]} | {figures} |")
    table = "\n".join(lines)
    return f"""Measured once by `{facts["command"]}` (commit {facts["commit"][:12]}, {facts["date"]}), each program in a
process of its own, from detections in memory to numbers. AP is the same to the last digit.

{table}"""
