"""The composed data sets of the recipes: scenes made when they are asked for, and fixed ones to validate on."""

from dataclasses import replace
from pathlib import Path

from amodal.data.config import AugmentConfig, DataConfig, PhotographSource, SceneSource
from amodal.synthesis.config import SceneConfig

VALIDATION_SEED = 20210209
"""Of composed validation scenes, whatever the run's own seed."""


PETS = ("person", "dog", "cat", "horse", "sheep", "cow")
"""What `photos_*_small` finds: people, and the animals that people photograph most."""


FREQUENT = (
    *PETS, "chair", "car", "cup", "bottle", "book", "dining table", "potted plant", "bowl", "tv", "donut",
    "wine glass", "motorcycle", "bird", "bus", "broccoli", "airplane", "couch", "boat",
)  # fmt: skip
"""Categories with 40 or more objects among the photographs."""


def eth80_scenes(data: Path, side: int) -> DataConfig:
    """Scenes without end of the training objects, 400 fixed ones of the validation objects."""
    scenes = SceneConfig(size=(side, side), num_objects=(4, 9), rotation=20.0, occlusion_rate=(0.0, 0.6))
    train = SceneSource(str(data / "eth80"), str(data / "backgrounds"), "train", scenes)
    return DataConfig(train, replace(train, split="val", count=400, seed=VALIDATION_SEED))


def photographs(data: Path, categories: tuple[str, ...], side: int) -> DataConfig:
    """Photographs without end for training, half of them covered; 400 fixed scenes for validation."""
    annotations = str(data / "instances_train.json"), str(data / "instances_val.json")
    val = PhotographSource(annotations[1], categories=categories, side=side, count=400, seed=VALIDATION_SEED)
    half = replace(val.occlusion, untouched=0.5)
    train = PhotographSource(annotations[0], categories=categories, side=side, occlusion=half, group=8)
    return DataConfig(train, val, AugmentConfig(zoom=(0.7, 1.2)))


def small_photographs(data: Path) -> DataConfig:
    """`PETS` at 320 px, two thirds of the photographs uncovered, rare animals more often, sizes and colours changed."""
    plain = photographs(data, PETS, side=320)
    assert isinstance(plain.train, PhotographSource)
    train = replace(plain.train, occlusion=replace(plain.train.occlusion, untouched=0.65), repeat_threshold=0.2)
    return replace(plain, train=train, augment=AugmentConfig(zoom=(0.6, 1.4), colour=0.3))
