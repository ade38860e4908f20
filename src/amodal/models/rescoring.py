"""Which candidates become detections: non-maximum suppression, with scores corrected by each candidate's own mask."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms, box_iou


@dataclass(frozen=True)
class Candidates:
    """Boxes of one image with a class each, above the score threshold, before suppression."""

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    scores: Float[Tensor, " N"]

    def at(self, which: Int64[Tensor, " M"]) -> "Candidates":
        """The candidates at these indices."""
        return Candidates(self.boxes[which], self.labels[which], self.scores[which])


@dataclass(frozen=True)
class SuppressionLimits:
    """Which candidates are detections.

    Attributes:
        iou_threshold: Candidates of one class overlapping a better one by more than this are dropped.
        max_detections: Of an image.
        score_threshold: Candidates that score less are dropped.
    """

    iou_threshold: float
    max_detections: int
    score_threshold: float = 0.0


def suppress(candidates: Candidates, iou: float) -> Int64[Tensor, " M"]:
    """The candidates left after class-wise suppression, as indices, best first."""
    return batched_nms(candidates.boxes, candidates.scores, candidates.labels, iou)


def suppress_rescored(
    candidates: Candidates,
    corrections: Sequence[Callable[[Int64[Tensor, " M"]], Float[Tensor, " M"]]],
    limits: SuppressionLimits,
    step: int = 16,
) -> tuple[Int64[Tensor, " M"], Float[Tensor, " M"]]:
    """Suppression by corrected scores, correcting only as many candidates as the answer can depend on.

    Scores are corrected in stages, each of which takes more work, and no stage raises a score: what a candidate has
    come to bounds what it will end at. A candidate that has not gone through all stages is out for now if

    * one that is kept so far overlaps it, is of its class, and scores at least its bound: in the greedy order it would
      come after the one that drops it;
    * `max_detections` of the kept ones score at least its bound; or
    * its bound is below the score threshold.

    Once all are out, the rest of their corrections would change nothing. Until then those go one stage further whose
    bound is the best among what they overlap: no undecided candidate could still suppress them. The result equals
    correcting all.

    Args:
        candidates: Their scores are at least the corrected ones.
        corrections: One for each stage: the scores of the candidates at the given indices after it. Each candidate
            goes through them in their order, once.
        limits: Which of them are detections.
        step: The fewest candidates to correct at a time; the best bounds make up the number.

    Returns:
        Indices of the detections and their corrected scores, best first.
    """
    bounds, stages = candidates.scores.clone(), torch.zeros_like(candidates.labels)
    while True:
        now = Candidates(candidates.boxes, candidates.labels, bounds)
        known = torch.where(stages == len(corrections))[0]
        kept = known[suppress(now.at(known), limits.iou_threshold)]
        live = _undecided(now, torch.where(stages < len(corrections))[0], kept, limits)
        if len(live) == 0:
            kept = kept[bounds[kept] >= limits.score_threshold][: limits.max_detections]
            return kept, bounds[kept]
        urgent = _most_urgent(now, live, limits, step)
        at = stages[urgent]
        for stage, correct in enumerate(corrections):
            which = urgent[at == stage]
            if len(which):
                bounds[which] = correct(which)
        stages[urgent] += 1


def _undecided(
    now: Candidates, which: Int64[Tensor, " M"], kept: Tensor, limits: SuppressionLimits
) -> Int64[Tensor, " L"]:
    """Those of the candidates `which` that may yet become detections or drop one, best bound first."""
    which, scores = which[now.scores[which] >= limits.score_threshold], now.scores[kept]
    if len(kept) >= limits.max_detections:
        which = which[now.scores[which] > scores[limits.max_detections - 1]]
    overlaps = box_iou(now.boxes[which], now.boxes[kept]) > limits.iou_threshold
    same_class = now.labels[which][:, None] == now.labels[kept]
    above = scores >= now.scores[which][:, None]
    which = which[~(overlaps & same_class & above).any(1)]
    return which[now.scores[which].argsort(descending=True, stable=True)]


def _most_urgent(
    now: Candidates, live: Int64[Tensor, " L"], limits: SuppressionLimits, step: int
) -> Int64[Tensor, " M"]:
    """Those of `live` that none of them overlaps with a better bound, and the next best where they are too few."""
    first = live[suppress(now.at(live), limits.iou_threshold)][: max(step, limits.max_detections)]
    if len(first) >= step:
        return first
    rest = live[~torch.isin(live, first)]
    return torch.cat([first, rest[: step - len(first)]])
