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
class Wanted:
    """Which candidates are detections.

    Attributes:
        iou: Candidates of one class overlapping a better one by more than this are dropped.
        limit: The most detections of an image.
        least: The least score of a detection.
    """

    iou: float
    limit: int
    least: float = 0.0


def suppress(candidates: Candidates, iou: float) -> Int64[Tensor, " M"]:
    """The candidates left after class-wise suppression, as indices, best first."""
    return batched_nms(candidates.boxes, candidates.scores, candidates.labels, iou)


def suppress_rescored(
    candidates: Candidates,
    corrections: Sequence[Callable[[Int64[Tensor, " M"]], Float[Tensor, " M"]]],
    wanted: Wanted,
    step: int = 16,
) -> tuple[Int64[Tensor, " M"], Float[Tensor, " M"]]:
    """Suppression by corrected scores, correcting only as many candidates as the answer can depend on.

    Scores are corrected in stages, each of which takes more work, and no stage raises a score: what a candidate has
    come to bounds what it will end at. A candidate that has not gone through all stages is out for now if

    * one that is kept so far overlaps it, is of its class, and scores at least its bound: in the greedy order it would
      come after the one that drops it;
    * `limit` of the kept ones score at least its bound; or
    * its bound is below the least score wanted.

    Once all are out, the rest of their corrections would change nothing. Until then those go one stage further whose
    bound is the best among what they overlap: nothing that is yet unknown could put them out. The result equals
    correcting all.

    Args:
        candidates: Their scores are at least the corrected ones.
        corrections: One for each stage: the scores of the candidates at the given indices after it. Each candidate
            goes through them in their order, once.
        wanted: Which detections are wanted.
        step: The fewest candidates to correct at a time; the best bounds make up the number.

    Returns:
        Indices of the detections and their corrected scores, best first.
    """
    bounds, stages = candidates.scores.clone(), torch.zeros_like(candidates.labels)
    while True:
        now = Candidates(candidates.boxes, candidates.labels, bounds)
        known = torch.where(stages == len(corrections))[0]
        kept = known[suppress(now.at(known), wanted.iou)]
        live = _undecided(now, torch.where(stages < len(corrections))[0], kept, wanted)
        if len(live) == 0:
            kept = kept[bounds[kept] >= wanted.least][: wanted.limit]
            return kept, bounds[kept]
        urgent = _most_urgent(now, live, wanted, step)
        at = stages[urgent]
        for stage, correct in enumerate(corrections):
            which = urgent[at == stage]
            if len(which):
                bounds[which] = correct(which)
        stages[urgent] += 1


def _undecided(now: Candidates, which: Int64[Tensor, " M"], kept: Tensor, wanted: Wanted) -> Int64[Tensor, " L"]:
    """Those of the candidates `which` that may yet become detections or drop one, best bound first."""
    which, scores = which[now.scores[which] >= wanted.least], now.scores[kept]
    if len(kept) >= wanted.limit:
        which = which[now.scores[which] > scores[wanted.limit - 1]]
    overlaps = box_iou(now.boxes[which], now.boxes[kept]) > wanted.iou
    same_class = now.labels[which][:, None] == now.labels[kept]
    above = scores >= now.scores[which][:, None]
    which = which[~(overlaps & same_class & above).any(1)]
    return which[now.scores[which].argsort(descending=True, stable=True)]


def _most_urgent(now: Candidates, live: Int64[Tensor, " L"], wanted: Wanted, step: int) -> Int64[Tensor, " M"]:
    """Those of `live` that none of them overlaps with a better bound, and the next best where they are too few."""
    first = live[suppress(now.at(live), wanted.iou)][: max(step, wanted.limit)]
    if len(first) >= step:
        return first
    rest = live[~torch.isin(live, first)]
    return torch.cat([first, rest[: step - len(first)]])


def fuse_scores(
    scores: Float[Tensor, " R"], factors: list[Float[Tensor, " R"]], *, geometric: bool
) -> Float[Tensor, " R"]:
    """The final score: the product, or (the authors' code) its root of as many factors, the class score among them."""
    product = scores
    for factor in factors:
        product = product * factor
    return product ** (1 / (1 + len(factors))) if geometric else product


def prior_factor(distances: Float[Tensor, " R"], alpha: float, *, logarithmic: bool) -> Float[Tensor, " R"]:
    """What a mask's distance to the nearest known shape does to its score (methods: shape-prior post-process).

    Args:
        distances: Share of cells that differ, in [0, 1].
        alpha: Tolerance of the authors' form.
        logarithmic: relu(log(alpha - d) / log(alpha)), the authors' code; else 1 - d, the paper.
    """
    if not logarithmic:
        return 1 - distances
    log_alpha = torch.log(torch.as_tensor(alpha, dtype=distances.dtype, device=distances.device))
    return torch.relu(torch.log(alpha - distances) / log_alpha)
