"""Which candidates become detections: non-maximum suppression, with scores corrected by each candidate's own mask."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor
from torchvision.ops import batched_nms, box_iou


@dataclass(frozen=True)
class Candidates:
    """Boxes of one image with a class each, above the score threshold, before suppression, best first."""

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    scores: Float[Tensor, " N"]


def suppress(candidates: Candidates, iou: float, limit: int) -> Int64[Tensor, " M"]:
    """The best `limit` candidates after class-wise suppression, as indices, best first."""
    return batched_nms(candidates.boxes, candidates.scores, candidates.labels, iou)[:limit]


def suppress_rescored(
    candidates: Candidates,
    rescore: Callable[[Int64[Tensor, " N"]], Float[Tensor, " N"]],
    iou: float,
    limit: int,
    step: int = 32,
) -> tuple[Int64[Tensor, " M"], Float[Tensor, " M"]]:
    """Suppression by corrected scores, correcting only as many candidates as the answer can depend on.

    A correction never raises a score, so the given scores bound the corrected ones. Candidates are corrected best
    bound first, `step` at a time, and suppressed in the order of their corrected scores. A candidate not yet
    corrected is out for now if one that is kept so far overlaps it and scores at least its bound. Once all are out,
    correcting them would change nothing: in the greedy order each would come after the one that drops it. Nor would
    it once `limit` of the kept ones score at least every bound that is left. The result equals correcting all.

    Args:
        candidates: Best bound first, as `Candidates` has them.
        rescore: Corrected scores of the candidates at the given indices; each is at most the candidate's bound.
        iou: Candidates of one class overlapping a better one by more than this are dropped.
        limit: How many detections are wanted.
        step: How many to correct at a time.

    Returns:
        Indices of the detections and their corrected scores, best first.
    """
    bounds, corrected = candidates.scores, torch.full_like(candidates.scores, -1)
    is_known = torch.zeros_like(bounds, dtype=torch.bool)
    live = torch.arange(len(bounds), device=bounds.device)
    kept = live[:0]
    while len(live):
        batch = live[:step]
        corrected[batch] = rescore(batch)
        is_known[batch] = True
        known = torch.where(is_known)[0]
        kept = known[batched_nms(candidates.boxes[known], corrected[known], candidates.labels[known], iou)]
        live = _not_out(candidates, torch.where(~is_known)[0], kept, corrected[kept], iou)
        if len(live) and len(kept) >= limit and corrected[kept[limit - 1]] >= bounds[live[0]]:
            break
    return kept[:limit], corrected[kept[:limit]]


def _not_out(candidates: Candidates, which: Tensor, kept: Tensor, scores: Tensor, iou: float) -> Tensor:
    """Those of the candidates `which` that no kept one of their class drops, whatever their own correction."""
    overlaps = box_iou(candidates.boxes[which], candidates.boxes[kept]) > iou
    same_class = candidates.labels[which][:, None] == candidates.labels[kept]
    above = scores >= candidates.scores[which][:, None]
    return which[~(overlaps & same_class & above).any(1)]


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
