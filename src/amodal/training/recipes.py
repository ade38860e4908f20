"""Recipes: whole training runs as functions. A new experiment is a new function here.

`amodal train NAME --data FOLDER --out RUN` takes every path from below FOLDER. The names are those of `RECIPES`: a data
set and a method, as `d2sa_vrsp`. Scores expected of a recipe are the paper's (`docs/results`), or measured with it.
"""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from amodal.archives import are_archives
from amodal.data.config import DataConfig, FileSource, PhotographSource, SceneSource, Source
from amodal.errors import UserError, unknown
from amodal.models.config import BackboneConfig, DetectorConfig, MaskConfig, ModelConfig, VRSPConfig
from amodal.prior.config import PriorConfig
from amodal.synthesis.config import SceneConfig
from amodal.training.composed import FREQUENT, VALIDATION_SEED, eth80_scenes, photographs, small_photographs
from amodal.training.config import (
    OptimiserConfig,
    PriorSource,
    ScheduleConfig,
    TrainConfig,
    ValidationConfig,
)
from amodal.training.own_recipes import is_own, own_recipe


def demo(data: Path) -> TrainConfig:
    """Drawn objects, no files needed, the smallest model: about 4 minutes on 2 CPU cores.

    amodal train demo --out runs/demo
    """
    scenes = SceneConfig(size=(160, 160), num_objects=(3, 6), scale=(0.3, 0.6))
    train = SceneSource(split="train", scenes=scenes)
    config = eth80_small(data)
    return replace(
        config,
        recipe="demo",
        data=DataConfig(train, replace(train, split="val", count=60, seed=VALIDATION_SEED)),
        model=replace(config.model, detector=replace(config.model.detector, min_size=(160,))),
        schedule=ScheduleConfig(200, "one_cycle", warm_up=40),
    )


def eth80_small(data: Path) -> TrainConfig:
    """Tabletop scenes of ETH-80's photographs at 192 px, a narrow model: about 12 minutes on 2 CPU cores.

        amodal train eth80_vrsp_small --data FOLDER --out runs/eth80

    FOLDER holds `eth80/<category>/<object>/*.webp` and `backgrounds/*.jpg`. Three quarters of each category's objects
    and of the backgrounds train; validation is on 400 fixed scenes of the others. A plain Mask R-CNN of this size
    comes to an amodal AP of about 33.
    """
    return TrainConfig(
        recipe="eth80",
        data=eth80_scenes(data, side=192),
        model=ModelConfig(
            backbone=BackboneConfig("tf_efficientnet_lite0", "efficientnet_lite0", frozen_stages=1, fpn_channels=64),
            detector=DetectorConfig(
                min_size=(192,),
                anchor_sizes=(16, 32, 64, 128, 256),
                proposals_training=500,
                proposals_inference=200,
                regions_per_image=64,
                box_width=512,
            ),
            mask=MaskConfig(width=64),
            vrsp=VRSPConfig(reclassification_width=256),
        ),
        schedule=ScheduleConfig(350, "one_cycle", warm_up=70),
        prior=PriorSource(scenes=600, fit=PriorConfig(shapes_per_class=256, masks_per_class=512, steps=600)),
        optimiser=OptimiserConfig("adamw", lr=1e-3, weight_decay=1e-2, clip_norm=10.0),
        validation=ValidationConfig(every=0),
        batch_size=8,
        checkpoint_every=50,
        workers=1,
    )


def eth80(data: Path) -> TrainConfig:
    """The same photographs at 512 px with the paper's model (ResNet-50): about half an hour on one large GPU.

    amodal train eth80_vrsp --data FOLDER --out runs/eth80 --workers 14
    """
    return TrainConfig(
        recipe="eth80",
        data=eth80_scenes(data, side=512),
        model=ModelConfig(detector=DetectorConfig(min_size=(512,), max_size=853)),
        schedule=ScheduleConfig(4000, "steps", warm_up=500, milestones=(2800, 3600)),
        optimiser=OptimiserConfig("sgd", lr=0.02, clip_norm=35.0),
        validation=ValidationConfig(every=1000, images=100),
        prior=PriorSource(scenes=2000),
        batch_size=16,
        checkpoint_every=500,
        workers=8,
    )


