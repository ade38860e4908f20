"""The paper's figure 1: one object, its same part hidden by different occluders. Does the completion stay the same?

A method that looks at the occluder's pixels completes the object differently behind each; one that looks at the
visible region alone cannot. Measured is the agreement: the mean IoU of a method's invisible parts over pairs of
occluders. The visible part is the same in all of them, and every method gets the true box and class, so that what
differs is its mask branch.
"""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image

from amodal import masks
from amodal.boxed_masks import Prompts
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.errors import UserError
from amodal.paper.silhouettes import silhouettes
from amodal.paper.subjects import Subject
from amodal.paper.trained import Trained
from amodal.results.result import Result


@torch.inference_mode()
def completions(model: Trained, subject: Subject) -> Bool[np.ndarray, "M H W"]:
    """The target's invisible part as the model sees it, behind each occluder: its mask beyond the visible part."""
    images = [torch.from_numpy(image.copy()).permute(2, 0, 1) for image in subject.images]
    box = masks.boxes(torch.from_numpy(subject.amodal)[None]).numpy()
    prompts = Prompts(box, np.array([subject.label]))
    found = []
    for answer in model.model.complete(images, [prompts] * len(images)):
        amodal, _ = answer.pasted((subject.amodal.shape[0], subject.amodal.shape[1]))
        if amodal is None:
            raise UserError(f"{model.label} predicts visible masks only", remedy="Name models with amodal masks")
        found.append(amodal[0])
    return np.stack(found) & ~(subject.amodal & ~subject.invisible)


def agreement(invisible: Bool[np.ndarray, "M H W"]) -> float:
    """Mean IoU over all pairs of masks, in [0, 1]; two empty masks agree."""
    return float(np.mean([iou(a, b) for a, b in combinations(invisible, 2)]))


def iou(first: Bool[np.ndarray, "H W"], second: Bool[np.ndarray, "H W"]) -> float:
    """IoU of two masks; 1 where both are empty."""
    either = np.count_nonzero(first | second)
    return np.count_nonzero(first & second) / either if either else 1.0


def measure(models: Sequence[Trained], found: Sequence[Subject]) -> list[dict[str, float | str]]:
    """A row for each model: mean agreement over subjects, and mean IoU of its invisible parts with the truth."""
    rows: list[dict[str, float | str]] = []
    for model in models:
        parts = [completions(model, subject) for subject in found]
        right = [iou(part, subject.invisible) for subject, own in zip(found, parts, strict=True) for part in own]
        rows.append(
            {
                "method": model.label,
                "agreement": round(float(np.mean([agreement(own) for own in parts])), 4),
                "hidden_iou": round(float(np.mean(right)), 4),
            }
        )
    return rows


def picture(
    models: Sequence[Trained], found: Sequence[Subject], side: int = 240, *, photographs: bool = True
) -> Image.Image:
    """For each subject its images, then each model's completion of the target; invisible parts hatched.

    Drawn over the images, or without `photographs` over silhouettes of the true objects.
    """
    tiles: list[Tile] = []
    columns = len(found[0].images) + 1
    for subject in found:
        images = subject.images if photographs else _silhouettes(subject)
        truth = _drawn(subject, subject.invisible, images[0])
        tiles += [Tile(image, name) for image, name in zip(images, subject.occluders, strict=True)]
        tiles.append(Tile(truth, "truth"))
        for model in models:
            parts = completions(model, subject)
            tiles += [
                Tile(_drawn(subject, p, i), f"IoU {iou(p, subject.invisible):.2f}")
                for p, i in zip(parts, images, strict=True)
            ]
            tiles.append(Tile(_overlay(parts), f"{model.label}: agreement {agreement(parts):.2f}"))
    return contact_sheet(tiles, columns=columns, side=side)


def _silhouettes(subject: Subject) -> list[np.ndarray]:
    return [silhouettes(np.stack([subject.amodal, front])) for front in subject.occluder_masks]


def _drawn(subject: Subject, invisible: np.ndarray, image: UInt8[np.ndarray, "H W 3"]) -> Image.Image:
    visible = subject.amodal & ~subject.invisible
    box = masks.boxes(torch.from_numpy(subject.amodal)[None]).numpy()
    result = Result(box, np.array([1]), np.ones(1, np.float32), (), (visible | invisible)[None], visible[None])
    return result.draw(image, Style(labels=False))


def _overlay(parts: Bool[np.ndarray, "M H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """How many of the completions claim each pixel: from white, none, to dark, all."""
    share = parts.mean(axis=0)
    return np.stack([255 - share * (255 - ink) for ink in (20, 60, 120)], axis=-1).astype(np.uint8)
