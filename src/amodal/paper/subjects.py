"""An object with the same part of it hidden by different occluders in turn: what figure 1 is measured on.

The first occluder lies where it falls. The others are turned, scaled and moved until they cover what it hides and as
little else as possible; what they still cover beyond that is cut from them, so that exactly the same part is hidden.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from PIL import Image

from amodal import mask_arrays
from amodal.data.config import FileSource, PhotographSource, SceneSource
from amodal.data.reading import read_all
from amodal.errors import UserError
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import Backgrounds, open_backgrounds
from amodal.synthesis.composition import render, sample_pose
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutout_sources import open_cutouts
from amodal.synthesis.cutouts import CutOut, CutOutSource
from amodal.synthesis.placing import Placement
from amodal.synthesis.warping import Sprite, warp
from amodal.training.config import TrainConfig

TRIES = 60
"""Poses, and places of each, that are tried for an occluder."""
HIDDEN = (0.2, 0.5)
"""Range of the target's occlusion rate."""
MOST_TRIMMED = 0.35
"""An occluder that had to lose more than this share of its overlap is not used: it would not look like itself."""

LARGEST_SIDE = 512
"""Of images composed from an annotated data set, in pixels."""


@dataclass(frozen=True)
class Subject:
    """A target behind several occluders in turn.

    Attributes:
        images: One for each occluder, uint8 (H, W, 3).
        occluders: Their categories.
        occluder_masks: Theirs, bool (M, H, W).
        amodal: The target, bool (H, W).
        invisible: The part of it that every occluder hides, bool (H, W).
        label: The target's class, from 1.
        trimmed: Share of each occluder's overlap with the target that was cut away to hide that part and no more.
    """

    images: list[np.ndarray]
    occluders: list[str]
    occluder_masks: np.ndarray
    amodal: np.ndarray
    invisible: np.ndarray
    label: int
    trimmed: list[float]


@dataclass(frozen=True)
class Stage:
    """Where subjects are composed: objects, backgrounds, settings of the scenes."""

    cutouts: CutOutSource
    backgrounds: Backgrounds
    scenes: SceneConfig


def open_stage(config: TrainConfig) -> Stage:
    """The objects and backgrounds that a recipe validates on; of annotated images, the unoccluded objects.

    Raises:
        UserError: There are no validation data, or no such objects in them.
    """
    source = config.data.val
    if isinstance(source, SceneSource):
        cutouts, backgrounds = (
            open_cutouts(source.cutouts, source.split),
            open_backgrounds(source.backgrounds, source.split),
        )
        return Stage(cutouts, backgrounds, source.scenes)
    if source is None:
        raise UserError(f"recipe '{config.recipe}' has no validation data", remedy="Choose another recipe")
    side = min(config.model.detector.min_size[-1], LARGEST_SIDE)
    files = FileSource((source.photographs,), source.images) if isinstance(source, PhotographSource) else source
    return Stage(AnnotatedCutOuts(read_all(files)), open_backgrounds("drawn"), SceneConfig(size=(side, side)))


def subjects(stage: Stage, count: int, num_occluders: int, seed: int) -> list[Subject]:
    """`count` random subjects; the same for the same seed.

    Raises:
        UserError: The objects are too few or too small to hide one another.
    """
    found: list[Subject] = []
    for attempt in range(40 * count):
        subject = _compose(stage, num_occluders, np.random.default_rng(np.random.SeedSequence((seed, attempt))))
        if subject is not None:
            found.append(subject)
        if len(found) == count:
            return found
    raise UserError(
        f"only {len(found)} of {count} objects found {num_occluders} occluders for the same part",
        remedy="Ask for fewer --occluders, or use more cut-outs",
    )


def _compose(stage: Stage, num_occluders: int, rng: np.random.Generator) -> Subject | None:
    """A subject, or None if the dice do not give one."""
    height, width = stage.scenes.size
    background = stage.backgrounds.sample(stage.scenes.size, rng)
    target = stage.cutouts.sample(rng)
    sprite = _posed(target, stage.scenes, rng)
    top, left = (height - sprite.mask.shape[0]) // 2, (width - sprite.mask.shape[1]) // 2
    target_place = Placement(sprite, left, top, _label(stage, target))
    amodal = _on_canvas(target_place, stage.scenes.size)
    if not amodal.any():
        return None
    first = _first_occluder(stage, amodal, target.category, rng)
    if first is None:
        return None
    invisible = amodal & _on_canvas(first, stage.scenes.size)
    placements, trimmed = [first], [0.0]
    for _ in range(3 * num_occluders):
        if len(placements) == num_occluders:
            break
        used = [target.category, *(placement.sprite.category for placement in placements)]
        cover = _cover(stage, (amodal, invisible), _another(stage, used, rng), rng)
        if cover is not None:
            placement, share = cover
            placements.append(_trimmed(placement, amodal & ~invisible))
            trimmed.append(share)
    if len(placements) < num_occluders:
        return None
    images = [render(background, [front, target_place], stage.scenes.shadow).image for front in placements]
    names = [placement.sprite.category for placement in placements]
    fronts = np.stack([_on_canvas(front, stage.scenes.size) for front in placements])
    return Subject(images, names, fronts, amodal, invisible, target_place.label, trimmed)


