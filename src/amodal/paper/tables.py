"""A table of the paper from finished runs: as rows for programs, and as Markdown and CSV with the paper beside."""

import csv
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

from amodal.errors import UserError
from amodal.evaluation.report import Number, Scores
from amodal.files import is_file, read_json, replacing, write_json
from amodal.paper.published import published
from amodal.paper.runs import read_evaluation, run_path
from amodal.paper.variants import Row, Table, predicts_both, variant
from amodal.training.config import TrainConfig

COLUMNS = {
    "amodal_ap": "AP",
    "amodal_ap50": "AP50",
    "amodal_ap75": "AP75",
    "amodal_ar1": "AR1",
    "amodal_ar": "AR100",
    "amodal_ap_occluded": "AP (Occluded)",
    "amodal_ap_occluded_clean": "AP occluded, clean",
    "visible_ap": "visible AP",
    "visible_ar1": "visible AR1",
    "visible_ar": "visible AR100",
}
"""Scores of a row and their headings."""

LEGEND = """Percent. AP and AR of amodal masks, then of visible ones, over IoU 0.50 to 0.95 and categories. AR1 and
AR100 allow 1 and 100 detections a category and image; the paper's AR stands beside AR1, since it lies far below its AP
on KINS, as AR100 cannot. AP (Occluded) is the paper's: instances hidden by 15 % or more, unmatched detections judged
by the occlusion that they predict, so that it needs both masks from one model; "clean" goes by the true masks alone.
NA: cannot be scored."""

TableRow = dict[str, Any]


def rows(table: Table, config: TrainConfig, runs: Path, seeds: Sequence[int]) -> list[TableRow]:
    """The table's rows, one for each method and seed whose runs are finished. Scores are percent, None for NA."""
    found = (_row(row, config, runs, seed) for row in table.rows for seed in seeds)
    return [row for row in found if row is not None]


def _row(row: Row, config: TrainConfig, runs: Path, seed: int) -> TableRow | None:
    by_name = {name: read_evaluation(run_path(runs, name, seed), name) for name in row.models}
    amodal, visible = by_name[row.amodal], by_name[row.visible]
    if amodal is None or visible is None:
        return None
    both = predicts_both(variant(config, row.amodal))
    scores = {
        **_scores("amodal", amodal.report.amodal),
        "amodal_ap_occluded": amodal.report.ap_occluded(mode="vrsp") if both else None,
        "amodal_ap_occluded_clean": amodal.report.ap_occluded(),
        **_scores("visible", visible.report.visible),
        "box_ap": amodal.report.box.ap if amodal.report.box else None,
    }
    evaluations = [evaluation for evaluation in by_name.values() if evaluation is not None]
    return {
        "method": row.method,
        "seed": seed,
        **{name: None if value is None else round(100 * value, 2) for name, value in scores.items()},
        "steps": amodal.training["steps"],
        "training_seconds": sum(one.training["seconds"] for one in evaluations),
        "evaluation_seconds": sum(one.seconds for one in evaluations),
        "images": amodal.report.counts.images,
        "device": amodal.training["device"],
    }


def _scores(kind: str, scores: Scores | None) -> dict[str, Number]:
    """AP and AR of one kind of mask; AP50 and AP75 of amodal masks alone, as the paper has it."""
    ap = {"ap": scores.ap, "ap50": scores.ap50, "ap75": scores.ap75} if scores else {}
    names = ("ap", "ap50", "ap75") if kind == "amodal" else ("ap",)
    found: dict[str, Number] = {f"{kind}_{name}": ap.get(name) for name in names}
    return found | {f"{kind}_ar1": scores.ar1 if scores else None, f"{kind}_ar": scores.ar100 if scores else None}


def summarise(table: Table, found: Sequence[TableRow]) -> dict[str, dict[str, tuple[float, float | None] | None]]:
    """Mean over seeds and sample standard deviation (None for one seed) of every score, by method of the table.

    A method without a finished row has no scores; None stands for NA.
    """
    summary: dict[str, dict[str, tuple[float, float | None] | None]] = {}
    for row in table.rows:
        own = [one for one in found if one["method"] == row.method]
        summary[row.method] = {}
        for name in COLUMNS if own else ():
            values = [one[name] for one in own if one[name] is not None]
            spread = stdev(values) if len(values) > 1 else None
            summary[row.method][name] = (fmean(values), spread) if values else None
    return summary


def paths(stem: Path) -> list[Path]:
    """The files of a table, the one last that says where it comes from."""
    return [stem.with_name(stem.name + suffix) for suffix in (".json", ".csv", ".md", ".about.json")]


