"""The paper's figure 3: the shape prior's post-process at work.

Of two overlapping candidates the one with the better class score wins suppression, even where its mask is worse.
Re-scoring multiplies the class score by how familiar the mask's shape is (and by the second opinion on the class), and
so can turn the order round. Found here is every pair whose winner changed, and whether it changed for the better.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, UInt8
from PIL import Image
from torch import Tensor
from torchvision.ops import batched_nms, box_iou

from amodal import masks
from amodal.boxed_masks import BoxedMasks
from amodal.data.dataset import Sample
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.errors import UserError
from amodal.models.boxes import all_regions
from amodal.models.rescoring import Candidates
from amodal.paper.silhouettes import silhouettes
from amodal.paper.trained import Trained, pixels_of
from amodal.results.result import Result

CHUNK = 128
"""Candidates that get their masks at a time."""


@dataclass(frozen=True)
class Candidate:
    """One of a pair. `factors` are re-scoring's; `iou` is its amodal mask's best IoU with an object of its class."""

    box: np.ndarray
    mask: np.ndarray
    class_score: float
    factors: dict[str, float]
    score: float
    iou: float


@dataclass(frozen=True)
class Turn:
    """Two candidates of a class that overlap too much for both: `before` wins by class score, `after` by re-scoring."""

    image_id: int
    category: str
    before: Candidate
    after: Candidate

    @property
    def is_better(self) -> bool:
        """Whether the winner's mask is nearer to the truth than the old winner's."""
        return self.after.iou > self.before.iou

    @property
    def change(self) -> float:
        """By what factor re-scoring changed the ratio of the two scores, at least 1."""
        return (self.before.class_score * self.after.score) / max(self.after.class_score * self.before.score, 1e-12)

    @property
    def turned_by(self) -> tuple[str, ...]:
        """The factors that would have turned the order round alone; it may take them together."""
        first, second = self.before, self.after
        return tuple(
            name
            for name in first.factors
            if first.class_score * first.factors[name] < second.class_score * second.factors[name]
        )

    def to_json(self) -> dict[str, object]:
        """The numbers without masks."""
        pair = {
            name: {
                "class_score": round(one.class_score, 4),
                **{f"factor_{k}": round(v, 4) for k, v in one.factors.items()},
                "score": round(one.score, 4),
                "iou": round(one.iou, 4),
            }
            for name, one in (("before", self.before), ("after", self.after))
        }
        end = {"turned_by": self.turned_by, "is_better": self.is_better}
        return {"image_id": self.image_id, "category": self.category, **pair, **end}


@dataclass(frozen=True)
class _Scored:
    """An image's candidates with everything that suppression could go by; masks in the image's own pixels."""

    candidates: Candidates
    factors: dict[str, Tensor]
    scores: Tensor
    boxes: Float[Tensor, "N 4"]
    masks: Float[Tensor, "N S S"]

    def pasted(self, index: int, size: tuple[int, int]) -> Bool[np.ndarray, "H W"]:
        """One candidate's mask in an image of `size` (height, width)."""
        box, mask = (one[index : index + 1].cpu().numpy() for one in (self.boxes, self.masks))
        amodal, _ = BoxedMasks(box, np.ones(1, np.int64), np.ones(1, np.float32), mask, None).pasted(size)
        assert amodal is not None
        return amodal[0]


@torch.inference_mode()
def turns(trained: Trained, sample: Sample, score_threshold: float = 0.3) -> list[Turn]:
    """The pairs of an image whose winner changed, in the order of `in_order`.

    Args:
        trained: The model.
        sample: The image and its truth.
        score_threshold: Pairs whose old winner has a lower class score are left out: nobody would have looked at it.

    Raises:
        UserError: The model does not re-score.
    """
    model = trained.model
    pixels = sample["image"]
    scored = _score(trained, pixels)
    candidates, iou = scored.candidates, model.boxes.config.nms_threshold
    by_class = batched_nms(candidates.boxes, candidates.scores, candidates.labels, iou)
    by_all = batched_nms(candidates.boxes, scored.scores, candidates.labels, iou)
    pairs = _changed(candidates, scored.scores, (by_class, by_all), iou)
    target, size = sample["target"], (pixels.shape[1], pixels.shape[2])

    def candidate(index: int) -> Candidate:
        mask = torch.from_numpy(scored.pasted(index, size))
        own = target["amodal_masks"][target["labels"] == candidates.labels[index].cpu()]
        return Candidate(
            scored.boxes[index].cpu().numpy(),
            mask.numpy(),
            float(candidates.scores[index]),
            {name: float(values[index]) for name, values in scored.factors.items()},
            float(scored.scores[index]),
            float(masks.ious(mask.expand_as(own), own).amax()) if len(own) else 0.0,
        )

    pairs = pairs[candidates.scores[pairs[:, 0]] >= score_threshold]
    names = [trained.categories[label - 1].name for label in candidates.labels.tolist()]
    found = [
        Turn(sample["image_id"], names[before], candidate(before), candidate(after)) for before, after in pairs.tolist()
    ]
    return in_order(found)


