"""The bench of mask branches: which variants, for how many steps, with which seeds; its rows and their differences.

RUNS holds what is made once: `detector/` (a run of `amodal train`), `prior.safetensors`, the detector's view of the
scenes, and every object's IoUs, from which the intervals come, in `ious/` (`ious-width8/`: of other than the usual
settings).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from amodal import processes
from amodal.data.config import SceneSource
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.evaluation.metrics.bootstrap import draws, interval
from amodal.files import replacing
from amodal.models import checkpoint, zoo
from amodal.models.branch import MaskBranch
from amodal.paper import branches, pyramids
from amodal.paper.about import commit
from amodal.paper.branches import Plan
from amodal.paper.kept import KeptRegions
from amodal.paper.pyramids import Scenes
from amodal.paper.runs import check_same, is_finished
from amodal.paper.variants import variant
from amodal.prior.shape_prior import ShapePrior
from amodal.training import loop, run_folder
from amodal.training.config import TrainConfig, with_iterations, with_seed
from amodal.training.prior import fit_prior

IOUS = ("amodal", "occluded", "hidden", "visible")
"""What rows and differences are of."""
RESAMPLES = 2000
DETECTOR = "mask_rcnn"
"""Whose detector is frozen: one that was trained with amodal masks, by a plain head."""

Row = dict[str, Any]


@dataclass(frozen=True)
class Asked:
    """A row that is wanted: a variant's training."""

    variant: str
    steps: int
    seed: int
    lr: float | None = None
    """Highest learning rate; None: the recipe's."""


@dataclass(frozen=True)
class Base:
    """What variants are compared to."""

    variant: str
    steps: int | None = None
    """None: as many as the variant beside it."""
    lr: float | None = None
    """None: the rate of the variant beside it."""

    @classmethod
    def of(cls, text: str) -> "Base":
        """`two_heads`, `two_heads@1200` or `two_heads@1200@0.004`. Raises UserError for other words."""
        try:
            variant, steps, lr = text.split("@") + [""] * (2 - text.count("@"))
            return cls(variant, int(steps) if steps else None, float(lr) if lr else None)
        except ValueError as error:
            remedy = "Write VARIANT, VARIANT@STEPS or VARIANT@STEPS@RATE"
            raise UserError(f"'{text}' names nothing to compare with", remedy=remedy) from error


Key = tuple[str, int, str, float | None]
"""Variant, steps, boxes, rate: what rows of several seeds share."""


def key_of(row: Row) -> Key:
    """Rows of before rates were asked for have none: the recipe's."""
    return row["variant"], row["steps"], row["boxes"], row.get("lr")


@dataclass(frozen=True)
class Amount:
    """How much is trained and measured."""

    training_scenes: int = 1000
    """Scenes that branches learn from."""
    test_scenes: int = 300
    """Scenes, of objects that training never saw, that they are measured on."""


