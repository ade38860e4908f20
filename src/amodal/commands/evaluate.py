"""`amodal evaluate`: a model, or anybody's detections, scored on a data set."""

import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from amodal.arguments import COUNT, FROM_ZERO
from amodal.commands.declared import READS, STANDARD_OUTPUT, WRITES, WRITES_OR_SHOWS, WRITES_PAGE
from amodal.commands.json_output import json_to

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from amodal.annotations import AnnotationSet
    from amodal.evaluation.metrics.calibration import Bins
    from amodal.evaluation.report import Report
    from amodal.results.detections import Detections


@dataclass(frozen=True)
class Scored:
    """What is scored."""

    predictions: Annotated[Path | None, READS] = None
    """COCO results to score in place of a model."""
    segmentation: Literal["amodal", "visible"] = "amodal"
    """Which mask the results' `segmentation` is."""
    images: Annotated[str | None, READS] = None
    """The image folder, or archives (.tar) that hold the images, if it is not found near the annotations."""
    keep_stuff: bool = False
    """Score regions marked as stuff too."""


@dataclass(frozen=True)
class Running:
    """How a model is run."""

    masks: Literal["refined", "coarse"] = "refined"
    """The model's final masks, or those before its shape prior."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    batch_size: Annotated[int, COUNT] = 4
    """Images at a time."""
    workers: Annotated[int, FROM_ZERO] = 2
    """Processes that read images."""
    ray: str | None = None
    """Run the model on a Ray cluster, to the same report: local (this machine), auto (the one it belongs to) or
    HOST:PORT. What is done is kept in a folder beside --out (OUT.shards) until all is."""


@dataclass(frozen=True)
class Written:
    """What is written."""

    out: Annotated[Path | None, WRITES_OR_SHOWS, tyro.conf.arg(aliases=("--json",))] = None
    """The report as JSON: fractions, not percent. `-` writes it to standard output, and nothing else there."""
    html: Annotated[Path | None, WRITES_PAGE] = None
    """The report as one web page: tables, charts and the worst failures."""
    detections: Annotated[Path | None, WRITES] = None
    """The model's detections as COCO results."""
    overwrite: bool = False
    """Replace files that are there."""


def evaluate(
    sources: Annotated[tuple[str, ...], tyro.conf.Positional, READS],
    scored: Annotated[Scored, tyro.conf.arg(name="")] = Scored(),
    running: Annotated[Running, tyro.conf.arg(name="")] = Running(),
    written: Annotated[Written, tyro.conf.arg(name="")] = Written(),
) -> None:
    """Scores a model, or the detections of any system, on annotated images.

    `amodal evaluate MODEL DATA` runs the model first. `amodal evaluate --predictions results.json DATA` scores
    COCO results: `segmentation` is the amodal mask, `visible_mask` the visible one, one object a detection. Boxes,
    amodal, visible and invisible masks are scored, and AP by occlusion rate in two modes: "vrsp" as the evaluator of
    the paper counts it, and "clean" by the true masks alone. For several GPUs: torchrun -m amodal.cli evaluate ...

    Args:
        sources: MODEL and DATA, or only DATA with --predictions. MODEL is a checkpoint, an exported .onnx model,
            hf://USER/MODEL, or the name of a model in the package; DATA is annotations of any known format, or
            WebDataset's shards by path or address.
        scored: What is scored.
        running: How a model is run.
        written: What is written.
    """
    from amodal.errors import UserError

    if len(sources) != (1 if scored.predictions else 2):
        wanted = "DATA alone" if scored.predictions else "MODEL and DATA (or --predictions RESULTS and DATA)"
        raise UserError(f"{len(sources)} paths given", remedy=f"Give {wanted}")
    with json_to(written.out) as write_json:
        _evaluate(sources, scored, running, written, write_json)