def _another(stage: Stage, used: list[str], rng: np.random.Generator) -> CutOut:
    """An object of a category that is not among the used ones, if the dice give one soon."""
    drawn = (stage.cutouts.sample(rng) for _ in range(TRIES))
    return next((cut_out for cut_out in drawn if cut_out.category not in used), stage.cutouts.sample(rng))


def _first_occluder(stage: Stage, amodal: np.ndarray, category: str, rng: np.random.Generator) -> Placement | None:
    """An occluder in a random place where it hides as much of the target as `HIDDEN` wants."""
    for _ in range(TRIES):
        cut_out = _another(stage, [category], rng)
        placement = _anywhere(_posed(cut_out, stage.scenes, rng), _label(stage, cut_out), amodal, rng)
        rate = (amodal & _on_canvas(placement, stage.scenes.size)).sum() / amodal.sum()
        if HIDDEN[0] <= rate <= HIDDEN[1]:
            return placement
    return None


def _cover(
    stage: Stage, target: tuple[np.ndarray, np.ndarray], cut_out: CutOut, rng: np.random.Generator
) -> tuple[Placement, float] | None:
    """An occluder where it hides all of `invisible` and as little else of the target as possible; None without a place.

    `target` is the target's amodal mask and the part to hide. Also given is the share of the occluder's overlap with
    the target that is too much.
    """
    amodal, invisible = target
    rows, columns = mask_arrays.window(invisible)
    extent = float(max(rows.stop - rows.start, columns.stop - columns.start))
    best: tuple[Placement, float] | None = None
    for _ in range(TRIES // 4):
        pose = sample_pose(cut_out, stage.scenes, rng)
        sprite = warp(cut_out, type(pose)(extent * rng.uniform(1.1, 2.2), pose.angle, pose.flipped, pose.gains))
        for _ in range(TRIES // 4):
            placement = _anywhere(sprite, _label(stage, cut_out), invisible, rng)
            mask = _on_canvas(placement, stage.scenes.size)
            if (invisible & ~mask).any():
                continue
            share = float((amodal & mask & ~invisible).sum() / (amodal & mask).sum())
            if share <= MOST_TRIMMED and (best is None or share < best[1]):
                best = placement, share
    return best


def _posed(cut_out: CutOut, scenes: SceneConfig, rng: np.random.Generator) -> Sprite:
    return warp(cut_out, sample_pose(cut_out, scenes, rng))


def _label(stage: Stage, cut_out: CutOut) -> int:
    return stage.cutouts.categories.index(cut_out.category) + 1


def _anywhere(sprite: Sprite, label: int, over: np.ndarray, rng: np.random.Generator) -> Placement:
    """The sprite with its centre somewhere over the extent of a mask (H, W)."""
    rows, columns = mask_arrays.window(over)
    height, width = sprite.mask.shape
    top = int(rng.integers(rows.start, rows.stop)) - height // 2
    return Placement(sprite, int(rng.integers(columns.start, columns.stop)) - width // 2, top, label)


def _on_canvas(placement: Placement, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
    canvas = np.zeros(size, dtype=bool)
    box, mask = placement.within(size)
    canvas[box] = mask
    return canvas


def _trimmed(placement: Placement, spared: Bool[np.ndarray, "H W"]) -> Placement:
    """The placement without its pixels over the part that it must not hide."""
    alpha = np.array(placement.sprite.image.getchannel("A"))
    height, width = alpha.shape
    rows, columns = np.mgrid[placement.top : placement.top + height, placement.left : placement.left + width]
    inside = (rows >= 0) & (rows < spared.shape[0]) & (columns >= 0) & (columns < spared.shape[1])
    alpha[inside] = np.where(spared[rows[inside], columns[inside]], 0, alpha[inside])
    image = placement.sprite.image.copy()
    image.putalpha(Image.fromarray(alpha))
    return Placement(Sprite(image, placement.sprite.category), placement.left, placement.top, placement.label)
