"""`amodal compare`: reports of two or more runs side by side."""

from pathlib import Path
from typing import Annotated

import tyro

from amodal.arguments import COUNT, FROM_ZERO
from amodal.commands.declared import READS, WRITES_OR_SHOWS
from amodal.commands.json_output import json_to


def compare(
    reports: Annotated[tuple[Path, ...], tyro.conf.Positional, READS],
    *,
    resamples: Annotated[int, COUNT] = 1000,
    seed: Annotated[int, FROM_ZERO] = 0,
    out: Annotated[Path | None, WRITES_OR_SHOWS, tyro.conf.arg(aliases=("--json",))] = None,
    overwrite: bool = False,
) -> None:
    """Puts reports of the same data set side by side and says which differences are real.

    Each run is compared with the first one named, by a paired bootstrap over the images: a difference is real where
    its 95 % interval leaves out 0. It tells the luck of the images from a difference, not the luck of a training run.

    Args:
        reports: JSON files that `amodal evaluate --out` wrote, the one to compare with first.
        resamples: How often the images are drawn anew.
        seed: Of the draws.
        out: Write the differences here as JSON (fractions, not percent); `-` is standard output, for scripts.
        overwrite: Replace the file that is there.
    """
    from dataclasses import asdict

    from rich.console import Console

    from amodal.evaluation.compare import compare as compare_reports
    from amodal.evaluation.compare import table
    from amodal.evaluation.report import Report
    from amodal.files import read_json

    read = {str(path): Report.from_json(read_json(path), file=str(path)) for path in reports}
    differences = compare_reports(read, resamples=resamples, seed=seed, progress=True)
    with json_to(out) as write_json:
        Console().print(table(differences))
        write_json([asdict(one) | {"is_real": one.is_real} for one in differences])
