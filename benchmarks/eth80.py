"""Small Mask R-CNN and small VRSP on scenes of real photographs: trained alike, scored alike, coarse masks too.

    python -m benchmarks.eth80 --data FOLDER

FOLDER holds `eth80/<category>/<object>/*.webp` and `backgrounds/*.jpg`. Finished runs below --runs are taken as they
are (`amodal bench table1 --recipe eth80_small` makes the same ones). Writes `results/eth80_small.json`.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import tyro

from amodal.data.sources import open_source
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.files import read_json, write_json
from amodal.models import checkpoint
from amodal.paper import runs, variants
from amodal.paper.about import about
from amodal.training import run_folder

METHODS = ("mask_rcnn", "vrsp")


@dataclass(frozen=True)
class Settings:
    """Where data are, and where runs and results go."""

    data: Path
    """Folder of eth80 and backgrounds."""
    runs: Path = Path("runs/bench/eth80_small")
    """Folder of the runs."""
    out: Path = Path(__file__).parent / "results" / "eth80_small.json"
    """The result."""
    seed: int = 0
    """Of the runs."""


def main() -> None:
    settings = tyro.cli(Settings, description=__doc__)
    config = variants.base("eth80_small", settings.data)
    jobs = [
        job
        for job in runs.jobs(variants.table("table1"), config, settings.runs, [settings.seed])
        if job.models[0][0] in METHODS
    ]
    runs.share_priors(jobs, settings.runs)
    rows = []
    for job in jobs:
        runs.finish(job, "cpu")
        rows += score_run(job)
    command = "python -m benchmarks.eth80 --data FOLDER"
    origin = about(command, recipe="eth80_small", seed=settings.seed, threads=torch.get_num_threads())
    write_json(settings.out, {"about": origin, "rows": rows}, indent=1)
    for row in rows:
        print(row)


def score_run(job: runs.Job) -> list[dict[str, Any]]:
    """A row for each kind of masks that the model predicts, in percent."""
    loaded = checkpoint.load(job.folder / run_folder.CHECKPOINT)
    source = job.config.data.val
    assert source is not None
    began = perf_counter()
    predicted = predict(
        partial(loaded.model.detect, coarse=True), open_source(source), loading=LoaderSettings(workers=1)
    )
    seconds = round(perf_counter() - began, 1)
    training = read_json(job.folder / run_folder.METRICS)
    return [
        {
            "method": loaded.config.method,
            "masks": masks,
            "steps": training["steps"],
            "training_seconds": training["seconds"],
            "prediction_seconds": seconds,
            **numbers(score(predicted.truth, detections)),
        }
        for masks, detections in predicted.detections.items()
    ]


def numbers(report: Report) -> dict[str, float | None]:
    """What the tables show, in percent."""
    found: dict[str, float | None] = {}
    for kind, scores in (("amodal", report.amodal), ("visible", report.visible)):
        for name in ("ap", "ap50", "ap75", "ar100"):
            found[f"{kind}_{name}"] = None if scores is None else round(100 * getattr(scores, name), 2)
    for mode in ("vrsp", "clean"):
        value = report.ap_occluded(mode=mode)
        found[f"amodal_ap_occluded_{mode}"] = None if value is None else round(100 * value, 2)
    return found


if __name__ == "__main__":
    main()
