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
    step: int = 128,
) -> tuple[Int64[Tensor, " M"], Float[Tensor, " M"]]:
    """Suppression by corrected scores, correcting only as many candidates as the answer can depend on.

    A correction never raises a score, so the given scores bound the corrected ones. Candidates are corrected best
    first, `step` at a time. Suppression in the order of the corrected scores settles every candidate whose corrected
    score is at least the best bound still uncorrected: nothing to come can overtake it. A candidate overlapped by a
    settled detection of its class is out whatever its own mask. The result equals correcting all of them.

    Args:
        candidates: Best bound first, as `Candidates` has them.
        rescore: Corrected scores of the candidates at the given indices; each is at most the candidate's bound.
        iou: Candidates of one class overlapping a better one by more than this are dropped.
        limit: How many detections are wanted.
        step: How many to correct at a time.

    Returns:
        Indices of the detections and their corrected scores, best first.
    """
    bounds = candidates.scores
    corrected = torch.full_like(bounds, -1)
    open_ = torch.arange(len(bounds), device=bounds.device)
    known = open_[:0]
    while True:
        batch, open_ = open_[:step], open_[step:]
        if len(batch):
            corrected[batch] = rescore(batch)
            known = torch.cat([known, batch])
        kept = known[batched_nms(candidates.boxes[known], corrected[known], candidates.labels[known], iou)]
        settled = kept if len(open_) == 0 else kept[corrected[kept] >= bounds[open_].max()]
        if len(open_) == 0 or len(settled) >= limit:
            return settled[:limit], corrected[settled[:limit]]
        open_ = open_[~_overlapped(candidates, open_, settled, iou)]


def _overlapped(candidates: Candidates, which: Tensor, settled: Tensor, iou: float) -> Tensor:
    """Which of the candidates overlap a settled detection of their own class by more than `iou`."""
    overlaps = box_iou(candidates.boxes[which], candidates.boxes[settled]) > iou
    same_class = candidates.labels[which][:, None] == candidates.labels[settled][None]
    return (overlaps & same_class).any(1)


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