def refuse_loss(stem: Path, table: Table, recipe: str, seeds: Sequence[int]) -> None:
    """Looks, before any work, whether a table that is there has rows that the new one could not have.

    Raises:
        UserError: It has: of another recipe, or of methods or seeds that were not asked for.
    """
    file, *_, origin = paths(stem)
    if not (is_file(file) and is_file(origin)):
        return
    there, before = read_json(file), read_json(origin)
    if not isinstance(there, list) or not isinstance(before, dict):
        return  # no table: nothing here may replace it
    asked = {(row.method, seed) for row in table.rows for seed in seeds} if before.get("recipe") == recipe else set()
    rows = [(row.get("method"), row.get("seed")) for row in there if isinstance(row, dict)]
    if lost := [f"{method} with seed {seed}" for method, seed in rows if (method, seed) not in asked]:
        more = f" and {len(lost) - 2} more" if len(lost) > 2 else ""
        raise UserError(
            f"would lose rows ({', '.join(lost[:2])}{more}, of {before.get('recipe')})",
            file=file,
            remedy="Ask for these rows too, name another folder with --out, or add --overwrite",
        )


def write(stem: Path, table: Table, data_set: str, found: Sequence[TableRow], about: dict[str, Any]) -> list[Path]:
    """Writes `stem` with .json (rows), .csv, .md, and .about.json (where they come from); gives the paths."""
    rows, sheet, page, origin = paths(stem)
    paper = published(table.name, data_set)
    summary = summarise(table, found)
    write_json(rows, list(found), indent=1)
    _write_csv(sheet, table, found, data_set)
    with replacing(page) as temporary:
        temporary.write_text(markdown(table, data_set, found, about), encoding="utf-8")
    statistics = {
        method: {name: {"mean": round(one[0], 2), "spread": one[1]} for name, one in scores.items() if one}
        for method, scores in summary.items()
    }
    write_json(origin, {**about, "over_seeds": statistics, "paper": paper}, indent=1)
    return [rows, sheet, page, origin]


def _write_csv(path: Path, table: Table, found: Sequence[TableRow], data_set: str) -> None:
    """Every row; below, with "mean", "spread" or "paper" as seed, those of all seeds and of the paper."""
    lines: list[TableRow] = list(found)
    for method, scores in summarise(table, found).items():
        if len({row["seed"] for row in found if row["method"] == method}) > 1:
            lines.append({"method": method, "seed": "mean", **{k: round(v[0], 2) for k, v in scores.items() if v}})
            lines.append(
                {"method": method, "seed": "spread", **{k: round(v[1] or 0, 2) for k, v in scores.items() if v}}
            )
    paper = published(table.name, data_set)
    lines += [{"method": row.method, "seed": "paper", **paper[row.method]} for row in table.rows if row.method in paper]
    names = [
        "method",
        "seed",
        *COLUMNS,
        "box_ap",
        "steps",
        "training_seconds",
        "evaluation_seconds",
        "images",
        "device",
    ]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="NA")
        writer.writeheader()
        writer.writerows({k: "NA" if v is None else v for k, v in line.items()} for line in lines)


def markdown(table: Table, data_set: str, found: Sequence[TableRow], about: dict[str, Any]) -> str:
    """The table as people read it: mean and spread over seeds, the paper's number in brackets."""
    paper, summary = published(table.name, data_set), summarise(table, found)
    seeds = sorted({row["seed"] for row in found})
    lines = [f"# {table.name.replace('table', 'Table ')}: {about['recipe']}", ""]
    lines += ["| | " + " | ".join(COLUMNS.values()) + " |", "|---" * (1 + len(COLUMNS)) + "|"]
    for row in table.rows:
        scores, beside = summary[row.method], paper.get(row.method, {})
        cells = [_cell(scores.get(name), name in scores, beside.get(name)) for name in COLUMNS]
        lines.append(f"| {row.label} | " + " | ".join(cells) + " |")
    spread = f"Mean ± standard deviation over seeds {', '.join(map(str, seeds))}." if len(seeds) > 1 else "One seed."
    brackets = " In brackets: the paper." if paper else ""
    images = f" {found[0]['images']} validation images." if found else ""
    lines += ["", LEGEND, "", f"{spread}{brackets}{images} `{about['command']}`; {about['machine']}; {about['date']}."]
    return "\n".join(lines) + "\n"


def _cell(ours: tuple[float, float | None] | None, is_measured: bool, paper: float | None) -> str:
    """`70.1 ± 0.2 (70.2)`; NA for what cannot be scored, a dash for what is not measured yet."""
    text = f"{ours[0]:.1f}" if ours else "NA" if is_measured else "-"
    if ours and ours[1] is not None:
        text += f" ± {ours[1]:.1f}"
    return text if paper is None else f"{text} ({paper:.1f})"
