"""Training crops of the completer: objects of composed scenes, covered and whole ones."""

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float
from PIL import Image
from torch import Tensor
from torch.utils.data import Dataset

from amodal import mask_arrays
from amodal.completion.config import CompleterTraining
from amodal.completion.crops import CONTEXT, cut, resample, square_around
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.composition import Scene, compose, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.covering import cover
from amodal.synthesis.cutouts import CutOut, CutOutSource
from amodal.synthesis.photographs import Photographs, photograph_of
from amodal.synthesis.shapes import DrawnCutOuts

MIN_VISIBLE_AREA = 48
"""Pixels; less is not worth a guess."""
OCCLUDED_SHARE = 0.65
"""How many of the crops are of covered objects, where a scene has some."""


@dataclass(frozen=True)
class CropBatch:
    """Crops and their truth.

    Attributes:
        inputs: As `amodal.completion.crops.Crop.inputs`, one after the other.
        amodal: The whole objects within the crops.
    """

    inputs: Float[Tensor, "B 7 S S"]
    amodal: Bool[Tensor, "B S S"]


class OccluderMix:
    """Cut-outs that cover: of photographs, drawn evenly from objects or from categories, and drawn shapes."""

    def __init__(self, by_object: CutOutSource, by_category: CutOutSource, drawn: CutOutSource) -> None:
        self.sources, self.shares = (by_object, by_category, drawn), (0.55, 0.3, 0.15)
        self.categories = (*by_object.categories, *drawn.categories)

    def sample(self, rng: np.random.Generator) -> CutOut:
        """A cut-out of one of the sources."""
        return self.sources[int(rng.choice(3, p=self.shares))].sample(rng)


class CropBatches(Dataset[CropBatch | UserError]):
    """Item `step` is that step's batch; the same for the same seed and step, in whichever process."""

    def __init__(self, config: CompleterTraining) -> None:
        annotations = annotation_files.read(config.annotations, config.images)
        self.config = config
        self.photographs = Photographs(annotations, side=config.side)
        self.occluders = OccluderMix(
            AnnotatedCutOuts(annotations, uniform="objects"), AnnotatedCutOuts(annotations), DrawnCutOuts("all")
        )
        self.drawn, self.drawn_backgrounds = DrawnCutOuts("all"), open_backgrounds("drawn", "all")
        self.drawn_scenes = SceneConfig(size=(192, 192), num_objects=(3, 6), occlusion_rate=(0.0, 0.7))

    def __getitem__(self, step: int) -> CropBatch | UserError:
        try:
            return self._batch(step)
        except UserError as error:  # raised in a worker it would reach the user as that worker's traceback
            return error

    def _batch(self, step: int) -> CropBatch:
        inputs, truths = [], []
        number = step * self.config.batch_size * 4  # more scenes than crops, for those that have nothing to offer
        while len(inputs) < self.config.batch_size:
            rng = scene_rng(self.config.seed, number)
            scene = self.scene(number, rng)
            for index in chosen(scene, self.config.crops_per_scene, rng):
                crop, amodal = sample(scene, index, rng)
                inputs.append(crop)
                truths.append(amodal)
            number += 1
        size = self.config.batch_size
        return CropBatch(torch.from_numpy(np.stack(inputs[:size])), torch.from_numpy(np.stack(truths[:size])))

    def scene(self, number: int, rng: np.random.Generator) -> Scene:
        """Scene `number`: a covered photograph, or drawn objects."""
        if rng.random() < self.config.drawn_share:
            return compose(self.drawn, self.drawn_backgrounds, self.drawn_scenes, rng)
        photograph = photograph_of(self.photographs, self.config.seed, number // 2)
        return cover(photograph, self.occluders, self.photographs.label_of, self.config.occlusion, rng)


def chosen(scene: Scene, count: int, rng: np.random.Generator) -> list[int]:
    """Up to `count` objects whose whole shape is known, covered ones by preference."""
    exact = np.ones(len(scene.labels), dtype=bool) if scene.exact is None else scene.exact
    visible, amodal = scene.visible.sum(axis=(1, 2)), scene.amodal.sum(axis=(1, 2))
    usable = exact & (visible >= MIN_VISIBLE_AREA)
    covered, whole = np.flatnonzero(usable & (visible < amodal)), np.flatnonzero(usable & (visible == amodal))
    picked: list[int] = []
    for _ in range(count):
        pool = covered if len(covered) and (rng.random() < OCCLUDED_SHARE or not len(whole)) else whole
        if len(pool):
            picked.append(int(pool[int(rng.integers(len(pool)))]))
    return list(dict.fromkeys(picked))


def sample(scene: Scene, index: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """One object's input (7, S, S) and amodal mask (S, S), cropped a little at random.

    The visible mask is sometimes as coarse as a detector's, the other objects are given half of the time, and half
    of the crops are mirrored.
    """
    visible, others = scene.visible[index], None
    if rng.random() < 0.5:
        others = np.asarray(np.delete(scene.visible, index, axis=0).any(axis=0), dtype=bool)
    if rng.random() < 0.2:
        visible = roughened(visible, rng)
    square = square_around(visible, CONTEXT * float(rng.uniform(0.85, 1.2)), tuple(rng.uniform(-0.06, 0.06, 2)))
    inputs = cut(scene.image, visible, others, square).inputs
    amodal = resample(scene.amodal[index], square) >= 0.5
    amodal |= inputs[3] >= 0.5
    return (inputs[:, :, ::-1].copy(), amodal[:, ::-1].copy()) if rng.random() < 0.5 else (inputs, amodal)


def roughened(mask: Bool[np.ndarray, "H W"], rng: np.random.Generator) -> Bool[np.ndarray, "H W"]:
    """The mask as if from 20 to 40 cells across its box, as detectors give it; the mask itself if nothing is left."""
    box = mask_arrays.window(mask)
    part = Image.fromarray(mask[box].view(np.uint8) * 255)
    cells = int(rng.integers(20, 41))
    back = part.resize((cells, cells), Image.Resampling.BOX).resize(part.size, Image.Resampling.BILINEAR)
    rough = np.zeros_like(mask)
    rough[box] = np.asarray(back) >= int(rng.integers(96, 160))
    return rough if np.count_nonzero(rough) >= MIN_VISIBLE_AREA else mask
