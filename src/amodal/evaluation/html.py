"""The report as one web page: numbers, charts and the worst failures, with nothing beside the file."""

import math
from collections.abc import Sequence
from html import escape
from pathlib import Path

import numpy as np
from PIL import Image

from amodal.annotations import AnnotationSet, Detection
from amodal.drawing import charts, web_page
from amodal.evaluation import gallery
from amodal.evaluation.analysis import Analysis
from amodal.evaluation.calibration import Calibration
from amodal.evaluation.occlusion import ALL, OCCLUSION_RATES, column
from amodal.evaluation.pairs import assign
from amodal.evaluation.report import Report, Scores, percent


def write(report: Report, truth: AnnotationSet, detections: Sequence[Detection], path: str | Path) -> None:
    """Writes the page.

    Args:
        report: What `score` gave, with an analysis for charts of more than AP.
        truth: The annotations; pictures of failures need its image folder.
        detections: What was scored.
        path: The file to write.
    """
    c = report.counts
    parts = [
        f"<p>{c.instances:,} instances ({c.occluded:,} hidden by 15 % or more) of "
        f"{c.categories} categories in {c.images:,} images; {c.detections:,} detections.</p>",
        "".join(f"<p class=note>{escape(key)}: {escape(str(value))}</p>" for key, value in report.about.items()),
        _standard(report),
        _by_occlusion(report),
        _curves(report),
    ]
    if report.analysis:
        parts += [_beyond(report.analysis), _confusion(report.analysis, truth), _failures(truth, detections)]
    web_page.write(path, "Amodal evaluation", parts)


def _named(report: Report) -> dict[str, Scores]:
    named = {"amodal masks": report.amodal, "visible masks": report.visible, "invisible masks": report.invisible}
    return {name: scores for name, scores in ({"boxes": report.box} | named).items() if scores}


def _standard(report: Report) -> str:
    rows = [[name, *map(percent, (s.ap, s.ap50, s.ap75, s.ar1, s.ar10, s.ar100))] for name, s in _named(report).items()]
    return "<h2>Average precision and recall</h2>" + web_page.table(
        ["percent", "AP", "AP50", "AP75", "AR1", "AR10", "AR100"], rows
    )


def _by_occlusion(report: Report) -> str:
    rows = [
        [
            f"{s.masks}, {s.mode}",
            "any" if s.column == ALL else s.column.removeprefix("occlusion rate "),
            f"{s.instances:,}",
        ]
        + [percent(value) for value in (s.ap, s.ap50, s.ar100)]
        for s in report.occlusion
    ]
    rates = dict(zip((ALL, *map(column, OCCLUSION_RATES)), (0.0, *OCCLUSION_RATES), strict=True))
    curves: dict[str, list[tuple[float, float]]] = {}
    for s in report.occlusion:
        if s.ap is not None:
            curves.setdefault(f"{s.masks}, {s.mode}", []).append((rates[s.column], s.ap))
    highest = max((ap for points in curves.values() for _, ap in points), default=1.0)
    top = max(0.1, math.ceil(10 * highest) / 10)
    chart = charts.lines(curves, x_label="least occlusion rate, %", y_label="AP, %", x_max=0.5, y_max=top)
    note = (
        "<p class=note>clean: instances are chosen by their true masks and every unmatched detection is a false "
        "positive. vrsp: as the authors of VRSP count it; an unmatched detection that claims to be less hidden does "
        "not count.</p>"
    )
    head = ["masks, mode", "occlusion rate", "instances", "AP", "AP50", "AR100"]
    return f"<h2>By occlusion rate</h2>{note}<div class=row>{web_page.table(head, rows)}<div>{chart}</div></div>"