def _evaluate(
    sources: tuple[str, ...], scored: Scored, running: Running, written: Written, write_json: "Callable[[Any], None]"
) -> None:
    from amodal.formats import annotation_files, problems
    from amodal.inference.scoring import report_of, without_stuff
    from amodal.results import result_files

    truth = annotation_files.read(sources[-1], scored.images)
    for line in problems.said(truth.repairs, sources[-1]):
        print(line, file=sys.stderr)
    truth = without_stuff(truth, keep=scored.keep_stuff)
    masks = f"{scored.segmentation} masks of the file" if scored.predictions else running.masks
    about = {"data": str(sources[-1]), "scored": str(scored.predictions or sources[0]), "masks": masks}
    if scored.predictions:
        detections = result_files.read(scored.predictions, truth, segmentation=scored.segmentation)
        _warn_of_scores(detections, scored.predictions)
        report = report_of(truth, detections, None, about)
    elif running.ray is not None:
        with _scored_in_shards(sources[0], truth, scored, running, written) as (report, in_shards):
            _write(replace(report, about=about), truth, in_shards, written, write_json)
        return
    else:
        found = _predicted(sources[0], truth, scored, running)
        if found is None:  # not the lead of several processes
            return
        detections, invisible = found
        report = report_of(truth, detections, invisible, about)
    _write(report, truth, lambda: detections, written, write_json)


def _write(
    report: "Report",
    truth: "AnnotationSet",
    detections: "Callable[[], Detections]",
    written: Written,
    write_json: "Callable[[Any], None]",
) -> None:
    """Writes all that is asked for; `detections` is called if it is more than the numbers."""
    from rich.console import Console

    Console().print(report.table())
    write_json(report.to_json())
    if not (written.html or written.detections):
        return
    found = detections()
    if written.html:
        from amodal.evaluation.report_page import html

        html.write(report, truth, found, written.html)
    if written.detections:
        from amodal.results import result_files

        result_files.write(found, written.detections)


def _warn_of_scores(detections: "Detections", file: Path) -> None:
    """Says which scores are no probabilities: AP asks only for their order, but a mistake shows in them first."""
    outside = [place for place, score in enumerate(detections.scores.tolist()) if not 0 <= score <= 1]
    if outside:
        first = f"the first {detections.scores[outside[0]]:g} (detection {outside[0]})"
        counted = f"{len(outside):,} of {len(detections.scores):,} scores lie outside 0 to 1, {first}"
        print(f"amodal: warning: {file}: {counted}; they are taken as an order", file=sys.stderr)


def _predicted(
    model: str, truth: "AnnotationSet", scored: Scored, running: Running
) -> "tuple[Detections, Bins | None] | None":
    """A model's detections, and its invisible pixels; None for all processes but the lead."""
    from amodal import processes
    from amodal.evaluation.evaluator import LoaderSettings
    from amodal.inference.predictor import load_detector
    from amodal.inference.scoring import Asked, detections_of

    asked = Asked(running.masks, scored.keep_stuff, LoaderSettings(running.batch_size, running.workers))
    with processes.joined(running.device) as device:
        found = detections_of(load_detector(model, str(device)), truth, asked, name=model)
        return found if processes.is_lead() else None


@contextmanager
def _scored_in_shards(
    model: str, truth: "AnnotationSet", scored: Scored, running: Running, written: Written
) -> "Iterator[tuple[Report, Callable[[], Detections]]]":
    """The report of a model that runs on a cluster, and what reads its detections; the shards are let go at the end."""
    from amodal.evaluation.evaluator import LoaderSettings
    from amodal.inference.scoring import Asked, Whole, report_of_parts
    from amodal.scale.scoring import Scoring, detect, detections_in
    from amodal.scale.shards import ShardFolder
    from amodal.scale.work import Cluster

    shards = ShardFolder(Path(f"{'evaluation' if written.out in (None, STANDARD_OUTPUT) else written.out}.shards"))
    task = Scoring(model, Asked(running.masks, scored.keep_stuff, LoaderSettings(running.batch_size)))
    cluster = Cluster(running.ray or "local", None if running.device == "auto" else running.device)
    whole = Whole.of(truth)
    parts = detect(task, truth, whole, shards, cluster=cluster)
    yield report_of_parts(truth, parts, whole), lambda: detections_in(shards)
    shards.remove()
