"""Occlusion composed on photographs: objects keep their place, cut-outs of other photographs are laid over them.

What is whole in its photograph has an exact amodal mask however it is covered afterwards. The pixels are real, and
so are the shapes of what covers them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool
from PIL import Image

from amodal import mask_arrays
from amodal.synthesis.composition import Scene, scene_rng
from amodal.synthesis.config import OcclusionConfig
from amodal.synthesis.cutouts import CutOutSource
from amodal.synthesis.photographs import Photograph, Photographs, photograph_of
from amodal.synthesis.placing import Placement
from amodal.synthesis.warping import Pose, Sprite, warp

TRIES = 24
"""Places tried for an occluder."""


@dataclass(frozen=True)
class CoveredSeries:
    """Covered photographs 0, 1, ... of a seed: everything that they follow from. Can be sent to another process.

    Attributes:
        photographs: What is covered.
        occluders: Cut-outs that cover.
        config: How things are covered.
        seed: Of all scenes.
        category_ids: Id of each of the photographs' categories.
        group: So many consecutive scenes show photographs that are all wide or all upright.
    """

    photographs: Photographs
    occluders: CutOutSource
    config: OcclusionConfig
    seed: int
    category_ids: tuple[int, ...]
    group: int = 1

    def scene(self, index: int) -> Scene:
        """Scene `index`: the same whenever and in whichever process it is asked for."""
        photograph = photograph_of(self.photographs, self.seed, index, self.group)
        rng = scene_rng(self.seed, index)
        return cover(photograph, self.occluders, self.photographs.label_of, self.config, rng)


def cover(
    photograph: Photograph,
    occluders: CutOutSource,
    label_of: Callable[[str], int],
    config: OcclusionConfig,
    rng: np.random.Generator,
) -> Scene:
    """The photograph with cut-outs laid over its whole objects; a share of photographs stays as it is.

    The scene's objects are the cut-outs, nearest first, then the photograph's own. `exact` is False for objects whose
    amodal mask nobody knows: those that were not whole in the photograph.

    Args:
        photograph: What is covered.
        occluders: Cut-outs; those of the photograph itself are passed over.
        label_of: The label of a cut-out's category; those of label 0 cover, but are no objects.
        config: How much is covered, and by what.
        rng: Random state; the scene is the same for the same arguments and state.
    """
    height, width = photograph.image.shape[:2]
    whole_ones = np.flatnonzero(photograph.is_whole)
    placements: list[Placement] = []  # nearest first
    covered = np.zeros((height, width), dtype=bool)
    if len(whole_ones) and rng.random() >= config.untouched:
        for _ in range(int(rng.integers(config.num_occluders[0], config.num_occluders[1] + 1))):
            target = photograph.masks[whole_ones[int(rng.integers(len(whole_ones)))]]
            placement = _place(target, photograph, covered, occluders, config, rng)
            if placement is not None:
                box, mask = placement.within((height, width))
                covered[box] |= mask
                placements.append(placement)
    labels = [label_of(placement.sprite.category) for placement in placements]
    return _scene(photograph, placements, labels)


def _place(
    target: Bool[np.ndarray, "H W"],
    photograph: Photograph,
    covered: Bool[np.ndarray, "H W"],
    occluders: CutOutSource,
    config: OcclusionConfig,
    rng: np.random.Generator,
) -> Placement | None:
    """A cut-out behind the earlier ones and before the target, about as much of which is hidden then as is wanted.

    The wanted rate is drawn evenly from the range, so that heavy occlusion is as frequent as light. None if no place
    leaves the target's rate within the range and enough of everything visible.
    """
    rows, columns = mask_arrays.window(target)
    top, bottom, left, right = rows.start, rows.stop, columns.start, columns.stop
    sprite = _sprite(max(bottom - top, right - left), photograph, occluders, config, rng)
    area, own_height, own_width = int(np.count_nonzero(target)), *sprite.mask.shape
    wanted, best = float(rng.uniform(*config.occlusion_rate)), None
    gone = int(np.count_nonzero(target & covered))
    for _ in range(TRIES):
        x = int(rng.integers(left - own_width, right + 1))
        y = int(rng.integers(top - own_height, bottom + 1))
        place = Placement(sprite, x, y, 0)
        box, mask = place.within(target.shape)
        fresh = mask & ~covered[box]
        rate = float(mask_arrays.occlusion_rates(area, area - gone - int(np.count_nonzero(target[box] & fresh))))
        if not config.occlusion_rate[0] <= rate <= config.occlusion_rate[1]:
            continue
        if (best is None or abs(rate - wanted) < best[0]) and _leaves_enough(photograph, covered, box, fresh, config):
            best = abs(rate - wanted), place
    return None if best is None else best[1]


def _leaves_enough(
    photograph: Photograph,
    covered: Bool[np.ndarray, "H W"],
    box: tuple[slice, slice],
    fresh: Bool[np.ndarray, "h w"],
    config: OcclusionConfig,
) -> bool:
    """Whether enough is visible of a new cut-out and, behind it, of each of the photograph's own objects."""
    if np.count_nonzero(fresh) < config.min_visible_area:
        return False
    after = covered.copy()
    after[box] |= fresh
    return all(np.count_nonzero(own & ~after) >= config.min_visible_area for own in photograph.masks)


