"""The settings of a training run: all of it, as frozen dataclasses.

They are written as `config.json` into the run's folder and into its checkpoints.
"""

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from amodal.data.config import DataConfig, FileSource
from amodal.errors import UserError
from amodal.models.config import ModelConfig
from amodal.prior.config import PriorConfig


def _require(group: str, claims: dict[str, bool]) -> None:
    """Raises UserError for the first claim that does not hold."""
    for claim, holds in claims.items():
        if not holds:
            raise UserError(claim, record=group, remedy="Change the run's settings")


@dataclass(frozen=True)
class OptimiserConfig:
    """How weights follow from gradients."""

    name: Literal["sgd", "adamw"] = "sgd"
    """SGD with momentum, or AdamW."""
    lr: float = 0.005
    """Highest learning rate, for the whole batch."""
    body_share: float = 1.0
    """Learning rate of the backbone's pretrained body as a share of the others'. With few images or a high rate, a
    tenth keeps what the body learnt before."""
    momentum: float = 0.9
    """SGD's momentum."""
    weight_decay: float = 1e-4
    """Of weights; biases and the scales of normalisation have none."""
    clip_norm: float | None = None
    """Gradients are scaled down to this norm where they exceed it."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that cannot be."""
        claims = {
            f"lr must be a number above 0, not {self.lr}": 0 < self.lr < math.inf,
            f"body_share must lie in (0, 1], not {self.body_share}": 0 < self.body_share <= 1,
            f"momentum must lie in [0, 1), not {self.momentum}": 0 <= self.momentum < 1,
            f"weight_decay must not be negative: {self.weight_decay}": 0 <= self.weight_decay < math.inf,
            f"clip_norm must be above 0, not {self.clip_norm}": self.clip_norm is None or self.clip_norm > 0,
        }
        _require("optimiser", claims)


@dataclass(frozen=True)
class ScheduleConfig:
    """The learning rate over the steps."""

    iterations: int
    """Steps of the whole run."""
    shape: Literal["steps", "one_cycle"] = "steps"
    """`steps`: times 0.1 at each milestone. `one_cycle`: up and down along a cosine, to 0 in the end."""
    warm_up: int = 1000
    """Steps that the rate takes to rise, linearly for `steps`."""
    milestones: tuple[int, ...] = ()
    """Steps at which the rate falls."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that cannot be."""
        claims = {
            f"{self.iterations} steps are no training": self.iterations >= 1,
            f"warm_up must not be negative: {self.warm_up}": self.warm_up >= 0,
            "milestones must not be negative": min(self.milestones, default=0) >= 0,
        }
        _require("schedule", claims)


@dataclass(frozen=True)
class ValidationConfig:
    """How a run is watched."""

    every: int = 5000
    """Steps between validations; 0: none on the way."""
    at_end: bool = True
    """Whether to score all validation images when the run is over."""
    images: int | None = None
    """How many validation images to use on the way; None is all, as it is at the end."""
    pictures: int = 6
    """How many of them TensorBoard shows with their truth and predictions."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that cannot be."""
        claims = {
            f"every must not be negative: {self.every}": self.every >= 0,
            f"images must be 1 or more, not {self.images}": self.images is None or self.images >= 1,
            f"pictures must not be negative: {self.pictures}": self.pictures >= 0,
        }
        _require("validation", claims)


@dataclass(frozen=True)
class PriorSource:
    """Where the shape prior of a VRSP model comes from."""

    file: str | None = None
    """A prior made by `amodal prior fit`. None fits one to the training data first."""
    scenes: int = 600
    """How many composed scenes it is fitted to; of a data set on disk, all images."""
    fit: PriorConfig = field(default_factory=PriorConfig)
    """How it is fitted."""


@dataclass(frozen=True)
class TrainConfig:
    """A whole run."""

    recipe: str
    """The recipe that these settings started from."""
    model: ModelConfig
    data: DataConfig
    schedule: ScheduleConfig
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    validation: ValidationConfig = field(default_factory=ValidationConfig)
    prior: PriorSource = field(default_factory=PriorSource)
    start_from: str | None = None
    """A model to start from: `coco` (torchvision's Mask R-CNN, downloaded; its backbone, proposals and boxes), or a
    model.safetensors, of which every tensor that fits is taken. None starts from the backbone's weights."""
    batch_size: int = 2
    """Images of a step, in all processes together."""
    seed: int = 0
    """Of weights, batches, augmentation, sampled regions, and of scenes composed for training."""
    checkpoint_every: int = 1000
    """Steps between checkpoints; there is always one at the end."""
    mixed_precision: bool = True
    """Run the forward pass in bfloat16 where there is a GPU."""
    compile: bool = False
    """Compile the backbone (torch.compile) first, for long runs on a GPU."""
    workers: int = 2
    """Processes that prepare batches, for each process that trains."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that cannot be."""
        claims = {
            f"batch_size must be 1 or more, not {self.batch_size}": self.batch_size >= 1,
            f"seed must not be negative: {self.seed}": self.seed >= 0,
            f"checkpoint_every must be 1 or more, not {self.checkpoint_every}": self.checkpoint_every >= 1,
            f"workers must not be negative: {self.workers}": self.workers >= 0,
        }
        _require("run", claims)


def with_iterations(config: TrainConfig, iterations: int) -> TrainConfig:
    """The run shortened or stretched to so many steps; warm-up, milestones and validations move in proportion.

    Raises:
        UserError: Fewer than one step.
    """
    if iterations < 1:
        raise UserError(f"{iterations} steps are no training", remedy="Pass --iterations 1 or more")
    share = iterations / config.schedule.iterations
    schedule = replace(
        config.schedule,
        iterations=iterations,
        warm_up=round(config.schedule.warm_up * share),
        milestones=tuple(round(milestone * share) for milestone in config.schedule.milestones),
    )
    validation = replace(config.validation, every=round(config.validation.every * share))
    return replace(config, schedule=schedule, validation=validation)


def with_seed(config: TrainConfig, seed: int) -> TrainConfig:
    """The run with other random numbers. Validation scenes stay the same, so that runs can be compared."""
    train = config.data.train
    data = config.data if isinstance(train, FileSource) else replace(config.data, train=replace(train, seed=seed))
    return replace(config, seed=seed, data=data)
