"""The runs behind the tables: trained or found finished, and evaluated once each. Several at once where there is room.

A run lies in RUNS/<model>-seed<k>: a folder of `amodal train`, with the evaluation beside it. What is there is used:
a finished run as it is, an interrupted one is resumed, and all VRSP runs of a seed share one shape prior.
"""

import multiprocessing
import os
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stderr
from dataclasses import dataclass, replace
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from amodal import processes
from amodal.data.config import FileSource
from amodal.data.dataset import AnnotatedImages
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.evaluation.metrics.occlusion import stated_visible_ratios
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.files import read_json, replacing, write_json
from amodal.models import checkpoint, zoo
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.paper.variants import TRAINED_AS, Table, variant
from amodal.prior.shape_prior import ShapePrior
from amodal.settings import differences, to_json
from amodal.training import loop, run_folder
from amodal.training.config import TrainConfig, ValidationConfig, with_seed
from amodal.training.prior import fit_prior

CPU = torch.device("cpu")
DATA_PATHS = ("annotations", "images", "cutouts", "backgrounds")
"""Settings of data that differ from machine to machine."""


SCORED_HERE = ValidationConfig(every=0, at_end=False)
"""Every run is scored by `evaluate` below, so that its training need not."""


@dataclass(frozen=True)
class Job:
    """One run: its settings and folder, and the models that its weights are evaluated as, by name."""

    config: TrainConfig
    folder: Path
    models: tuple[tuple[str, ModelConfig], ...]


@dataclass(frozen=True)
class Evaluated:
    """A model's scores, and what they took."""

    report: Report
    training: dict[str, Any]
    """What metrics.json says of the training: steps, seconds, device, ..."""
    seconds: float
    """Of the evaluation."""


def jobs(table: Table, config: TrainConfig, runs: Path, seeds: Sequence[int]) -> list[Job]:
    """The runs that a table needs, every seed's first ones first."""
    names = [name for row in table.rows for name in row.models]
    trained = dict.fromkeys(TRAINED_AS.get(name, name) for name in names)
    return [
        Job(
            with_seed(replace(variant(config, run), validation=SCORED_HERE), seed),
            run_path(runs, run, seed),
            tuple((name, variant(config, name).model) for name in names if TRAINED_AS.get(name, name) == run),
        )
        for seed in seeds
        for run in trained
    ]


def run_path(runs: Path, name: str, seed: int) -> Path:
    """The folder of the run that the model `name` comes from."""
    return runs / f"{TRAINED_AS.get(name, name)}-seed{seed}"


def check_all(todo: Sequence[Job]) -> None:
    """Looks, before any work and any new table, whether the runs that are there are those that are wanted.

    Raises:
        UserError: One has other settings, as of another recipe that was given the same folder.
    """
    for job in todo:
        if (job.folder / run_folder.CONFIG).exists():
            check_same(job.config, job.folder)


def finish(job: Job, device: str = "auto") -> None:
    """Trains what is left to train of a run, and evaluates what was not yet evaluated.

    Raises:
        UserError: As training does; or a finished run in the folder has other settings.
    """
    if is_finished(job.folder):
        check_same(job.config, job.folder)
    else:
        resume = (job.folder / run_folder.CONFIG).exists()
        loop.train(job.config, job.folder, resume=resume, device_name=device)
    for name, model in job.models:
        if read_evaluation(job.folder, name) is None:
            evaluate(job, name, model, processes.choose_device(device))


def is_finished(folder: Path) -> bool:
    """Whether the folder holds a run that came to its end."""
    return (folder / run_folder.METRICS).exists() and (folder / run_folder.CHECKPOINT).exists()


def check_same(config: TrainConfig, folder: Path) -> None:
    """Raises UserError unless the run in the folder was begun with these settings, wherever its data were."""
    found = differences(_portable(run_folder.settings(folder)), _portable(to_json(config)))
    if found:
        raise UserError(
            f"the run that is there has other settings ({'; '.join(found[:3])})",
            file=folder / run_folder.CONFIG,
            remedy="Ask for the same recipe, seed and --iterations, or name another folder with --runs",
        )


def _portable(settings: Any) -> Any:
    """The settings without the places of files, the name, and what does not touch the weights."""
    if not isinstance(settings, dict):
        return settings
    left_out = (*DATA_PATHS, *run_folder.MAY_CHANGE, "recipe")
    return {name: _portable(value) for name, value in settings.items() if name not in left_out}


