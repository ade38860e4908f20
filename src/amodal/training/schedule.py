"""The optimiser, and its learning rate as a pure function of the step: there is no schedule's state to restore."""

import math
from collections.abc import Callable

from torch import nn, optim

from amodal.models.weight_groups import weight_groups
from amodal.training.config import OptimiserConfig, ScheduleConfig

START = 0.04
"""Where a one-cycle warm-up begins, as a share of the highest rate."""


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> optim.Optimizer:
    """The optimiser of the trainable weights, in the groups of `amodal.models.weight_groups`."""
    groups = weight_groups(model, config.weight_decay, config.body_share)
    if config.name == "adamw":
        return optim.AdamW(groups, lr=config.lr)
    return optim.SGD(groups, lr=config.lr, momentum=config.momentum)


def set_rate(optimiser: optim.Optimizer, rate: float) -> None:
    """Sets the learning rate of every weight: `rate`, or a share of it."""
    for group in optimiser.param_groups:
        group["lr"] = rate * group.get("share", 1.0)  # runs of before there were shares resume without


def rate_at(step: int, highest: float, config: ScheduleConfig) -> float:
    """The learning rate of a step, which counts from 0."""
    shapes: dict[str, Callable[[int, ScheduleConfig], float]] = {"steps": _steps, "one_cycle": _one_cycle}
    return highest * shapes[config.shape](step, config)


def _steps(step: int, config: ScheduleConfig) -> float:
    """Rises linearly from 1/1000 over the warm-up, then falls to a tenth at each milestone (Goyal et al., 2017)."""
    warmth = min(1.0, 0.001 + 0.999 * step / config.warm_up) if config.warm_up else 1.0
    return warmth * 0.1 ** sum(step >= milestone for milestone in config.milestones)


def _one_cycle(step: int, config: ScheduleConfig) -> float:
    """Rises along half a cosine over the warm-up, then falls to 0 along another (Smith and Topin, 2019)."""
    if step < config.warm_up:
        return START + (1 - START) * (1 - math.cos(math.pi * step / config.warm_up)) / 2
    rest = config.iterations - config.warm_up
    return (1 + math.cos(math.pi * (step - config.warm_up) / rest)) / 2 if rest > 0 else 1.0