def d2sa(data: Path) -> TrainConfig:
    """D2SA as in the paper's Table 1: two images a step, 70,000 steps; published amodal AP of VRSP 70.2.

        amodal train d2sa_vrsp --data FOLDER --out runs/d2sa

    FOLDER is what `amodal data prepare d2sa FOLDER` leaves. A day or so on one GPU.
    """
    return TrainConfig(
        recipe="d2sa",
        data=prepared(data, "d2sa"),
        model=ModelConfig(detector=DetectorConfig(min_size=SHORT_SIDES)),
        schedule=ScheduleConfig(70_000, "steps", milestones=(40_000, 60_000)),
        optimiser=OptimiserConfig("sgd", lr=0.005),
        validation=ValidationConfig(every=10_000, images=500),
    )


def kins(data: Path) -> TrainConfig:
    """KINS as in the paper's Table 1: one image a step, 48,000 steps; published amodal AP of VRSP 32.0.

        amodal train kins_vrsp --data FOLDER --out runs/kins

    FOLDER is what `amodal data prepare kins FOLDER` leaves.
    """
    return TrainConfig(
        recipe="kins",
        data=prepared(data, "kins"),
        model=ModelConfig(detector=DetectorConfig(min_size=(800,), max_size=3000), vrsp=VRSPConfig(alpha=3.0)),
        schedule=ScheduleConfig(48_000, "steps", milestones=(30_000, 40_000)),
        optimiser=OptimiserConfig("sgd", lr=0.0025),
        validation=ValidationConfig(every=8_000, images=500),
        prior=PriorSource(fit=PriorConfig(num_convs=2)),
        batch_size=1,
    )


def cocoa_cls(data: Path) -> TrainConfig:
    """COCOA-cls as in the paper's Table 1: two images a step, 10,000 steps; published amodal AP of VRSP 35.4.

        amodal train cocoa_cls_vrsp --data FOLDER --out runs/cocoa_cls

    FOLDER is what `amodal data prepare cocoa-cls FOLDER` leaves.
    """
    return TrainConfig(
        recipe="cocoa_cls",
        data=prepared(data, "cocoa_cls"),
        model=ModelConfig(detector=DetectorConfig(min_size=SHORT_SIDES)),
        schedule=ScheduleConfig(10_000, "steps", milestones=(8_000,)),
        optimiser=OptimiserConfig("sgd", lr=0.0005),
        validation=ValidationConfig(every=2_000, images=500),
        start_from="coco",
    )


def photos_small(data: Path) -> TrainConfig:
    """People and animals in photographs at 320 px, covered by cut-outs of other photographs: hours on one CPU core.

    The backbone learns at a tenth of the rate: at the full one it forgets what thousands of photographs cannot teach.

        amodal train photos_vrsp_small --data FOLDER --out runs/photos

    FOLDER holds `instances_train.json`, `instances_val.json` (COCO's format) and `images/`. Validation is on 400 fixed
    scenes of the validation photographs.
    """
    small = eth80_small(data)
    return replace(
        small,
        recipe="photos",
        data=small_photographs(data),
        model=replace(
            small.model,
            backbone=replace(small.model.backbone, frozen_stages=2),
            detector=replace(small.model.detector, min_size=(320,), max_size=320, duplicate_threshold=0.5),
            mask=replace(small.model.mask, loss_weight=0.4),
        ),
        optimiser=replace(small.optimiser, body_share=0.1),
        schedule=ScheduleConfig(2000, "one_cycle", warm_up=260),
        prior=PriorSource(scenes=1500, fit=PriorConfig(shapes_per_class=256, masks_per_class=512, steps=600)),
    )