def evaluate(job: Job, name: str, model: ModelConfig, device: torch.device) -> None:
    """Scores the run's weights as the model `name` on all validation images, and writes it into the run's folder."""
    source = job.config.data.val
    if source is None:
        raise UserError(f"recipe '{job.config.recipe}' has no validation data", remedy="Choose another recipe")
    began = perf_counter()
    samples = open_source(source)
    truth, stated = None, None
    if isinstance(samples, AnnotatedImages) and isinstance(source, FileSource):
        found = samples.annotation_set
        truth = replace(found, annotations=[a for a in found.annotations if source.keep_stuff or not a.is_stuff])
        stated = stated_visible_ratios(found.source) if found.source and len(source.annotations) == 1 else None
    loading = LoaderSettings(workers=job.config.workers)
    answer = load_as(job.folder / run_folder.CHECKPOINT, model, device).detect
    predicted = predict(answer, samples, truth=truth, loading=loading)
    report = score(predicted.truth, predicted.detections["refined"], stated_ratios=stated)
    content = {"report": report.to_json(), "seconds": round(perf_counter() - began, 1)}
    write_json(_evaluation_path(job.folder, name), content, indent=1)


def load_as(path: Path, config: ModelConfig, device: torch.device) -> AmodalRCNN:
    """A checkpoint's weights as another model that has the same ones: as with a switch that has no weights off."""
    loaded = checkpoint.load(path, device)
    if loaded.config == config:
        return loaded.model
    prior = next((part for part in loaded.model.modules() if isinstance(part, ShapePrior)), None)
    model = zoo.build(config, len(loaded.categories), prior, pretrained=False)
    model.load_state_dict(loaded.model.state_dict())
    return model.to(device).eval()


def read_evaluation(folder: Path, name: str) -> Evaluated | None:
    """The scores of the model `name`; None where the run is not finished or not evaluated."""
    path = _evaluation_path(folder, name)
    if not path.exists() or not is_finished(folder):
        return None
    content = read_json(path)
    training = {key: value for key, value in read_json(folder / run_folder.METRICS).items() if key != "validation"}
    return Evaluated(Report.from_json(content["report"], file=str(path)), training, content["seconds"])


def _evaluation_path(folder: Path, name: str) -> Path:
    return folder / f"evaluation_{name}.json"


def share_priors(todo: Sequence[Job], runs: Path) -> None:
    """Puts the shape prior of its seed into the folder of every run that needs one and has none.

    It is the prior that the run would fit itself: of the same training data, with the same seed.
    """
    for job in todo:
        seed, own = job.config.seed, job.folder / run_folder.PRIOR
        if not zoo.needs_prior(job.config.model) or job.config.prior.file or own.exists() or is_finished(job.folder):
            continue
        shared = runs / f"prior-seed{seed}.safetensors"
        if not shared.exists():
            fit_prior(job.config, open_source(job.config.data.train)).save(shared)
        with replacing(own) as temporary:
            shutil.copyfile(shared, temporary)


def finish_all(todo: Sequence[Job], devices: Sequence[str]) -> Iterator[tuple[Job, UserError | None]]:
    """Finishes the runs, as many at once as there are devices named; gives each one, and its error, when it is done.

    A run that fails does not stop the others. With several at once, what a run tells goes to `<its folder>.log`.
    """
    if len(devices) == 1:
        for job in todo:
            yield job, _attempt(job, devices[0])
        return
    context = multiprocessing.get_context("spawn")
    free = context.Queue()
    for device in devices:
        free.put(device)
    with ProcessPoolExecutor(len(devices), context, _begin_worker, (free, len(devices))) as pool:
        futures = {pool.submit(_in_worker, job): job for job in todo}
        for future in as_completed(futures):
            try:
                yield futures[future], future.result()
            except BrokenProcessPool:
                raise UserError(
                    "a run's process was killed", remedy="There may be too little memory: run fewer with --at-once"
                ) from None


def _attempt(job: Job, device: str) -> UserError | None:
    try:
        finish(job, device)
    except UserError as error:
        return error
    return None


_worker_device = "auto"


def _begin_worker(free: "multiprocessing.Queue[str]", num_workers: int) -> None:
    """A worker process takes a device, and its share of the CPU's cores, for as long as it lives."""
    global _worker_device  # noqa: PLW0603 - a worker process knows of no other state than its module's
    _worker_device = free.get()
    torch.set_num_threads(max(1, (os.cpu_count() or 1) // num_workers))


def _in_worker(job: Job) -> UserError | None:
    log = job.folder.with_name(f"{job.folder.name}.log")
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("a", encoding="utf-8") as file, redirect_stderr(file):
        return _attempt(job, _worker_device)
