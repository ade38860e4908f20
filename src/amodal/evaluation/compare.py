"""Runs side by side: which differences are more than the luck of the images."""

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from rich.table import Table
from tqdm import tqdm

from amodal.annotations import Category
from amodal.categories import order_problem
from amodal.errors import UserError
from amodal.evaluation.matching.records import Records
from amodal.evaluation.metrics.bootstrap import Resampling, draws, interval
from amodal.evaluation.report import Report, percent

_REMEDY = "Compare runs on one data set"


@dataclass(frozen=True)
class Difference:
    """AP of a run less AP of the first, in [-1, 1].

    Attributes:
        measure: Which AP: "amodal", "visible", "amodal, occlusion rate >= 0.15".
        run: The run's name.
        ap: Its AP; `first_ap`: that of the first run.
        difference: Of the two.
        low: Lower end of the 95 % interval of the difference; `high`: its upper end.
    """

    measure: str
    run: str
    ap: float
    first_ap: float
    difference: float
    low: float
    high: float

    @property
    def is_real(self) -> bool:
        """Whether the interval leaves out 0."""
        return self.low > 0 or self.high < 0


def compare(
    reports: dict[str, Report], *, resamples: int = 1000, seed: int = 0, progress: bool = False
) -> list[Difference]:
    """Each run against the first, by a paired bootstrap over images.

    Both runs are scored again on the same images drawn with replacement, `resamples` times; the interval holds the
    middle 95 % of the differences (percentile method: Efron and Tibshirani, "An Introduction to the Bootstrap", 1993,
    section 13.3). Only the choice of images is resampled: what another training run would give is not in it.

    Args:
        reports: By name; at least two, of the same data set, with match records.
        resamples: How many times.
        seed: Of the draws.
        progress: Show a bar.

    Raises:
        UserError: Fewer than two reports, or of different data sets, or without records.
    """
    if len(reports) < 2:
        raise UserError("one report is nothing to compare", remedy="Give two or more")
    if resamples < 1:
        raise UserError(f"{resamples} resamples", remedy="Give 1 or more")
    kept = {name: _records(name, report) for name, report in reports.items()}
    _check_same_categories(reports)
    first, *others = kept
    measures = [m for m in kept[first] if all(m in records for records in kept.values())]
    found: list[Difference] = []
    for measure in tqdm(measures, unit="measure", disable=not progress):
        runs = {name: kept[name][measure] for name in kept}
        _check_same_truth(runs)
        drawn = draws(runs[first].wanted.shape[1], resamples, seed)
        base, *base_drawn = _mean_aps(runs[first], drawn)
        for name in others:
            ap, *run_drawn = _mean_aps(runs[name], drawn)
            differences = np.subtract(run_drawn, base_drawn)
            low, high = interval(differences)
            found.append(Difference(measure, name, ap, base, ap - base, low, high))
    return [one for one in found if np.isfinite(one.difference)]


def _records(name: str, report: Report) -> dict[str, Records]:
    if report.analysis is None or not report.analysis.records:
        raise UserError("has no match records", file=name, remedy="Evaluate detections with amodal masks, with --out")
    return report.analysis.records


def _check_same_categories(reports: dict[str, Report]) -> None:
    """Records count instances by place; of two data sets as large as each other only the names tell which is which."""
    (first, named), *others = ((name, _categories(report)) for name, report in reports.items())
    for name, other in others:
        if problem := order_problem(other, named, "it has", f"{first} has"):
            raise UserError(f"is about other data than {first}: {problem}", file=name, remedy=_REMEDY)


def _categories(report: Report) -> list[Category]:
    scores = report.amodal or report.box
    return [Category(place, name) for place, name in enumerate(scores.by_category if scores else ())]


def _check_same_truth(runs: dict[str, Records]) -> None:
    first, *others = runs
    for name in others:
        if not np.array_equal(runs[name].wanted, runs[first].wanted):
            raise UserError(f"is about other data than {first}", file=name, remedy=_REMEDY)


def _mean_aps(records: Records, drawn: np.ndarray) -> list[float]:
    """For each draw the mean AP over the categories that occur in it; NaN where none does."""
    resampling = Resampling(records)

    def mean_ap(weights: np.ndarray) -> float:
        values = resampling.average_precisions(weights)
        occurring = values[~np.isnan(values)]
        return float(occurring.mean()) if occurring.size else float("nan")

    with ThreadPoolExecutor(os.cpu_count()) as threads:  # NumPy's long loops let others run beside them
        return list(threads.map(mean_ap, drawn))


def table(differences: Sequence[Difference]) -> Table:
    """For rich's console: AP times 100, and in words whether a difference is real."""
    shown = Table("AP of", "run", "first", "run's", "difference", "95 % interval", "")
    for one in differences:
        verdict = ("better" if one.difference > 0 else "worse") if one.is_real else "no clear difference"
        shown.add_row(
            one.measure,
            one.run,
            percent(one.first_ap),
            percent(one.ap),
            f"{100 * one.difference:+.2f}",
            f"{100 * one.low:+.2f} to {100 * one.high:+.2f}",
            verdict,
        )
    return shown
