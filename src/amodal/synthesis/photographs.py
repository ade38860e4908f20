"""Occlusion composed on photographs: objects keep their place, cut-outs of other photographs are laid over them.

What is whole in its photograph has an exact amodal mask however it is covered afterwards. The pixels are real, and
so are the shapes of what covers them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int64, UInt8
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet
from amodal.errors import UserError
from amodal.files import read_image
from amodal.synthesis.composition import Scene
from amodal.synthesis.config import OcclusionConfig
from amodal.synthesis.cutouts import CutOutSource
from amodal.synthesis.placing import Placement
from amodal.synthesis.warping import Pose, Sprite, warp
from amodal.synthesis.wholeness import whole

TRIES = 24
"""Places tried for an occluder."""


@dataclass(frozen=True)
class Photograph:
    """A photograph with its own objects, resized.

    Attributes:
        image: RGB, uint8 (H, W, 3).
        masks: What is seen of each object, bool (N, H, W).
        labels: Places of the categories in the source's list, from 1.
        is_whole: Whether the object is seen whole, so that its mask is its amodal mask.
        names: What cut-outs of its own objects are called: none of them is laid over it.
    """

    image: UInt8[np.ndarray, "H W 3"]
    masks: Bool[np.ndarray, "N H W"]
    labels: Int64[np.ndarray, " N"]
    is_whole: Bool[np.ndarray, " N"]
    names: frozenset[str] = frozenset()


class Photographs:
    """The annotated photographs that show an object of some categories, resized to a longer side of `side` pixels.

    Args:
        annotation_set: Photographs with masks of what is seen.
        categories: Names of the categories that count; none given: all. Objects of others are background.
        merged: All of them count as one category of this name, for what is to work on any object.
        side: Longer side of a photograph, in pixels.
        min_area: Least area of a whole object at that size, in pixels.
        up_to_border: Whether an object that the border cuts counts as whole up to there, as in the field's data sets.
    """

    def __init__(
        self,
        annotation_set: AnnotationSet,
        categories: Sequence[str] = (),
        side: int = 256,
        *,
        merged: str | None = None,
        min_area: int = 256,
        up_to_border: bool = False,
    ) -> None:
        if annotation_set.image_folder is None:
            raise UserError("its images were not found", file=annotation_set.source, remedy="Name their folder")
        self.folder, self.side = annotation_set.image_folder, side
        self.min_area, self.up_to_border = min_area, up_to_border
        known = sorted(annotation_set.categories, key=lambda category: category.id)
        unknown = set(categories) - {category.name for category in known}
        if unknown:
            raise UserError(f"it has no category '{min(unknown)}'", file=annotation_set.source)
        chosen = [category for category in known if not categories or category.name in categories]
        self.categories = tuple(category.name for category in chosen) if merged is None else (merged,)
        self._label_of = {c.id: label if merged is None else 1 for label, c in enumerate(chosen, start=1)}
        self._label_of_name = {category.name: self._label_of[category.id] for category in chosen}
        self._objects = annotation_set.by_image
        self.images = [
            image
            for image in sorted(annotation_set.images, key=lambda image: image.id)
            if any(a.category_id in self._label_of and not a.is_crowd for a in self._objects.get(image.id, ()))
        ]
        if not self.images:
            raise UserError("no photograph shows an object of these categories", file=annotation_set.source)

    def __len__(self) -> int:
        return len(self.images)

    def label_of(self, category: str) -> int:
        """The label of a category's name, from 1; 0 if it does not count."""
        return self._label_of_name.get(category, 0)

    def __getitem__(self, index: int) -> Photograph:
        """A photograph, read from its file. Raises UserError where that is missing, damaged or of another size."""
        record = self.images[index]
        pixels = read_image(self.folder / record.file_name)
        size = (record.height, record.width)
        if pixels.shape[:2] != size:
            raise UserError(
                f"is {pixels.shape[1]}x{pixels.shape[0]}, the annotations say {record.width}x{record.height}",
                file=self.folder / record.file_name,
                remedy="Use the images that were annotated",
            )
        everything = self._objects[record.id]
        scale = self.side / max(size)
        is_whole = whole(everything, max(round(self.min_area / scale**2), 1), up_to_border=self.up_to_border)
        kept = [i for i, a in enumerate(everything) if a.category_id in self._label_of and not a.is_crowd]
        new_size = (max(round(size[0] * scale), 1), max(round(size[1] * scale), 1))
        image = Image.fromarray(pixels).resize((new_size[1], new_size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)
        return Photograph(
            np.asarray(image),
            _resized([everything[i] for i in kept], size, new_size),
            np.array([self._label_of[everything[i].category_id] for i in kept], dtype=np.int64),
            is_whole[kept],
            frozenset(str(a.id) for a in everything),
        )


def _resized(annotations: Sequence[Annotation], size: tuple[int, int], new_size: tuple[int, int]) -> np.ndarray:
    """Visible masks (N, H, W) at another size."""
    masks = rle.decode([annotation.visible for annotation in annotations], size)
    resized = np.zeros((len(masks), *new_size), dtype=bool)
    for own, mask in zip(resized, masks, strict=True):
        grey = Image.fromarray(mask.astype(np.uint8) * 255)
        own[:] = np.asarray(grey.resize((new_size[1], new_size[0]), Image.Resampling.BILINEAR, reducing_gap=2.0)) >= 128
    return resized


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
    rows, columns = np.flatnonzero(target.any(axis=1)), np.flatnonzero(target.any(axis=0))
    top, bottom, left, right = rows[0], rows[-1] + 1, columns[0], columns[-1] + 1
    sprite = _sprite(max(bottom - top, right - left), photograph, occluders, config, rng)
    area, own_height, own_width = int(np.count_nonzero(target)), *sprite.mask.shape
    wanted, best = float(rng.uniform(*config.occlusion_rate)), None
    gone = np.count_nonzero(target & covered)
    for _ in range(TRIES):
        x = int(rng.integers(left - own_width, right + 1))
        y = int(rng.integers(top - own_height, bottom + 1))
        place = Placement(sprite, x, y, 0)
        box, mask = place.within(target.shape)
        fresh = mask & ~covered[box]
        rate = (gone + np.count_nonzero(target[box] & fresh)) / area
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
    """Whether enough is seen of a new cut-out and, behind it, of each of the photograph's own objects."""
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
        if i < len(placements):  # the photograph's own objects share no pixels: what is seen of each is annotated
            in_front |= mask
    labels = np.concatenate([np.array(cut_out_labels, dtype=np.int64), photograph.labels])
    exact = np.concatenate([np.ones(len(placements), dtype=bool), photograph.is_whole])
    scene = Scene(np.asarray(canvas), amodal, visible, _boxes(amodal), labels, np.arange(len(amodal)), exact)
    return scene.only((labels > 0) & visible.any(axis=(1, 2)))


def _boxes(masks: Bool[np.ndarray, "N H W"]) -> np.ndarray:
    """Tight boxes, xyxy float32 (N, 4)."""
    boxes = np.zeros((len(masks), 4), dtype=np.float32)
    for box, mask in zip(boxes, masks, strict=True):
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if len(rows):
            box[:] = columns[0], rows[0], columns[-1] + 1, rows[-1] + 1
    return boxes


def photograph_of(photographs: Photographs, seed: int, index: int, group: int = 1) -> Photograph:
    """The photograph of scene `index`: each comes once before any comes again, in an order of the seed's.

    With a `group`, runs of so many scenes show photographs that are all wide or all upright, so that batches of one
    shape need little padding; what fills no group sits out one round.
    """
    wide = tuple(image.width >= image.height for image in photographs.images)
    order = _order(seed, 0, wide, group)
    epoch, place = divmod(index, len(order))
    return photographs[int(_order(seed, epoch, wide, group)[place])]


@lru_cache(maxsize=4)
def _order(seed: int, epoch: int, wide: tuple[bool, ...], group: int) -> np.ndarray:
    rng = np.random.default_rng((seed, epoch))
    if group == 1:
        return rng.permutation(len(wide))
    runs = []
    for shape in (True, False):
        members = rng.permutation(np.flatnonzero(np.array(wide) == shape))
        runs += [members[i : i + group] for i in range(0, len(members) - group + 1, group)]
    return np.concatenate([runs[i] for i in rng.permutation(len(runs))]) if runs else rng.permutation(len(wide))
