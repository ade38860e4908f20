"""Cut-outs laid over a background in depth order: an image whose amodal and visible masks are known exactly."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image

from amodal import mask_arrays, rle
from amodal.annotations import Annotation
from amodal.synthesis.backgrounds import Backgrounds
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutouts import CutOut, CutOutSource
from amodal.synthesis.placing import Placement, find_place
from amodal.synthesis.warping import Pose, cast_shadow, warp


@dataclass(frozen=True)
class Scene:
    """A composed image and its truth. Objects are ordered from the nearest to the farthest.

    Attributes:
        image: RGB, uint8 (H, W, 3).
        amodal: Whole objects within the image, bool (N, H, W).
        visible: Their visible parts, bool (N, H, W): amodal and not covered by any nearer object's amodal mask.
        boxes: Around the amodal masks, xyxy pixels, float32 (N, 4); zeros for an object outside the image.
        labels: Places of the categories in the source's list, from 1, int64 (N,).
        depth_order: 0 for the nearest object, int64 (N,).
        exact: Whether the amodal mask is the whole object, bool (N,); None: all are. Where it is False only what is
            visible is known, and the amodal mask is that.
    """

    image: np.ndarray
    amodal: np.ndarray
    visible: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    depth_order: np.ndarray
    exact: np.ndarray | None = None

    def only(self, keep: np.ndarray) -> "Scene":
        """The scene with the objects that `keep`, bool (N,), says; depth order is counted anew."""
        return Scene(
            self.image,
            self.amodal[keep],
            self.visible[keep],
            self.boxes[keep],
            self.labels[keep],
            np.argsort(np.argsort(self.depth_order[keep])),
            None if self.exact is None else self.exact[keep],
        )


def scene_rng(seed: int, index: int) -> np.random.Generator:
    """The random numbers of scene `index` of the data set `seed`: the same in whichever process it is composed."""
    return np.random.default_rng(np.random.SeedSequence((seed, index)))


def compose(source: CutOutSource, backgrounds: Backgrounds, config: SceneConfig, rng: np.random.Generator) -> Scene:
    """A random scene; the same for the same arguments and random state.

    Objects are placed from the front to the back, so that an object's visible part is final as soon as it has its
    place, and a place that breaks a wish of `config` can be refused at once.
    """
    background = backgrounds.sample(config.size, rng)
    covered = np.zeros(config.size, dtype=bool)
    placements: list[Placement] = []
    for _ in range(int(rng.integers(config.num_objects[0], config.num_objects[1] + 1))):
        for _ in range(3):  # an object that fits nowhere gives its turn to another, then the turn lapses
            cut_out = source.sample(rng)
            sprite = warp(cut_out, sample_pose(cut_out, config, rng))
            label = source.categories.index(cut_out.category) + 1
            placement = find_place(sprite, label, placements, covered, config, rng)
            if placement is not None:
                box, mask = placement.within(config.size)
                covered[box] |= mask
                placements.append(placement)
                break
    return render(background, placements, config.shadow)


def render(background: np.ndarray, placements: Sequence[Placement], shadow: float = 0.0) -> Scene:
    """The scene of given placements, nearest first, over a background (H, W, 3).

    Pure: a figure of one object behind several occluders is a few calls of it with different `placements[0]`.
    """
    height, width = background.shape[:2]
    canvas = Image.fromarray(np.ascontiguousarray(background))
    for placement in reversed(placements):
        if shadow > 0:
            cast_shadow(canvas, placement.sprite, placement.left, placement.top, shadow)
        canvas.paste(placement.sprite.image, (placement.left, placement.top), placement.sprite.image)
    shape = (len(placements), height, width)
    amodal, visible = np.zeros(shape, dtype=bool), np.zeros(shape, dtype=bool)
    boxes, covered = np.zeros((len(placements), 4), dtype=np.float32), np.zeros((height, width), dtype=bool)
    for i, placement in enumerate(placements):
        box, mask = placement.within((height, width))
        amodal[i][box] = mask
        visible[i][box] = mask & ~covered[box]
        covered[box] |= mask
        boxes[i] = _tight_box(mask, box)
    labels = np.array([placement.label for placement in placements], dtype=np.int64)
    return Scene(np.asarray(canvas), amodal, visible, boxes, labels, np.arange(len(placements)))


def _tight_box(mask: np.ndarray, place: tuple[slice, slice]) -> tuple[int, int, int, int]:
    """The xyxy box, in the image's pixels, of a mask (h, w) that lies at `place` (rows, columns); zeros if empty."""
    rows, columns = mask_arrays.window(mask)
    if not rows.stop:
        return 0, 0, 0, 0
    top, left = place[0].start, place[1].start
    return left + columns.start, top + rows.start, left + columns.stop, top + rows.stop


def encode_scene(
    scene: Scene, image_id: int, first_annotation_id: int, category_ids: Sequence[int]
) -> list[Annotation]:
    """The scene's objects as annotations of image `image_id`; label l is category `category_ids[l - 1]`.

    Objects whose amodal mask nobody knows are crowds: neither found nor missed in a score.
    """
    masks = zip(rle.encode(scene.amodal), rle.encode(scene.visible), strict=True)
    return [
        Annotation(
            id=first_annotation_id + i,
            image_id=image_id,
            category_id=category_ids[int(scene.labels[i]) - 1],
            amodal=amodal,
            visible=visible,
            depth_order=int(scene.depth_order[i]),
            is_crowd=scene.exact is not None and not scene.exact[i],
        )
        for i, (amodal, visible) in enumerate(masks)
    ]


def sample_pose(cut_out: CutOut, config: SceneConfig, rng: np.random.Generator) -> Pose:
    """A random pose within the ranges of `config`."""
    length = rng.uniform(*config.scale) * min(config.size)
    angle, flipped = rng.uniform(-config.rotation, config.rotation), bool(rng.random() < config.flip)
    brightness = 1 + rng.uniform(-config.brightness, config.brightness)
    red, green, blue = (brightness * (1 + rng.uniform(-config.colour, config.colour)) for _ in range(3))
    return Pose(max(length, 4.0), angle, flipped, (red, green, blue))
