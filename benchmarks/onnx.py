"""Size, speed and answers of the packaged model: PyTorch, ONNX, and ONNX with weights of 8 bits, on drawn scenes.

    python -m benchmarks.onnx                                          # about 5 minutes on 2 CPU cores
    python -m benchmarks.onnx --scenes 2 --repetitions 1 --out FILE    # do all paths run?

Times are of whole predictions, image by image, in turn with PyTorch's, so that a busy machine slows both. Writes
`results/onnx.json`, and the table in docs/how-to/export.md from it.
"""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

import amodal
from amodal.data.dataset import SampleSet
from amodal.data.sources import open_source
from amodal.evaluation.evaluator import evaluate
from amodal.export.detector import export_onnx
from amodal.export.int8 import to_int8
from amodal.files import write_json
from amodal.inference.eager import TorchModel
from amodal.inference.model import Model
from amodal.inference.model_files import model_file
from amodal.inference.onnx import load
from amodal.inference.predictor import Predictor
from amodal.models import checkpoint
from amodal.paper.about import about
from amodal.results.result import Result
from amodal.training import recipes
from benchmarks.speed.harness import centre, compare

RESULT = Path(__file__).parent / "results" / "onnx.json"
PAGE = Path(__file__).parents[1] / "docs" / "how-to" / "export.md"
MARK = "<!-- measured by python -m benchmarks.onnx -->"
"""Stands before and after the table."""
EXPORTS = {"ONNX": "model.onnx", "ONNX, 8 bits": "int8.onnx"}
THREADS = (1, 2)
SAME_IOU = 0.9
"""Two detections of one class whose amodal masks overlap so much are the same."""


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    model: str = "demo"
    """The checkpoint, or the name of a model in the package."""
    scenes: int = 40
    """Drawn scenes for AP and agreement, of objects that training never saw."""
    timed: int = 6
    """How many of them are timed."""
    repetitions: int = 7
    """Of each timing."""
    score: float = 0.5
    """Least score while timing and comparing detections; `predict`'s default."""
    out: Path = RESULT
    """The result."""


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    eager = amodal.load(settings.model, "cpu").model
    assert isinstance(eager, TorchModel)
    source = recipes.demo(Path()).data.val
    assert source is not None
    samples = open_source(replace(source, count=settings.scenes))
    pictures = [np.ascontiguousarray(samples[i]["image"].permute(1, 2, 0).numpy()) for i in range(len(samples))]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_files(settings.model, folder)
        expected = Predictor(eager).predict(pictures, score_threshold=settings.score)
        systems = [{"name": "PyTorch", **size(folder / "model.safetensors"), "amodal_ap": ap(eager, samples)}]
        for system, file in EXPORTS.items():
            exported = load(folder / file, "cpu", threads=1)
            found = Predictor(exported).predict(pictures, score_threshold=settings.score)
            speeds = {f"threads_{n}": times_faster(eager, folder / file, n, pictures, settings) for n in THREADS}
            numbers = {"amodal_ap": ap(exported, samples), "same_detections": agreement(expected, found)}
            systems.append({"name": system, **size(folder / file), **numbers, **speeds})
    origin = about("python -m benchmarks.onnx", model=settings.model, scenes=settings.scenes, score=settings.score)
    report = {"about": origin, "systems": systems}
    write_json(settings.out, report, indent=1)
    if settings.out == RESULT:
        before, _, after = PAGE.read_text(encoding="utf-8").split(MARK)
        PAGE.write_text(f"{before}{MARK}\n\n{section(report)}\n\n{MARK}{after}", encoding="utf-8")
    print(section(report))


def write_files(name: str, folder: Path) -> None:
    """The same weights in three files; the checkpoint in 32 bits, as training leaves it."""
    loaded = checkpoint.load(model_file(name))
    checkpoint.save(folder / "model.safetensors", loaded)
    export_onnx(loaded.model, loaded.categories, folder / EXPORTS["ONNX"])
    to_int8(folder / EXPORTS["ONNX"], folder / EXPORTS["ONNX, 8 bits"])


