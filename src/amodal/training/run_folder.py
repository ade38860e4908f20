"""The folder of a run: its settings, what it needs to go on, and what it found.

config.json              the settings
prior.safetensors        the shape prior fitted for it (VRSP)
model.safetensors        the model as it stands: for `amodal predict`, `amodal evaluate`, `amodal.load`
training.pt              model, optimiser and step: for `--resume`
losses.jsonl             every step's losses
scores.jsonl             every validation's scores
metrics.json             losses, scores and times in the end
tensorboard/             the same as curves, and pictures of validation images
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict, TypeGuard

import torch
from torch import Tensor

from amodal import outputs, processes
from amodal.errors import UserError
from amodal.files import read_json, replacing, require_file, write_json
from amodal.settings import from_json, require_same, to_json
from amodal.training.config import TrainConfig

CONFIG, PRIOR, CHECKPOINT, STATE = "config.json", "prior.safetensors", "model.safetensors", "training.pt"
LOSSES, SCORES, METRICS, TENSORBOARD = "losses.jsonl", "scores.jsonl", "metrics.json", "tensorboard"

LAST = 20
"""Steps that the final losses are the mean of: one step's are noisy."""

MAY_CHANGE = ("workers", "validation", "checkpoint_every", "compile")
"""Settings that a resumed run may change: they do not touch the weights."""


class TrainingState(TypedDict):
    """What a run needs to go on exactly: random numbers follow from the seed and the step."""

    step: int
    seconds: float
    model: dict[str, Tensor]
    optimiser: dict[str, Any]


def enter(folder: Path, config: TrainConfig, *, resume: bool) -> None:
    """Checks that the folder is ready for a run of these settings. Nothing is written yet.

    Raises:
        UserError: It holds a run already, or files of the names that a run writes, and `resume` is false; or `resume`
            is true and it holds none, or one of other settings.
    """
    path = folder / CONFIG
    if resume:
        require_file(path, remedy="There is no run to resume: leave out --resume, or name the run's folder")
        require_same(path, settings(folder), to_json(config), MAY_CHANGE)
        outputs.own([folder])
    elif folder.exists() and not folder.is_dir():
        raise UserError("is a file, not a folder", file=folder, remedy="Choose another --out")
    elif path.exists():
        raise UserError("holds a run already", file=folder, remedy="Pass --resume to go on with it, or another --out")
    else:
        foreign = [
            name for name in (CHECKPOINT, STATE, LOSSES, SCORES, METRICS, TENSORBOARD) if (folder / name).exists()
        ]
        if foreign:
            raise UserError("is there already, and of no run", file=folder / foreign[0], remedy="Choose another --out")


def is_started_again(folder: Path) -> bool:
    """Whether torchrun (`--max-restarts`) or SLURM (`--requeue`) started this process once more, and a run is there.

    All processes see the same: a folder's run begins when all have looked.
    """
    restarts = [os.environ.get(name, "0") for name in ("TORCHELASTIC_RESTART_COUNT", "SLURM_RESTART_COUNT")]
    return restarts != ["0", "0"] and (folder / CONFIG).is_file()


def begin(folder: Path, config: TrainConfig) -> None:
    """Writes the settings: from here on the folder holds a run."""
    write_json(folder / CONFIG, to_json(config), indent=2)


def settings(folder: Path) -> dict[str, Any]:
    """A run's settings as they would be written today: what an earlier version did not know takes its default.

    Raises:
        UserError: There are none, or not of a run.
    """
    path = folder / CONFIG
    try:
        return to_json(from_json(TrainConfig, read_json(path)))
    except UserError as error:
        if error.file is not None:
            raise
        raise UserError(
            f"holds no settings of a run ({error.problem})",
            file=path,
            record=error.record,
            remedy="Choose another --out",
        ) from error


def save_state(folder: Path, state: TrainingState) -> None:
    """Writes what `load_state` reads, whole or not at all."""
    # Through Python's own file a full disk is told as such; by a path, torch says "file write failed".
    with replacing(folder / STATE) as temporary, temporary.open("wb") as file:
        torch.save(state, file)


def load_state(folder: Path) -> TrainingState | None:
    """Where the run stands; None if it never came to a checkpoint.

    Raises:
        UserError: The file is damaged or of another kind.
    """
    path = folder / STATE
    if not path.exists():
        return None
    remedy = "Remove the file to start from the first step"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged pickle may raise anything
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"cannot be read as a training state ({reason})", file=path, remedy=remedy) from error
    if not _is_state(state):
        raise UserError("is not the state of a training run", file=path, remedy=remedy)
    return state


def _is_state(state: Any) -> TypeGuard[TrainingState]:
    return (
        isinstance(state, dict)
        and state.keys() == TrainingState.__annotations__.keys()
        and type(state["step"]) is int
        and state["step"] >= 0
        and isinstance(state["seconds"], float)
        and isinstance(state["model"], dict)
        and isinstance(state["optimiser"], dict)
    )


def restore(state: TrainingState, model: torch.nn.Module, optimiser: torch.optim.Optimizer, folder: Path) -> None:
    """Puts the state into model and optimiser. Raises UserError where they are of another kind."""
    try:
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
    except Exception as error:  # neither looks at what it is given before it uses it
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(
            f"does not fit this model ({reason})",
            file=folder / STATE,
            remedy="Resume with the version and settings that wrote it, or choose another --out",
        ) from error


def note(folder: Path, name: str, numbers: Mapping[str, float | None]) -> None:
    """Adds a line to `losses.jsonl` or `scores.jsonl`."""
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write(json.dumps(numbers) + "\n")


def notes(folder: Path, name: str) -> list[dict[str, float]]:
    """The lines of such a file; one that was cut off by a crash, and all after it, are left out."""
    path, lines = folder / name, []
    for text in path.read_text(encoding="utf-8", errors="replace").splitlines() if path.exists() else []:
        try:
            line = json.loads(text)
        except (ValueError, RecursionError):
            break
        if not isinstance(line, dict) or type(line.get("step")) is not int:
            break
        lines.append(line)
    return lines


def forget_after(folder: Path, step: int) -> None:
    """Drops what was noted after `step`: a resumed run will come to those steps again."""
    for name in (LOSSES, SCORES):
        kept = [line for line in notes(folder, name) if line["step"] <= step]
        with replacing(folder / name) as temporary:
            temporary.write_text("".join(f"{json.dumps(line)}\n" for line in kept), encoding="utf-8")


def summarise(folder: Path, config: TrainConfig, seconds: float, device: str) -> dict[str, Any]:
    """Writes metrics.json: what a result is reported with. Gives its content."""
    losses, scores = notes(folder, LOSSES), notes(folder, SCORES)
    last = losses[-LAST:]
    metrics = {
        "recipe": config.recipe,
        "seed": config.seed,
        "steps": len(losses),
        "batch_size": config.batch_size,
        "seconds": round(seconds, 1),
        "seconds_per_step": round(seconds / max(len(losses), 1), 3),
        "device": device,
        "processes": processes.world_size(),
        "torch": torch.__version__,
        "final_losses": {
            name: sum(line[name] for line in last) / len(last) for name in last[-1] if name not in ("step", "rate")
        },
        "validation": scores,
    }
    write_json(folder / METRICS, metrics, indent=2)
    return metrics
