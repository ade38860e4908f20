"""Where an object goes, so that the wishes for its visible part hold."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from amodal.synthesis.config import SceneConfig
from amodal.synthesis.warping import Sprite

TRIES = 32
"""Places tried for an object before it gives up."""


@dataclass(frozen=True)
class Placement:
    """A sprite in its place: pixel (0, 0) of the sprite lies at (left, top), which may be outside the image.

    Attributes:
        sprite: The object.
        left: Column of the sprite's first pixel.
        top: Row of the sprite's first pixel.
        label: Place of its category in the source's list, from 1.
    """

    sprite: Sprite
    left: int
    top: int
    label: int

    def within(self, size: tuple[int, int]) -> tuple[tuple[slice, slice], np.ndarray]:
        """Rows and columns of an image of `size` (H, W) that the sprite reaches, and its mask there."""
        height, width = self.sprite.mask.shape
        top, bottom = max(self.top, 0), max(min(self.top + height, size[0]), 0)
        left, right = max(self.left, 0), max(min(self.left + width, size[1]), 0)
        mask = self.sprite.mask[
            max(-self.top, 0) : max(bottom - self.top, 0), max(-self.left, 0) : max(right - self.left, 0)
        ]
        return (slice(top, max(bottom, top)), slice(left, max(right, left))), mask


def find_place(
    sprite: Sprite,
    label: int,
    front: Sequence[Placement],
    covered: np.ndarray,
    config: SceneConfig,
    rng: np.random.Generator,
) -> Placement | None:
    """A random place behind the objects in `front`, which cover `covered` (H, W), or None if none was found.

    With a wanted occlusion rate, the first place that has it is taken; failing that, one that is not occluded.
    """
    if sprite.area == 0:
        return None
    unoccluded = None
    for _ in range(TRIES):
        left, top = _propose(sprite, front, config, rng)
        place = Placement(sprite, left, top, label)
        box, mask = place.within(config.size)
        inside = int(np.count_nonzero(mask))
        if inside < config.min_inside * sprite.area:
            continue
        visible = inside - int(np.count_nonzero(mask & covered[box]))
        if visible < config.min_visible_area:
            continue
        if config.occlusion_rate is None or not front:
            return place
        least, most = config.occlusion_rate
        if least <= 1 - visible / inside <= most:  # `occlusion_rates` differs in the last bit, and so would scenes
            return place
        if visible == inside:
            unoccluded = unoccluded or place
    return unoccluded


def _propose(
    sprite: Sprite, front: Sequence[Placement], config: SceneConfig, rng: np.random.Generator
) -> tuple[int, int]:
    """A place (left, top): anywhere in the image or, where occlusion is wanted, behind one of the objects in front."""
    height, width = sprite.mask.shape
    if config.occlusion_rate is not None and config.occlusion_rate[1] > 0 and front:
        occluder = front[int(rng.integers(len(front)))]
        front_height, front_width = occluder.sprite.mask.shape
        return (
            int(rng.integers(occluder.left - width, occluder.left + front_width + 1)),
            int(rng.integers(occluder.top - height, occluder.top + front_height + 1)),
        )
    slack = 1 - config.min_inside
    return _within(width, config.size[1], slack, rng), _within(height, config.size[0], slack, rng)


def _within(length: int, room: int, slack: float, rng: np.random.Generator) -> int:
    """A first pixel for `length` pixels in `room`, with up to a share `slack` of them over either edge."""
    least, most = sorted((-int(slack * length), room - length + int(slack * length)))
    return int(rng.integers(least, most + 1))