@dataclass(frozen=True)
class Bench:
    """All that the variants share."""

    config: TrainConfig
    runs: Path
    plan: Plan = field(default_factory=Plan)
    amount: Amount = field(default_factory=Amount)
    device_name: str = "auto"
    """Where branches and the detector are trained: `auto`, `cpu`, `cuda` or `cuda:1`."""

    @property
    def device(self) -> torch.device:
        """Where branches are trained. Raises UserError where there is none of that name."""
        return processes.choose_device(self.device_name)

    def detector(self) -> Path:
        """The frozen detector's checkpoint; trained first where there is none."""
        folder = self.runs / "detector"
        if not is_finished(folder):
            config = replace(variant(self.config, DETECTOR), validation=replace(self.config.validation, at_end=False))
            resume = (folder / run_folder.CONFIG).exists()
            loop.train(config, folder, resume=resume, device_name=self.device_name)
        return folder / run_folder.CHECKPOINT

    def check(self) -> None:
        """Raises UserError if the folder's detector, and so all that is in it, is of another recipe."""
        folder = self.runs / "detector"
        if (folder / run_folder.CONFIG).exists():
            check_same(variant(self.config, DETECTOR), folder)

    def scenes(self) -> tuple[Scenes, Scenes]:
        """Training and test scenes as the detector sees them; looked at first where there is no file."""
        data = self.config.data
        if not isinstance(data.train, SceneSource) or not isinstance(data.val, SceneSource):
            raise UserError(f"'{self.config.recipe}' has no composed scenes", remedy="Name a recipe of scenes")
        wanted = (
            (replace(data.train, count=self.amount.training_scenes), self.amount.training_scenes),
            (replace(data.val, count=self.amount.test_scenes), self.amount.test_scenes),
        )
        seen = []
        for name, (source, count) in zip(("train", "test"), wanted, strict=True):
            path = self.runs / f"{name}_scenes{count}.safetensors"
            if not path.exists():
                model = checkpoint.load(self.detector(), self.device).model
                pyramids.look(model, open_source(source), count).save(path)
            seen.append(Scenes.load(path).to(self.device))
        return seen[0], seen[1]

    def prior(self) -> ShapePrior:
        """The shape prior of the training data, fitted first where there is none."""
        path = self.runs / run_folder.PRIOR
        if not path.exists():
            fit_prior(self.config, open_source(self.config.data.train)).save(path)
        return ShapePrior.load(path)

    def ious_path(self, row: Row) -> Path:
        """Where the IoUs of a row's objects lie. Tables of several settings may share the folder of the runs."""
        rate = "" if row.get("lr") is None else f"-{row['lr']:g}"
        own, usual = settings(self), settings(Bench(self.config, self.runs))
        other = "".join(f"-{name}{value}" for name, value in own.items() if value != usual[name])
        return self.runs / f"ious{other}" / f"{row['variant']}-{row['boxes']}-{row['steps']}{rate}-{row['seed']}.npz"


def settings(bench: Bench) -> dict[str, Any]:
    """What rows must share to stand in one table."""
    return {
        "width": bench.plan.width,
        "scenes_per_step": bench.plan.scenes_per_step,
        "training_scenes": bench.amount.training_scenes,
        "test_scenes": bench.amount.test_scenes,
    }


def missing(rows: Sequence[Row], bench: Bench, wanted: Sequence[Asked]) -> list[Asked]:
    """Those of the wanted rows that are not there yet."""
    there = {(*key_of(row), row["seed"]) for row in rows}
    return [one for one in wanted if (one.variant, one.steps, bench.plan.boxes, one.lr, one.seed) not in there]


def run(bench: Bench, wanted: Sequence[Asked]) -> Iterator[Row]:
    """Trains and measures each; its row, in percent, as soon as it is known."""
    if not wanted:
        return
    training, test = bench.scenes()
    kept, at = KeptRegions(training, bench.plan.boxes), commit()
    for asked in wanted:
        branch, config = build(bench, asked)
        operations = branches.flops(branch, training, bench.plan)
        torch.manual_seed(asked.seed)
        seconds, cpu_seconds = branches.train(branch, kept, config, bench.plan)
        ious = branches.measure(branch, test, bench.plan)
        row: Row = {"variant": asked.variant, "steps": asked.steps, "seed": asked.seed, "boxes": bench.plan.boxes}
        row |= {} if asked.lr is None else {"lr": asked.lr}
        row |= {f"{kind}_iou": percent(ious[kind]) for kind in (*IOUS, "coarse_amodal", "coarse_occluded")}
        row |= {"seconds": round(seconds, 1), "cpu_seconds": round(cpu_seconds, 1), "device": bench.device.type}
        row |= {"training_mflops": round(operations[0] / 1e6, 1), "inference_mflops": round(operations[1] / 1e6, 1)}
        row |= {"regions": len(ious["amodal"]), "commit": at}
        with replacing(bench.ious_path(row)) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **ious)  # type: ignore[arg-type]
        yield row


