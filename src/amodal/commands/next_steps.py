"""What `amodal train` says in the end: where things are, and which command comes next."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from amodal.training.config import TrainConfig


def after_training(folder: Path, config: "TrainConfig") -> list[str]:
    """Lines for the terminal; the commands in them can be run as they are, but for DATA and PICTURES."""
    model, data = str(folder / "model.safetensors"), _validation_data(config)
    report = ["amodal", "evaluate", model, *data, "--html", str(folder / "report.html")]
    drawn = ["amodal", "predict", model, "PICTURES", "--out", str(folder / "predictions")]
    return [
        f"model: {model}",
        f"numbers: {folder / 'metrics.json'}",
        f"curves: {shlex.join(['tensorboard', '--logdir', str(folder / 'tensorboard')])}",
        f"next, a report: {shlex.join(report)}",
        f"next, pictures: {shlex.join(drawn)}",
    ]


def after_completer(model: Path) -> list[str]:
    """Lines for the terminal, after the completer's training."""
    line = ["amodal", "complete", "ANNOTATIONS", str(model), "--out", "whole.json"]
    return [f"model: {model}", f"next, whole masks: {shlex.join(line)}"]


def _validation_data(config: "TrainConfig") -> list[str]:
    """The run's own validation file, as `amodal evaluate` takes it; scenes that were never written have none."""
    from amodal.data.config import FileSource

    source = config.data.val
    if not isinstance(source, FileSource):
        return ["DATA"]
    return [source.annotations[0], *(["--images", source.images] if source.images else [])]