def photos(data: Path) -> TrainConfig:
    """All categories of the photographs with 40 or more objects, with the paper's model (ResNet-50), on a GPU.

    amodal train photos_vrsp --data FOLDER --out runs/photos --workers 14
    """
    large = eth80(data)
    return replace(
        large,
        recipe="photos",
        data=photographs(data, FREQUENT, side=384),
        model=ModelConfig(detector=DetectorConfig(min_size=(480,), max_size=640)),
        schedule=ScheduleConfig(8000, "steps", warm_up=500, milestones=(5600, 7200)),
    )


def prepared(folder: Path, name: str) -> DataConfig:
    """The files that `amodal data prepare` writes into a folder; their images are found from there."""
    train, val = (FileSource((str(folder / f"{name}_{split}.json"),)) for split in ("train", "val"))
    return DataConfig(train, val)


SHORT_SIDES = (640, 672, 704, 736, 768, 800)
"""Short sides that training on D2SA and COCOA-cls draws from, in pixels."""


DATA_SETS: dict[str, Callable[[Path], TrainConfig]] = {
    "eth80_{}_small": eth80_small,
    "eth80_{}": eth80,
    "d2sa_{}": d2sa,
    "kins_{}": kins,
    "cocoa_cls_{}": cocoa_cls,
    "photos_{}_small": photos_small,
    "photos_{}": photos,
}

METHODS = ("mask_rcnn", "mask_rcnn_visible", "mask_rcnn_c8", "two_heads", "orcnn", "sln",
           "aisformer", "bcnet", "vrsp", "vrsp_r")  # fmt: skip
"""Rows of the paper's Table 1, and others; Mask R-CNN's amodal and visible masks are two models."""


def with_method(config: TrainConfig, method: str) -> TrainConfig:
    """The run with another row of `METHODS`."""
    mask = config.model.mask
    plain = {"mask_rcnn_visible": replace(mask, truth="visible"), "mask_rcnn_c8": replace(mask, num_convs=8)}
    if method in plain:
        return replace(config, model=replace(config.model, method="mask_rcnn", mask=plain[method]))
    return replace(config, model=replace(config.model, method=method))  # type: ignore[arg-type]


def _recipe(name: str, make: Callable[[Path], TrainConfig], method: str, data: Path) -> TrainConfig:
    return replace(with_method(make(data), method), recipe=name)


RECIPES: dict[str, Callable[[Path], TrainConfig]] = {
    "demo": demo,
    **{
        name.format(method): partial(_recipe, name.format(method), make, method)
        for name, make in DATA_SETS.items()
        for method in METHODS
    },
}
"""Every recipe by its name: a function of the folder of data."""


def recipe(name: str, data: Path, own: DataConfig | None = None) -> TrainConfig:
    """A recipe's settings, with its own data set or another.

    Args:
        name: One of `RECIPES`, or FILE.py:FUNCTION for one of your own (`amodal.training.own_recipes`).
        data: The folder that holds the recipe's data set.
        own: Data to train on in place of the recipe's.

    Raises:
        UserError: The name is unknown, or the data are not there.
    """
    if name not in RECIPES and not is_own(name):
        raise unknown(f"no recipe is called '{name}'", name, RECIPES)
    config = own_recipe(name, data) if is_own(name) else RECIPES[name](data)
    if own is not None:
        config = replace(config, data=own)
    for source in (config.data.train, config.data.val):
        for path in paths_of(source):
            if not are_archives(path) and not Path(path).exists():
                if own is not None:
                    raise UserError("is not there", file=path, remedy="Check --train, --val and --images")
                remedy = "Pass --data, the folder that holds it" if data == Path("data") else "Check --data"
                raise UserError(f"recipe '{name}' needs it, and it is not there", file=path, remedy=remedy)
    return config


def paths_of(source: Source | None) -> list[str]:
    """The files and folders that a source reads."""
    if source is None:
        return []
    if isinstance(source, FileSource | PhotographSource):
        files = source.annotations if isinstance(source, FileSource) else (source.photographs,)
        return [*files, *([source.images] if source.images else [])]
    return [place for place in (source.cutouts, source.backgrounds) if place not in ("drawn", "plain")]