def build(bench: Bench, asked: Asked) -> tuple[MaskBranch, TrainConfig]:
    """A variant before its first step, and how it is trained."""
    narrowed = narrow(variant(bench.config, asked.variant), bench.plan.width)
    config = with_seed(with_iterations(narrowed, asked.steps), asked.seed)
    if asked.lr is not None:
        config = replace(config, optimiser=replace(config.optimiser, lr=asked.lr))
    prior = bench.prior() if zoo.needs_prior(config.model) else None
    torch.manual_seed(asked.seed)
    return zoo.build_branch(config.model, num_categories(bench), prior).to(bench.device), config


def narrow(config: TrainConfig, width: int) -> TrainConfig:
    """The run with mask heads of `width` channels."""
    return replace(config, model=replace(config.model, mask=replace(config.model.mask, width=width)))


def num_categories(bench: Bench) -> int:
    """K of the recipe's data."""
    return len(open_source(bench.config.data.train).categories)


def percent(values: np.ndarray) -> float | None:
    """The mean of what was measured, in percent; None where nothing was."""
    return round(100 * float(np.nanmean(values)), 2) if not np.isnan(values).all() else None


def differences(rows: Sequence[Row], bench: Bench, base: Base) -> list[Row]:
    """Every variant minus `base`, over the seeds that both have, with 95 % intervals, in points.

    Args:
        rows: Those of the table.
        bench: Where their objects' IoUs lie; a row without them is left out.
        base: A variant, and its steps and rate, if they are not those of the variant beside it.
    """
    found = []
    for key in dict.fromkeys(key_of(row) for row in rows):
        name, steps, boxes, lr = key
        other = (base.variant, base.steps or steps, boxes, lr if base.lr is None else base.lr)
        if key == other:
            continue
        both = [_seeds(rows, bench, one) for one in (key, other)]
        seeds = sorted(both[0].keys() & both[1].keys())
        if not seeds:
            continue
        loaded = [[np.load(paths[seed]) for seed in seeds] for paths in both]
        row: Row = {"variant": name, "steps": steps, "base": base.variant, "base_steps": other[1], "boxes": boxes}
        row |= {"lr": lr, "base_lr": other[3]} if lr or other[3] else {}
        row["seeds"] = seeds
        for kind in IOUS:
            values = np.stack([one[kind] - another[kind] for one, another in zip(*loaded, strict=True)])
            row[kind] = None if np.isnan(values).all() else _rounded(difference(values, loaded[0][0]["scene"]))
        found.append(row)
    return found


def _seeds(rows: Sequence[Row], bench: Bench, key: Key) -> dict[int, Path]:
    paths = {row["seed"]: bench.ious_path(row) for row in rows if key_of(row) == key}
    return {seed: path for seed, path in paths.items() if path.exists()}


def _rounded(values: tuple[float, float, float]) -> list[float]:
    return [round(100 * value, 2) for value in values]


def difference(values: Float[np.ndarray, "seeds N"], images: np.ndarray, seed: int = 0) -> tuple[float, float, float]:
    """Mean of paired differences, and its 95 % interval by a bootstrap over images and over seeds at once.

    With one seed the interval is over images alone.

    Args:
        values: Of each training seed and object, NaN where there is nothing to compare.
        images: Which image each object is in, int (N,): objects of one image are drawn together.
        seed: Of the draws.
    """
    _, own = np.unique(images, return_inverse=True)
    there = ~np.isnan(values)
    sums = np.stack([np.bincount(own, np.where(t, v, 0)) for v, t in zip(values, there, strict=True)])
    counts = np.stack([np.bincount(own, t.astype(float)) for t in there])
    of_images, of_seeds = draws(sums.shape[1], RESAMPLES, seed), draws(len(values), RESAMPLES, seed + 1)
    total, number = ((of_seeds * (of_images @ each.T)).sum(1) for each in (sums, counts))
    drawn = np.divide(total, number, out=np.full(len(total), np.nan), where=number > 0)
    return float(drawn[0]), *interval(drawn[1:])  # the first draw is the images and seeds themselves
