"""What the report's page opens with, on one screen: the scores, AP by occlusion, and what is lost where."""

from html import escape

from amodal.drawing import charts, web_page
from amodal.evaluation.comparable import masks_of, standings
from amodal.evaluation.metrics.occlusion import ALL
from amodal.evaluation.metrics.oracles import MEANING, Losses
from amodal.evaluation.report import Report, Scores, percent


def answer(report: Report) -> str:
    """The first part of the page, as HTML."""
    c = report.counts
    said = [f"{name}: {value}" for name, value in report.about.items() if name != "masks"]
    about = " &middot; ".join(map(escape, [*said, masks_of(report.about)]))
    head = (
        f"<p>{c.instances:,} instances ({c.occluded:,} hidden by 15 % or more) of {c.categories} categories in "
        f"{c.images:,} images; {c.detections:,} detections.<br><span class=note>{about}</span></p>"
    )
    lost = _lost(report.analysis.losses) if report.analysis and report.analysis.losses else ""
    return f"{head}<div class=halves><div>{_standard(report)}{_by_occlusion(report)}</div><div>{lost}</div></div>"


def named_scores(report: Report) -> dict[str, Scores]:
    """Those that there are, by the names that the page gives them."""
    named = {
        "boxes": report.box,
        "amodal masks": report.amodal,
        "visible masks": report.visible,
        "invisible masks": report.invisible,
    }
    return {name: scores for name, scores in named.items() if scores}


def _standard(report: Report) -> str:
    beside = standings(report.about)
    rows = [
        [name, *map(percent, (s.ap, s.ap50, s.ap75, s.ar1, s.ar10, s.ar100)), beside[name].in_short]
        for name, s in named_scores(report).items()
    ]
    head = ["percent", "AP", "AP50", "AP75", "AR1", "AR10", "AR100", "beside published"]
    note = (
        "COCO's evaluator, at most 100 detections of a category in an image. The last column says which published "
        "numbers of the same data these may be compared with, here as below."
    )
    return f"<h2>Average precision and recall</h2>{_scrolled(web_page.table(head, rows))}<p class=note>{note}</p>"


def _by_occlusion(report: Report) -> str:
    columns = list(dict.fromkeys(one.column for one in report.occlusion))
    if not columns:
        return ""
    rows: dict[str, list[str]] = {}
    for one in report.occlusion:
        name = f"{one.masks}, {one.mode}"
        rows.setdefault(name, [name]).append(percent(one.ap))
    counts = {one.column: one.instances for one in report.occlusion if one.mode == "clean"}
    labels = ["any" if column == ALL else column.removeprefix("occlusion rate ") for column in columns]
    instances = ["instances", *(f"{counts.get(column, 0):,}" for column in columns), ""]
    beside = standings(report.about)
    scored = [[*row, beside[name].in_short] for name, row in rows.items()]
    table = web_page.table(["AP, percent", *labels, "beside published"], [instances, *scored])
    note = (
        "<b>clean</b>: instances are chosen by their true masks, and every unmatched detection is a false positive. "
        "<b>vrsp</b>: as VRSP's authors count it; an unmatched detection that claims to be less hidden does not count."
    )
    return f"<h2>By occlusion rate</h2>{_scrolled(table)}<p class=note>{note}</p>"


def _lost(losses: Losses) -> str:
    """The kinds of errors, the dearest first."""
    order = sorted(losses.gains.items(), key=lambda item: -(item[1] if item[1] is not None else -1.0))
    chart = charts.bars(
        [kind for kind, _ in order],
        [gain for _, gain in order],
        number=lambda gain: f"{100 * gain:.1f}",
        x_label="points that AP of amodal masks would gain",
    )
    meanings = [
        [kind, percent(gain), f"{losses.counts.get(kind, 0):,}", meaning]
        for kind, gain in order
        if (meaning := next((text for name, text in MEANING.items() if name == kind), ""))
    ]
    note = (
        f"Each kind of error mended alone, from AP {percent(losses.ap)}: they do not add up. Kinds as in TIDE, told at "
        "IoU 0.5; TIDE's own numbers are of AP50, so these stand beside no published ones."
    )
    table = web_page.table((), [["", "points", "times", ""], *meanings])
    return f"<h2>What is lost where</h2>{_scrolled(chart)}{table}<p class=note>{note}</p>"


def _scrolled(content: str) -> str:
    return f"<div class=scroll>{content}</div>"