def size(path: Path) -> dict[str, float]:
    return {"megabytes": round(path.stat().st_size / 1e6, 1)}


def times_faster(
    eager: TorchModel, path: Path, threads: int, pictures: Sequence[np.ndarray], settings: Settings
) -> dict[str, Any]:
    """PyTorch's seconds over the export's: median and interquartile range of the repetitions."""
    torch.set_num_threads(threads)
    run = partial(predict_all, pictures=pictures[: settings.timed], score=settings.score)
    timing = compare(
        partial(run, load(path, "cpu", threads=threads)), partial(run, eager), repetitions=settings.repetitions
    )
    torch.set_num_threads(1)
    ratio, spread = centre([theirs / own for own, theirs in zip(timing.ours, timing.rivals, strict=True)])
    seconds, rival = (centre(times)[0] / settings.timed for times in (timing.ours, timing.rivals))
    return {"times_faster": ratio, "spread": spread, "seconds": seconds, "pytorch_seconds": rival}


def predict_all(model: Model, pictures: Sequence[np.ndarray], score: float) -> None:
    predictor = Predictor(model)
    for picture in pictures:
        predictor.predict(picture, score_threshold=score)


def ap(model: Model, samples: SampleSet) -> float | None:
    """Amodal AP in percent."""
    report, _ = evaluate(Predictor(model).detect, samples)
    assert report.amodal is not None
    return None if report.amodal.ap is None else round(100 * report.amodal.ap, 2)


def agreement(expected: Sequence[Result], found: Sequence[Result]) -> float | None:
    """Share of all detections of both that have a partner in the other, in percent."""
    paired = sum(pairs(*both) for both in zip(expected, found, strict=True))
    count = sum(len(result) for result in (*expected, *found))
    return round(100 * 2 * paired / count, 1) if count else None


def pairs(first: Result, second: Result) -> int:
    """Detections of one class and nearly one mask, best first, each counted once."""
    free = list(range(len(second)))
    count = 0
    for label, mask in zip(first.labels, first.masks, strict=True):
        for index in free:
            other = second.masks[index]
            if second.labels[index] == label and (mask & other).sum() >= SAME_IOU * max(1, (mask | other).sum()):
                free.remove(index)
                count += 1
                break
    return count


def section(report: dict[str, Any]) -> str:
    """What docs/how-to/export.md says of the measurement."""
    origin = report["about"]
    text = (
        f"The packaged model on {origin['scenes']} drawn scenes ({origin['machine']}; `{origin['command']}`,\n"
        f"`benchmarks/results/onnx.json`). Times are of `predict` with a score of {origin['score']} or more, beside "
        "PyTorch's in\nthe same run: median, and half the distance of the quartiles. Detections are the same if class "
        f"and mask agree (IoU of at\nleast {SAME_IOU})."
    )
    return f"{text}\n\n{table(report['systems'])}"


def table(systems: Sequence[dict[str, Any]]) -> str:
    """A row for each system."""

    def speed(system: dict[str, Any], threads: int) -> str:
        if "same_detections" not in system:
            return "1"
        timed = system[f"threads_{threads}"]
        return f"{timed['times_faster']:.2f} ± {timed['spread'] / 2:.2f}"

    head = ["", "file", "times as fast, 1 thread", "2 threads", "detections as PyTorch's", "amodal AP"]
    rows = [
        [
            system["name"],
            f"{system['megabytes']:.1f} MB",
            *(speed(system, threads) for threads in THREADS),
            f"{system['same_detections']:.1f} %" if "same_detections" in system else "",
            f"{system['amodal_ap']:.1f}",
        ]
        for system in systems
    ]
    return "\n".join("| " + " | ".join(row) + " |" for row in (head, ["---"] * len(head), *rows))


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