def _sprite(
    length: int, photograph: Photograph, occluders: CutOutSource, config: OcclusionConfig, rng: np.random.Generator
) -> Sprite:
    """A cut-out as large as the target times a random factor, its colours drawn towards the photograph's."""
    cut_out = occluders.sample(rng)
    while cut_out.name in photograph.names:
        cut_out = occluders.sample(rng)
    gains = _gains(cut_out.pixels, cut_out.alpha, photograph.image, float(rng.uniform(0, config.colour_match)))
    size = max(float(rng.uniform(*config.scale)) * length, 4.0)
    angle = float(rng.uniform(-config.rotation, config.rotation))
    return warp(cut_out, Pose(size, angle, bool(rng.random() < config.flip), gains))


def _gains(pixels: np.ndarray, alpha: np.ndarray, image: np.ndarray, strength: float) -> tuple[float, float, float]:
    """Factors of red, green and blue that take a cut-out's mean colour a share `strength` towards the image's."""
    own = pixels[alpha >= 128][::7].mean(axis=0) + 8
    red, green, blue = np.clip(((image[::8, ::8].mean(axis=(0, 1)) + 8) / own) ** strength, 0.5, 1.6).tolist()
    return red, green, blue


def _scene(photograph: Photograph, placements: Sequence[Placement], cut_out_labels: Sequence[int]) -> Scene:
    """Pixels and truth of a photograph with cut-outs before it, nearest first."""
    size = (photograph.image.shape[0], photograph.image.shape[1])
    canvas = Image.fromarray(photograph.image)
    for placement in reversed(placements):
        canvas.paste(placement.sprite.image, (placement.left, placement.top), placement.sprite.image)
    amodal = np.zeros((len(placements) + len(photograph.masks), *size), dtype=bool)
    for own, placement in zip(amodal, placements, strict=False):
        box, mask = placement.within(size)
        own[box] = mask
    amodal[len(placements) :] = photograph.masks
    in_front = np.zeros(size, dtype=bool)
    visible = np.zeros_like(amodal)
    for i, mask in enumerate(amodal):
        visible[i] = mask & ~in_front
        if i < len(placements):  # the photograph's own objects share no pixels: what is visible of each is annotated
            in_front |= mask
    labels = np.concatenate([np.array(cut_out_labels, dtype=np.int64), photograph.labels])
    exact = np.concatenate([np.ones(len(placements), dtype=bool), photograph.is_whole])
    scene = Scene(np.asarray(canvas), amodal, visible, mask_arrays.boxes(amodal), labels, np.arange(len(amodal)), exact)
    return scene.only((labels > 0) & visible.any(axis=(1, 2)))
