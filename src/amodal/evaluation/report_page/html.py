"""The report as one web page: numbers, charts and the worst failures, with nothing beside the file."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from amodal.annotations import AnnotationSet, Detection
from amodal.drawing import charts, web_page
from amodal.evaluation.analysis import Analysis
from amodal.evaluation.comparable import Standing, standings
from amodal.evaluation.matching.pairs import assign
from amodal.evaluation.metrics.calibration import Calibration
from amodal.evaluation.metrics.occlusion import ALL, OCCLUSION_RATES, column
from amodal.evaluation.report import Report, percent
from amodal.evaluation.report_page import gallery
from amodal.evaluation.report_page.first_screen import answer, named_scores

NARROW = 20
"""Categories up to which their confusions shrink to the page; more are scrolled."""
AT_ONCE = 4
"""Failures of a kind that are seen at once; the others open on a click."""


def write(report: Report, truth: AnnotationSet, detections: Sequence[Detection], path: str | Path) -> None:
    """Writes the page.

    Args:
        report: What `score` gave, with an analysis for charts of more than AP.
        truth: The annotations; pictures of failures need its image folder.
        detections: What was scored.
        path: The file to write.
    """
    parts = [answer(report), _curves(report)]
    if report.analysis:
        parts += [
            _beyond(report.analysis, standings(report.about)),
            _categories(report, truth),
            _failures(truth, detections),
        ]
    web_page.write(path, "Amodal evaluation", parts)


def _curves(report: Report) -> str:
    charted = [f"<figure>{_ap_by_occlusion(report)}<figcaption>AP by least occlusion rate</figcaption></figure>"]
    for name, scores in named_scores(report).items():
        curves = {
            f"IoU {iou}": [(place / 100, value) for place, value in enumerate(values)]
            for iou, values in scores.curves.items()
            if values
        }
        if curves:
            chart = charts.lines(curves, x_label="recall, %", y_label="precision, %")
            charted.append(f"<figure>{chart}<figcaption>precision and recall of {name}</figcaption></figure>")
    if report.analysis:
        charted += _reliabilities(report.analysis)
    return f"<h2>Curves</h2><div class=charts>{''.join(charted)}</div>"


def _ap_by_occlusion(report: Report) -> str:
    rates = dict(zip((ALL, *map(column, OCCLUSION_RATES)), (0.0, *OCCLUSION_RATES), strict=True))
    curves: dict[str, list[tuple[float, float]]] = {}
    for s in report.occlusion:
        if s.ap is not None:
            curves.setdefault(f"{s.masks}, {s.mode}", []).append((rates[s.column], s.ap))
    highest = max((ap for points in curves.values() for _, ap in points), default=1.0)
    top = max(0.1, math.ceil(10 * highest) / 10)
    return charts.lines(curves, x_label="least occlusion rate, %", y_label="AP, %", x_max=0.5, y_max=top)


def _reliabilities(analysis: Analysis) -> list[str]:
    kinds = [("scores", analysis.calibration, "score, %", "right at IoU 0.5, %")]
    if analysis.invisible_calibration:
        there = ("probability that the object is there, %", "it is there, %")
        kinds.append(("invisible pixels", analysis.invisible_calibration, *there))
    return [
        f"<figure>{_reliability(name, calibration, *labels)}<figcaption>calibration of {name}</figcaption></figure>"
        for name, calibration, *labels in kinds
    ]


def _beyond(analysis: Analysis, beside: dict[str, Standing]) -> str:
    s, d = analysis.shapes, analysis.depth
    rows = [
        ["mIoU of amodal masks", percent(s.mean_iou_full), "mIoU"],
        ["mIoU of invisible parts", percent(s.mean_iou_occluded), "mIoU"],
        ["boundary IoU of amodal masks", percent(s.mean_boundary_iou), "boundary IoU"],
        ["instances missed", f"{s.missed:,} of {s.instances:,}", "boundary IoU"],
        [f"depth order, {d.found:,} of {d.pairs:,} overlapping pairs found", percent(d.accuracy), "depth order"],
        ["calibration error of scores", percent(analysis.calibration.error), "calibration"],
    ]
    note = ""
    if analysis.invisible_calibration:
        c = analysis.invisible_calibration
        name = f"calibration error of invisible pixels, {sum(c.counts):,} of them"
        rows.append([name, percent(c.error), "calibration"])
    else:
        note = (
            "<p class=note>Calibration of invisible pixels is measured of a checkpoint only: results files hold masks, "
            "not probabilities.</p>"
        )
    groups = [
        [name, f"{one.instances:,}", percent(one.ar10), percent(one.ar100), percent(one.ar1000)]
        for name, one in analysis.recall.items()
    ]
    head = ["", "percent", "beside published"]
    table = web_page.table(head, [[name, value, beside[of].in_short] for name, value, of in rows])
    recall = web_page.table(["recall without categories", "instances", "AR10", "AR100", "AR1000"], groups)
    recall += f"<p class=note>Beside published: {escape(beside['recall'].in_short)}.</p>"
    halves = f"<div><div class=scroll>{table}</div>{note}</div><div class=scroll>{recall}</div>"
    return f"<h2>Beyond AP</h2><div class=halves>{halves}</div>"


def _reliability(name: str, calibration: Calibration, x_label: str, y_label: str) -> str:
    bins = zip(calibration.confidence, calibration.accuracy, calibration.counts, strict=True)
    points = [(confidence, accuracy) for confidence, accuracy, count in bins if count]
    return charts.lines({"perfect": [(0.0, 0.0), (1.0, 1.0)], name: points}, x_label=x_label, y_label=y_label)


def _categories(report: Report, truth: AnnotationSet) -> str:
    names = [category.name for category in sorted(truth.categories, key=lambda category: category.id)]
    assert report.analysis
    counts = np.array(report.analysis.confusion, dtype=np.int64).reshape(len(names) + 1, len(names) + 1)
    confusions = charts.matrix([*names, "nothing"], [*names, "missed"], counts, "rows: true; columns: predicted")
    ranked = (
        dict(sorted(report.amodal.by_category.items(), key=lambda item: -(item[1] or -1.0))) if report.amodal else {}
    )
    chart = charts.bars(
        list(ranked),
        list(ranked.values()),
        longest=1.0,
        number=lambda value: f"{100 * value:.1f}",
        x_label="AP of amodal masks, %",
    )
    wide = " class=scroll" if len(names) > NARROW else ""
    halves = f"<div class=scroll>{chart}</div><div{wide}>{confusions}</div>"
    return f"<h2>Categories and confusions</h2><div class=halves>{halves}</div>"


def _failures(truth: AnnotationSet, detections: Sequence[Detection]) -> str:
    parts: list[str] = []
    for kind, failures in gallery.worst(truth, list(assign(truth, detections))).items():
        figures = [
            web_page.figure(_pair(truth, failure), f"image {failure.image_id}: {failure.caption}")
            for failure in failures
        ]
        shown = f"<div class=pairs>{''.join(figures[:AT_ONCE]) or '<p>None.</p>'}</div>"
        if further := "".join(figures[AT_ONCE:]):
            count = len(figures) - AT_ONCE
            shown += f"<details><summary>{count} more</summary><div class=pairs>{further}</div></details>"
        parts.append(f"<h3>{gallery.KINDS[kind]}</h3>{shown}")
    note = "<p class=note>Truth on the left, prediction on the right; invisible parts are hatched.</p>"
    return f"<h2>The worst failures</h2>{note}{''.join(parts)}"


def _pair(truth: AnnotationSet, failure: gallery.Failure) -> Image.Image:
    """What is true beside what was predicted."""
    left, right = (gallery.picture(failure, truth, own) for own in (failure.truths, failure.detections))
    pair = Image.new("RGB", (left.width + 4 + right.width, left.height), "white")
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + 4, 0))
    return pair
