r"""How the packaged detector was trained, part by part, each starting from the one before.

    amodal train benchmarks/photos_parts.py:first --data FOLDER --out runs/photos
    amodal train benchmarks/photos_parts.py:second --data FOLDER --out runs/second \
        --start-from runs/photos/model.safetensors --prior runs/photos/prior.safetensors
    python -m benchmarks.photos_parts runs/second/model.safetensors runs/fresh.safetensors
    amodal train benchmarks/photos_parts.py:third --data FOLDER --out runs/third \
        --start-from runs/fresh.safetensors --prior runs/photos/prior.safetensors
    amodal train benchmarks/photos_parts.py:fourth --data FOLDER --out runs/fourth \
        --start-from runs/third/model.safetensors --prior runs/photos/prior.safetensors
    amodal train benchmarks/photos_parts.py:fifth --data FOLDER --out runs/fifth \
        --start-from runs/fourth/model.safetensors --prior runs/photos/prior.safetensors
    amodal train benchmarks/photos_parts.py:sixth --data FOLDER --out runs/sixth \
        --start-from runs/fifth/model.safetensors --prior runs/photos/prior.safetensors

The second part came to a visible AP of 30.1 on the photographs as they are, and 640 steps more of it to 28.9: the
backbone had learnt at the full rate and forgotten what it knew of ImageNet. The command between the second and the
third part gives it back those weights, which then learn at a tenth of the rate: 480 steps later AP was 35.7 (and 30.3
where the backbone was left as the second part had made it, all else the same). `python -m benchmarks.packaged --photos
runs/sixth` packs the last.
"""

import sys
from dataclasses import replace
from pathlib import Path

from amodal.data.config import PhotographSource
from amodal.models import checkpoint
from amodal.models.backbones import build_backbone
from amodal.training import composed
from amodal.training.config import ScheduleConfig, TrainConfig, with_seed
from amodal.training.recipes import RECIPES


def first(data: Path) -> TrainConfig:
    """`photos_vrsp_small` as it was: 256 px, half of the photographs covered, the backbone at the full rate."""
    recipe = RECIPES["photos_vrsp_small"](data)
    model = recipe.model
    return replace(
        recipe,
        recipe="photos_first",
        data=composed.photographs(data, composed.PETS, side=256),
        model=replace(
            model,
            backbone=replace(model.backbone, frozen_stages=1),
            detector=replace(model.detector, min_size=(256,), max_size=256),
            mask=replace(model.mask, loss_weight=1.0),
        ),
        optimiser=replace(recipe.optimiser, body_share=1.0),
    )


def second(data: Path) -> TrainConfig:
    """1,600 steps more, two thirds of the photographs uncovered, without the parts that only correct scores."""
    before = first(data)
    train = _source(before)
    vrsp = replace(before.model.vrsp, reclassification=False, prior_rescoring=False, feature_matching=False)
    return replace(
        before,
        recipe="photos_second",
        data=replace(before.data, train=replace(train, occlusion=replace(train.occlusion, untouched=0.65))),
        model=replace(before.model, vrsp=vrsp),
        schedule=ScheduleConfig(1600, "one_cycle", warm_up=60),
        seed=7,
    )


def third(data: Path) -> TrainConfig:
    """480 steps from ImageNet's backbone, which learns at a tenth of the rate; masks weigh less."""
    before = with_seed(second(data), 11)
    return replace(
        before,
        recipe="photos_third",
        data=replace(before.data, train=replace(_source(before), repeat_threshold=0.2)),
        model=replace(before.model, mask=replace(before.model.mask, loss_weight=0.4)),
        optimiser=replace(before.optimiser, body_share=0.1),
        schedule=ScheduleConfig(480, "one_cycle", warm_up=60),
    )


def fourth(data: Path) -> TrainConfig:
    """2,700 steps as `photos_vrsp_small` is today: 320 px, the pretrained body at a twentieth."""
    recipe = with_seed(RECIPES["photos_vrsp_small"](data), 12)
    return replace(
        recipe,
        recipe="photos_fourth",
        model=replace(recipe.model, vrsp=second(data).model.vrsp),
        optimiser=replace(recipe.optimiser, body_share=0.05),
        schedule=ScheduleConfig(2700, "one_cycle", warm_up=60),
    )


def fifth(data: Path) -> TrainConfig:
    """2,700 steps as VRSP-R, whose second look is new; backbone, boxes, coarse masks and prior go on from VRSP's."""
    before = with_seed(fourth(data), 13)
    return replace(
        before,
        recipe="photos_fifth",
        model=replace(before.model, method="vrsp_r"),
        optimiser=replace(before.optimiser, body_share=0.1),
    )


def sixth(data: Path) -> TrainConfig:
    """1,200 steps more at half the rate; the second look learns more to name what it sees."""
    before = with_seed(fifth(data), 14)
    return replace(
        before,
        recipe="photos_sixth",
        model=replace(before.model, vrsp_r=replace(before.model.vrsp_r, class_weight=0.3)),
        optimiser=replace(before.optimiser, lr=0.0005, body_share=0.2),
        schedule=ScheduleConfig(1200, "one_cycle", warm_up=40),
    )


def _source(config: TrainConfig) -> PhotographSource:
    assert isinstance(config.data.train, PhotographSource)
    return config.data.train


def give_back_body(run: Path, out: Path) -> None:
    """Writes a model whose backbone's body has its pretrained weights again."""
    trained = checkpoint.load(run)
    pretrained = build_backbone(trained.config.backbone).body
    trained.model.get_submodule("backbone.body").load_state_dict(pretrained.state_dict())
    checkpoint.save(out, trained)


if __name__ == "__main__":
    give_back_body(*map(Path, sys.argv[1:]))
