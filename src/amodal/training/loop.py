"""READ SECOND. The training loop: forward, backward, step, note, save, validate. Plain PyTorch, one or many processes.

    amodal train demo --out runs/demo
    torchrun --nproc-per-node 8 -m amodal.cli train d2sa_vrsp --out runs/d2sa_vrsp --batch-size 16

Everything random follows from the seed, the step and the process, so a run that is resumed gives the same weights as
one that was never interrupted.
"""

import math
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from amodal import processes
from amodal.annotations import Category
from amodal.data.loading import Batch, BatchPlan, StepBatches, batches
from amodal.data.sources import num_samples, open_source
from amodal.data.workers import deaths_named
from amodal.errors import Stopped, UserError
from amodal.files import naming_failures
from amodal.folder_lock import locked
from amodal.instances import Target, move
from amodal.models import checkpoint, zoo
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.settings import to_json
from amodal.stopping import Listener, listening
from amodal.training import run_folder
from amodal.training.config import TrainConfig
from amodal.training.journal import Journal
from amodal.training.prior import prepare_prior
from amodal.training.schedule import build_optimiser, rate_at, set_rate
from amodal.training.start import start_from
from amodal.training.validation import Validation


@dataclass
class Run:
    """A run in progress. `step` counts the steps done, `seconds` the time they took, validation apart."""

    config: TrainConfig
    folder: Path
    device: torch.device
    items: StepBatches
    categories: list[Category]
    validation: Validation | None
    model: AmodalRCNN
    optimiser: torch.optim.Optimizer
    step: int = 0
    seconds: float = 0.0


def train(config: TrainConfig, folder: Path, *, resume: bool = False, device_name: str = "auto") -> dict[str, Any]:
    """Trains a model in `folder`, whose files `amodal.training.run_folder` describes.

    Args:
        config: The run.
        folder: A new folder, or with `resume` one that holds a run of the same settings.
        resume: Go on from the last checkpoint. What torchrun or SLURM starts again does so anyway.
        device_name: `auto`, `cpu`, `cuda` or `cuda:1`.

    Returns:
        What metrics.json holds.

    Raises:
        UserError: Data is missing or damaged, the folder does not fit or another run is writing there, the losses are
            no longer finite, the disk is full, or another process was lost.
        Stopped: A signal came. The step in progress was finished and saved.
    """
    lead, resume = True, resume or run_folder.is_started_again(folder)
    try:
        with (
            listening() as listener,
            naming_failures(folder),
            deaths_named(),
            processes.joined(device_name) as device,
            processes.keeping_memory(device),
        ):
            lead = processes.is_lead()
            with locked(folder) if lead else nullcontext():
                run = open_run(config, folder, device, resume=resume)
                with Journal(folder, run.step, config.schedule.iterations) if lead else nullcontext() as journal:
                    optimise(run, journal, listener)
                return run_folder.summarise(folder, config, run.seconds, str(device)) if lead else {}
    except Stopped as stopped:
        stopped.resumable = (folder / run_folder.CONFIG).exists()
        raise stopped if lead else SystemExit(stopped.code) from None


def optimise(run: Run, journal: Journal | None, listener: Listener) -> None:
    """The loop. Losses that are noted are the lead process's own; gradients are the mean over processes."""
    if missed_validation(run):
        validate(run, journal)
    # Buffers (frozen statistics, the shape prior) are the same in all processes: nothing to send round.
    parallel = DistributedDataParallel(run.model, broadcast_buffers=False) if processes.world_size() > 1 else run.model
    if run.config.compile:
        run.model.backbone.compile()
    began, seconds_before = perf_counter(), run.seconds
    with listener.being(busy=True):
        for batch in stream(run):
            numbers, rate = advance(run, parallel, batch)
            if journal:
                journal.step(run.step, numbers, rate)
            run.seconds = seconds_before + perf_counter() - began
            due = run.validation is not None and run.validation.is_due(run.step)
            called = processes.highest(listener.signal)  # all processes stop after the same step
            stop = run.config.schedule.iterations
            if called or due or run.step % run.config.checkpoint_every == 0 or run.step == stop:
                save(run)  # first, so that nothing that validation meets can cost the steps before it
            if called:
                processes.wait()  # the first to leave has torchrun end the others
                raise Stopped(called, f"step {run.step} of {stop} is saved")
            if due:
                with listener.being(busy=False):
                    validate(run, journal)
                began = perf_counter() - (run.seconds - seconds_before)


