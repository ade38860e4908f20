"""A recipe small enough to train in a test, and checkpoints of random weights for the figures."""

from dataclasses import replace
from pathlib import Path

import torch

from amodal.annotations import Category
from amodal.data.config import DataConfig, SceneSource
from amodal.models import checkpoint
from amodal.models.zoo import build, needs_prior
from amodal.paper.variants import variant
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.config import PriorConfig
from amodal.prior.shape_prior import ShapePrior
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.shapes import DRAWINGS
from amodal.training.config import (
    OptimiserConfig,
    PriorSource,
    ScheduleConfig,
    TrainConfig,
    ValidationConfig,
)
from tests.small_models import TINY

SCENES = SceneSource(
    backgrounds="plain", scenes=SceneConfig(size=(64, 64), num_objects=(1, 3), scale=(0.4, 0.8), min_visible_area=16)
)
CATEGORIES = [Category(i, name) for i, name in enumerate(DRAWINGS, start=1)]


def tiny_recipe() -> TrainConfig:
    return TrainConfig(
        recipe="tiny_vrsp",
        model=TINY,
        data=DataConfig(SCENES, replace(SCENES, count=2, seed=99)),
        schedule=ScheduleConfig(2, "one_cycle", warm_up=1),
        optimiser=OptimiserConfig("sgd", lr=1e-3, clip_norm=5.0),
        validation=ValidationConfig(every=0, pictures=0),
        prior=PriorSource(scenes=4, fit=PriorConfig(shapes_per_class=3, masks_per_class=4, steps=3, batch_size=4)),
        batch_size=2,
        checkpoint_every=1,
        workers=0,
    )


def random_prior(num_shapes: int = 6) -> ShapePrior:
    codes = [torch.rand(num_shapes, 128) for _ in CATEGORIES]
    return ShapePrior(MaskAutoencoder(3), CodeBook.from_classes(codes), CATEGORIES)


def save_random(path: Path, name: str, *, score_threshold: float = 0.05) -> None:
    """An untrained model of the bench as a checkpoint."""
    torch.manual_seed(0)
    config = variant(tiny_recipe(), name).model
    config = replace(config, detector=replace(config.detector, score_threshold=score_threshold))
    model = build(config, len(CATEGORIES), random_prior() if needs_prior(config) else None)
    checkpoint.save(path, checkpoint.Checkpoint(model, config, CATEGORIES))