def in_order(found: Sequence[Turn]) -> list[Turn]:
    """Those that the shape prior turned alone first, as the paper's figure shows one; largest change first."""
    return sorted(found, key=lambda turn: ("prior" not in turn.turned_by, -turn.change))


def _score(trained: Trained, image: UInt8[Tensor, "3 H W"]) -> _Scored:
    """All candidates of an image above the score threshold, each with its own mask and factors."""
    branch = trained.model.branch
    if not branch.rescores:
        raise UserError(f"{trained.label} does not re-score its candidates", remedy="Name a VRSP model")
    ((encoded, candidates),) = trained.model.candidates([image])
    regions = all_regions([candidates.boxes], [candidates.labels])
    starts = range(0, len(regions), CHUNK)
    parts = [branch.predict(encoded.features, regions[start : start + CHUNK]) for start in starts]
    empty = candidates.scores.new_zeros(0)
    factors = tuple(torch.cat([empty, *(part.factors[i] for part in parts)]) for i in range(len(branch.factor_names)))
    found = [part.amodal for part in parts if part.amodal is not None]
    return _Scored(
        candidates,
        dict(zip(branch.factor_names, factors, strict=True)),
        branch.rescored(candidates.scores, factors),
        candidates.boxes / encoded.scale.repeat(2),
        torch.cat(found).float() if found else candidates.scores.new_zeros((0, 1, 1)),
    )


def _changed(candidates: Candidates, scores: Tensor, kept: tuple[Tensor, Tensor], iou: float) -> Tensor:
    """Pairs (before, after) of which suppression chose the other one after re-scoring, as indices, (P, 2).

    Before was kept by class score alone, after by re-scoring alone; they are of the same class, overlap by more than
    `iou`, and their order turned round.
    """
    only_before = kept[0][~torch.isin(kept[0], kept[1])]
    only_after = kept[1][~torch.isin(kept[1], kept[0])]
    overlaps = box_iou(candidates.boxes[only_before], candidates.boxes[only_after]) > iou
    same = candidates.labels[only_before][:, None] == candidates.labels[only_after][None]
    turned: Bool[Tensor, "B A"] = (candidates.scores[only_before][:, None] >= candidates.scores[only_after][None]) & (
        scores[only_before][:, None] <= scores[only_after][None]
    )
    before, after = torch.where(overlaps & same & turned)
    return torch.stack([only_before[before], only_after[after]], 1)


def summarise(found: Sequence[Turn], num_images: int) -> dict[str, float | int | None]:
    """How often the winner changed and by what, and how often and how much for the better; None without any change."""
    gains = [turn.after.iou - turn.before.iou for turn in found]
    return {
        "images": num_images,
        "turned_pairs": len(found),
        "turned_by_prior_alone": sum("prior" in turn.turned_by for turn in found),
        "turned_by_reclassification_alone": sum("reclassification" in turn.turned_by for turn in found),
        "better": round(float(np.mean([turn.is_better for turn in found])), 4) if found else None,
        "mean_iou_gain": round(float(np.mean(gains)), 4) if found else None,
    }


def picture(found: Sequence[tuple[Sample, Turn]], side: int = 360, *, photographs: bool = True) -> Image.Image:
    """A row for each pair: who won by class score on the left, who wins by re-scoring on the right.

    Drawn over the images, or without `photographs` over silhouettes of the true objects.
    """
    tiles = []
    for sample, turn in found:
        shown = pixels_of(sample) if photographs else silhouettes(sample["target"]["visible_masks"].numpy())
        for one in (turn.before, turn.after):
            factors = " x ".join(f"{value:.2g}" for value in (one.class_score, *one.factors.values()))
            tiles.append(Tile(_drawn(shown, one), f"{factors} -> {one.score:.2g}; IoU {one.iou:.2f}"))
    return contact_sheet(tiles, headings=("best class score", "best after re-scoring"), side=side)


def _drawn(pixels: np.ndarray, candidate: Candidate) -> Image.Image:
    box, mask = candidate.box[None].astype(np.float32), candidate.mask[None]
    result = Result(box, np.array([1]), np.ones(1, np.float32), (), mask, None)
    return result.draw(pixels, Style(labels=False))
