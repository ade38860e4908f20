"""The completer's training loop: plain PyTorch, one process, resumable to the bit."""

from pathlib import Path
from time import perf_counter

import torch
from torch import nn
from torch.optim.lr_scheduler import LRScheduler, OneCycleLR
from tqdm import tqdm

from amodal import outputs, processes
from amodal.completion import checkpoint
from amodal.completion.config import CompleterTraining
from amodal.completion.losses import losses
from amodal.completion.network import CompletionNetwork, build
from amodal.completion.samples import CropBatches
from amodal.data.loading import batches
from amodal.data.workers import deaths_named
from amodal.errors import Stopped, UserError
from amodal.files import naming_failures, read_json, replacing, write_json
from amodal.folder_lock import locked
from amodal.models.weight_groups import weight_groups
from amodal.settings import from_json, require_same, to_json
from amodal.stopping import Listener, listening

CONFIG, STATE, MODEL = "config.json", "state.pt", "completer.safetensors"
MAY_CHANGE = ("workers", "save_every")
"""Settings that a resumed run may change: they do not touch the weights."""


def train_completer(
    config: CompleterTraining,
    folder: Path,
    *,
    resume: bool = False,
    stop_after: int | None = None,
    device_name: str = "auto",
) -> Path:
    """Trains a completer in `folder`, and gives the path of its model file.

    Args:
        config: The run.
        folder: A new folder; with `resume`, one that holds this run's last checkpoint.
        resume: Go on from there.
        stop_after: Leave off after so many steps of the run, to go on later.
        device_name: `auto`, `cpu`, `cuda` or `cuda:1`. A run may go on with another.

    Raises:
        UserError: Data is missing or damaged, the folder does not fit or another run is writing there, the device is
            not there, or the disk is full.
        Stopped: A signal came. The step in progress was finished and saved.
    """
    try:
        with listening() as listener, naming_failures(folder), deaths_named(), locked(folder):
            device = processes.choose_device(device_name)
            return _train(config, folder, listener, device, resume=resume, stop_after=stop_after)
    except Stopped as stopped:
        stopped.resumable = (folder / STATE).exists()
        raise


def _train(
    config: CompleterTraining,
    folder: Path,
    listener: Listener,
    device: torch.device,
    *,
    resume: bool,
    stop_after: int | None,
) -> Path:
    enter(folder, config, resume=resume)
    items = CropBatches(config)
    torch.manual_seed(config.seed)
    model = build(config.model, config.weights).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    if config.start_from is not None:
        checkpoint.take(config.start_from, model)
    model.to(device)
    groups = weight_groups(model, config.weight_decay, config.body_share)
    optimiser = torch.optim.AdamW(groups, lr=config.lr)
    schedule = OneCycleLR(optimiser, [config.lr * group["share"] for group in groups], config.steps, pct_start=0.1)
    step, seconds = 0, 0.0
    if resume:
        step, seconds = restore(folder / STATE, model, optimiser, schedule)
    began, running = perf_counter() - seconds, {}
    steps = range(step, min(config.steps, stop_after or config.steps))
    bar = tqdm(batches(items, steps, workers=config.workers), initial=step, total=config.steps, unit="step")
    with listener.being(busy=True), processes.keeping_memory(device):
        for batch in bar:
            model.train()
            torch.manual_seed(config.seed + step)
            inputs = batch.inputs.to(device, memory_format=torch.channels_last)
            terms = losses(model(inputs), inputs[:, 3], batch.amodal.to(device))
            optimiser.zero_grad(set_to_none=True)
            stacked = torch.stack(list(terms.values()))
            stacked.sum().backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0)
            optimiser.step()
            schedule.step()
            step += 1
            for name, loss in zip(terms, stacked.tolist(), strict=True):
                running[name] = 0.98 * running.get(name, loss) + 0.02 * loss
            shown = {name.removeprefix("loss_"): f"{loss:.3f}" for name, loss in running.items()}
            bar.set_postfix(shown, refresh=False)
            called = listener.signal
            if called or step % config.save_every == 0 or step == steps.stop:
                _save(folder, model, optimiser, schedule, step, perf_counter() - began)
            if called:
                raise Stopped(called, f"step {step} of {config.steps} is saved")
    return folder / MODEL


def enter(folder: Path, config: CompleterTraining, *, resume: bool) -> None:
    """Makes the folder ready for a run of these settings. Raises UserError where it does not fit."""
    if (folder / STATE).exists() != resume:
        problem = "holds no run to go on with" if resume else "holds a run already"
        raise UserError(problem, file=folder, remedy="Choose another --out, or change --resume")
    if resume:
        before = to_json(from_json(CompleterTraining, read_json(folder / CONFIG)))
        require_same(folder / CONFIG, before, to_json(config), MAY_CHANGE)
        outputs.own([folder])
    else:
        folder.mkdir(parents=True, exist_ok=True)
        write_json(folder / CONFIG, to_json(config), indent=2)


def restore(path: Path, model: nn.Module, optimiser: torch.optim.Optimizer, schedule: OneCycleLR) -> tuple[int, float]:
    """Puts a state in a file into a run; gives its step and seconds. Raises UserError for none."""
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimiser.load_state_dict(state["optimiser"])
        schedule.load_state_dict(state["schedule"])
        return int(state["step"]), float(state["seconds"])
    except Exception as error:  # a damaged pickle may raise anything
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        problem = f"cannot be read as a training state ({reason})"
        raise UserError(problem, file=path, remedy="Start again with another --out") from error


def _save(
    folder: Path,
    model: CompletionNetwork,
    optimiser: torch.optim.Optimizer,
    schedule: LRScheduler,
    step: int,
    seconds: float,
) -> None:
    """The model for users and the state for resuming, each whole or not at all."""
    checkpoint.save(folder / MODEL, model, {"step": step, "seconds": round(seconds)})
    state = {"model": model.state_dict(), "optimiser": optimiser.state_dict(), "schedule": schedule.state_dict()}
    # Through Python's own file a full disk is told as such; by a path, torch says "file write failed".
    with replacing(folder / STATE) as temporary, temporary.open("wb") as file:
        torch.save({**state, "step": step, "seconds": seconds}, file)