def _curves(report: Report) -> str:
    figures: list[str] = []
    for name, scores in _named(report).items():
        curves = {
            f"IoU {iou}": [(place / 100, value) for place, value in enumerate(values)]
            for iou, values in scores.curves.items()
            if values
        }
        if curves:
            chart = charts.lines(curves, x_label="recall, %", y_label="precision, %")
            figures.append(f"<figure>{chart}<figcaption>{name}</figcaption></figure>")
    parts = [f"<h2>Precision and recall</h2><div class=row>{''.join(figures)}</div>"]
    if report.amodal:
        ranked = dict(sorted(report.amodal.by_category.items(), key=lambda item: -(item[1] or -1.0)))
        chart = charts.bars(
            list(ranked), list(ranked.values()), longest=1.0, number=percent, x_label="AP of amodal masks, %"
        )
        parts.append(f"<h2>Categories</h2>{chart}")
    return "".join(parts)


def _beyond(analysis: Analysis) -> str:
    s, d = analysis.shapes, analysis.depth
    rows = [
        ["mIoU of amodal masks", percent(s.mean_iou_full)],
        ["mIoU of invisible parts", percent(s.mean_iou_occluded)],
        ["boundary IoU of amodal masks", percent(s.mean_boundary_iou)],
        ["instances missed", f"{s.missed:,} of {s.instances:,}"],
        [f"depth order, {d.found:,} of {d.pairs:,} overlapping pairs found", percent(d.accuracy)],
        ["calibration error of scores", percent(analysis.calibration.error)],
    ]
    groups = [
        [name, f"{one.instances:,}", percent(one.ar10), percent(one.ar100), percent(one.ar1000)]
        for name, one in analysis.recall.items()
    ]
    scores = _reliability("scores", analysis.calibration, "score, %", "right at IoU 0.5, %")
    if analysis.invisible_calibration:
        c = analysis.invisible_calibration
        rows.append([f"calibration error of invisible pixels, {sum(c.counts):,} of them", percent(c.error)])
        invisible = _reliability("invisible pixels", c, "probability that the object is there, %", "it is there, %")
    else:
        invisible = (
            "<p class=note>Calibration of invisible pixels is measured of a checkpoint only: results files hold masks, "
            "not probabilities.</p>"
        )
    recall = web_page.table(["recall without categories", "instances", "AR10", "AR100", "AR1000"], groups)
    tables = f"<div class=row><div>{web_page.table(['', 'percent'], rows)}</div><div>{recall}</div></div>"
    return f"<h2>Beyond AP</h2>{tables}<h2>Calibration</h2><div class=row>{scores}{invisible}</div>"


def _reliability(name: str, calibration: Calibration, x_label: str, y_label: str) -> str:
    bins = zip(calibration.confidence, calibration.accuracy, calibration.counts, strict=True)
    points = [(confidence, accuracy) for confidence, accuracy, count in bins if count]
    return charts.lines({"perfect": [(0.0, 0.0), (1.0, 1.0)], name: points}, x_label=x_label, y_label=y_label)


def _confusion(analysis: Analysis, truth: AnnotationSet) -> str:
    names = [category.name for category in sorted(truth.categories, key=lambda category: category.id)]
    counts = np.array(analysis.confusion, dtype=np.int64).reshape(len(names) + 1, len(names) + 1)
    chart = charts.matrix([*names, "nothing"], [*names, "missed"], counts, "rows: true; columns: predicted")
    return f"<h2>Confusions</h2><div class=scroll>{chart}</div>"


def _failures(truth: AnnotationSet, detections: Sequence[Detection]) -> str:
    parts: list[str] = []
    for kind, failures in gallery.worst(truth, list(assign(truth, detections))).items():
        figures = "".join(
            web_page.figure(_pair(truth, failure), f"image {failure.image_id}: {failure.caption}")
            for failure in failures
        )
        parts.append(f"<h2>{gallery.KINDS[kind]}</h2><div class=pairs>{figures or '<p>None.</p>'}</div>")
    return (
        "<p class=note>Failures: truth on the left, prediction on the right; invisible parts are hatched.</p>"
        + "".join(parts)
    )


def _pair(truth: AnnotationSet, failure: gallery.Failure) -> Image.Image:
    """What is true beside what was predicted."""
    left, right = (gallery.picture(failure, truth, own) for own in (failure.truths, failure.detections))
    pair = Image.new("RGB", (left.width + 4 + right.width, left.height), "white")
    pair.paste(left, (0, 0))
    pair.paste(right, (left.width + 4, 0))
    return pair
