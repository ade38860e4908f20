"""The completer behind the predictor: visible masks of a picture in, amodal masks out."""

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float32, UInt8

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.completion.crops import Crop, cut, square_around
from amodal.errors import UserError
from amodal.inference.fragments import main_part
from amodal.inference.model import Pixels

BATCH = 8
"""Objects that the network sees at a time."""
LEAST_ODDS = 4.0
"""An object is completed where the odds that something of it is hidden, times the odds that the drawn part is right
(its estimated IoU), are above this: a sharp guess asks for less certainty than a vague one. Chosen on composed scenes
of photographs that `benchmarks.complete` does not show, and on ETH-80's training scenes: more whole objects stay
whole there than by the first odds alone, and amodal masks are as good."""
MIN_GROWTH = 0.02
"""Completions that add a smaller share of the visible area are dropped: they are noise of the outline."""

Network = Callable[[Float32[np.ndarray, "B 7 S S"]], tuple[np.ndarray, np.ndarray, np.ndarray]]
"""Crops -> probabilities (B, S, S) of the amodal masks, (B,) that something is hidden, (B,) the mask's quality."""


class Completer:
    """A network that completes masks, as `amodal.inference.predictor.Model`: it finds nothing by itself."""

    categories: Sequence[Category] = (Category(1, "object"),)
    is_class_agnostic = True

    def __init__(self, network: Network) -> None:
        self.network = network

    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """Not possible: raises UserError."""
        raise UserError(
            "the completer finds no objects, it makes given ones whole",
            remedy="Use `amodal complete`, or `Predictor.complete` with visible masks; a detector finds them",
        )

    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """The objects at the prompts, in their order; masks over squares around them.

        Scores are the estimated quality of the amodal masks: 1 where nothing is hidden.

        Raises:
            UserError: There are no visible masks.
        """
        if prompts.visible is None:
            raise UserError("the completer needs visible masks", remedy="Give visible_masks; boxes are not enough")
        crops = crops_of(image, prompts.visible)
        answers = [self._answer(crops[i : i + BATCH]) for i in range(0, len(crops), BATCH)]
        side = crops[0].inputs.shape[-1] if crops else 1
        masks = np.concatenate([masks for masks, _ in answers]) if answers else np.zeros((0, side, side), np.float32)
        quality = np.concatenate([quality for _, quality in answers]) if answers else np.zeros(0, np.float32)
        boxes = np.array([crop.square for crop in crops], dtype=np.float32).reshape(-1, 4)
        return BoxedMasks(boxes, np.ones(len(crops), dtype=np.int64), quality, masks, None)

    def _answer(self, crops: Sequence[Crop]) -> tuple[np.ndarray, np.ndarray]:
        inputs = np.stack([crop.inputs for crop in crops])
        probabilities, occluded, quality = self.network(inputs)
        masks, is_completed = gated(probabilities, occluded, quality, inputs[:, 3])
        return masks, np.where(is_completed, quality, 1).astype(np.float32)


def crops_of(image: UInt8[np.ndarray, "H W 3"], visible: Bool[np.ndarray, "N H W"]) -> list[Crop]:
    """The crop of every object; each sees where the others are. An empty mask looks at the whole picture.

    Small pieces of a mask that lie far from the rest do not widen the square, so that a crop may lack them.
    """
    together = visible.sum(axis=0, dtype=np.int32)
    height, width = image.shape[:2]
    crops = []
    for mask in visible:
        square = square_around(main_part(mask)) if mask.any() else (0, 0, max(height, width), max(height, width))
        others = together > mask if len(visible) > 1 else None
        crops.append(cut(image, mask, others, square))
    return crops


def gated(
    probabilities: Float32[np.ndarray, "B S S"],
    occluded: Float32[np.ndarray, " B"],
    quality: Float32[np.ndarray, " B"],
    visible: Float32[np.ndarray, "B S S"],
) -> tuple[Float32[np.ndarray, "B S S"], Bool[np.ndarray, " B"]]:
    """The masks of objects that are completed, nothing for those that stay as they are; and which are completed.

    Args:
        probabilities: Of the amodal masks.
        occluded: Probabilities that something is hidden.
        quality: Estimated IoU of what is drawn of it.
        visible: The share of each cell that is visible.
    """
    beyond = (probabilities > 0.5) & (visible < 0.5)
    growth = beyond.sum(axis=(1, 2)) / np.maximum((visible >= 0.5).sum(axis=(1, 2)), 1)
    is_likely = occluded * quality > LEAST_ODDS * (1 - occluded) * (1 - quality)
    is_completed = is_likely & (growth >= MIN_GROWTH) & visible.any(axis=(1, 2))
    return np.where(is_completed[:, None, None], probabilities, np.float32(0)), is_completed


def load(path: str | Path, device: str | None = None) -> Completer:
    """The completer of a file, run by PyTorch on a device. Raises UserError for a file or device that is not there."""
    return Completer(_network(path, device))


def load_late(path: str | Path, device: str | None = None) -> Completer:
    """As `load`, but the file is read when the first object is completed, and what is wrong with it is raised then."""
    loaded = cache(_network)

    def network(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return loaded(path, device)(crops)

    return Completer(network)


def _network(path: str | Path, device: str | None) -> Network:
    import torch

    from amodal import processes
    from amodal.completion import checkpoint
    from amodal.models.quick import quicken

    chosen = processes.choose_device(device or "auto")
    model = checkpoint.load(path, chosen)
    quicken(model)

    @torch.inference_mode()
    def network(crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        found = model(torch.from_numpy(crops).to(chosen).contiguous(memory_format=torch.channels_last))
        parts = found.logits.sigmoid(), found.occluded_logits.sigmoid(), found.quality
        masks, occluded, quality = (part.float().cpu().numpy() for part in parts)
        return masks, occluded, quality

    return network