def advance(run: Run, parallel: nn.Module, batch: Batch) -> tuple[dict[str, float], float]:
    """One step. Gives its losses and the learning rate."""
    config = run.config
    run.model.train()
    torch.manual_seed(config.seed + run.step * processes.world_size() + processes.rank())
    images, targets = on_device(batch, run.device)
    mixed = config.mixed_precision and run.device.type == "cuda"
    with torch.autocast(run.device.type, torch.bfloat16, enabled=mixed):
        losses: dict[str, Tensor] = parallel(images, targets)
    terms = torch.stack([loss.float() for loss in losses.values()])
    numbers = finite(dict(zip(losses, terms.tolist(), strict=True)), run)

    rate = rate_at(run.step, config.optimiser.lr, config.schedule)
    set_rate(run.optimiser, rate)
    run.optimiser.zero_grad(set_to_none=True)
    terms.sum().backward()
    if config.optimiser.clip_norm is not None:
        nn.utils.clip_grad_norm_(run.model.parameters(), config.optimiser.clip_norm)
    run.optimiser.step()
    run.step += 1
    return numbers, rate


def validate(run: Run, journal: Journal | None) -> None:
    """Scores the model as it stands, if the run validates at all."""
    if run.validation:
        run.validation.run(run.model, run.step, journal)


def missed_validation(run: Run) -> bool:
    """Whether a run that is resumed was saved, and then stopped before its scores were noted."""
    if not run.step or run.validation is None or not run.validation.is_due(run.step):
        return False
    noted = any(line["step"] == run.step for line in run_folder.notes(run.folder, run_folder.SCORES))
    return not processes.gather(noted)[0]  # the lead process's folder counts


def open_run(config: TrainConfig, folder: Path, device: torch.device, *, resume: bool) -> Run:
    """The run before its first step, or as its last checkpoint left it."""
    if processes.is_lead():
        run_folder.enter(folder, config, resume=resume)
    processes.wait()
    samples = open_source(config.data.train)
    plan = BatchPlan(
        config.batch_size,
        config.seed,
        num_samples(config.data.train, samples),
        processes.rank(),
        processes.world_size(),
    )
    validation = Validation.open(config, samples.categories, device)
    if processes.is_lead():
        run_folder.begin(folder, config)
    prior = prepare_prior(config, samples, folder)
    torch.manual_seed(config.seed)
    model = zoo.build(config.model, len(samples.categories), prior)
    if config.start_from is not None and not resume:
        start_from(config.start_from, model, samples.categories)
    model.to(device)
    optimiser = build_optimiser(model, config.optimiser)
    items = StepBatches(samples, plan, config.data.augment)
    run = Run(config, folder, device, items, samples.categories, validation, model, optimiser)
    state = run_folder.load_state(folder) if resume else None
    if state is not None:
        run_folder.restore(state, model, optimiser, folder)
        run.step, run.seconds = state["step"], state["seconds"]
    return run


def stream(run: Run) -> Iterator[Batch]:
    """The batches of the steps that are left."""
    steps = range(run.step, run.config.schedule.iterations)
    return batches(run.items, steps, workers=run.config.workers, pin_memory=run.device.type == "cuda")


def on_device(batch: Batch, device: torch.device) -> tuple[list[Tensor], list[Target]]:
    """Images as models take them, float (3, H, W) in [0, 1], and their targets."""
    images = [sample["image"].to(device, non_blocking=True).float() / 255 for sample in batch]
    return images, [move(sample["target"], device) for sample in batch]


def finite(losses: dict[str, float], run: Run) -> dict[str, float]:
    """The losses as they are. Raises UserError, before any weight has changed, if one is infinite or not a number."""
    broken = [name for name, loss in losses.items() if not math.isfinite(loss)]
    if broken:
        raise UserError(
            f"step {run.step + 1}: {', '.join(broken)} no longer finite",
            file=run.folder,
            remedy="The last checkpoint is untouched. Lower --lr, or lengthen the warm-up in the recipe",
        )
    return losses


def save(run: Run) -> None:
    """Writes the model for users, and the state for `--resume`; each whole or not at all."""
    if processes.is_lead():
        details = {"training": to_json(run.config), "step": run.step}
        path = run.folder / run_folder.CHECKPOINT
        checkpoint.save(path, checkpoint.Checkpoint(run.model, run.config.model, run.categories, details))
        weights, moments = run.model.state_dict(), run.optimiser.state_dict()
        run_folder.save_state(
            run.folder, {"step": run.step, "seconds": run.seconds, "model": weights, "optimiser": moments}
        )
