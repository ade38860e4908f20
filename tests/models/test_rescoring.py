import pytest
import torch
from torchvision.ops import batched_nms

from amodal.models.rescoring import Candidates, SuppressionLimits, suppress, suppress_rescored
from amodal.models.semantics import PAPER, REFERENCE


def crowd(seed: int, number: int) -> tuple[Candidates, torch.Tensor]:
    """Overlapping candidates, and two corrections of each one's score."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 60
    sides = 15 + torch.rand(number, 2, generator=generator) * 15
    scores = torch.rand(number, generator=generator)
    labels = torch.randint(1, 4, (number,), generator=generator)
    factors = torch.rand(2, number, generator=generator) ** torch.tensor([[0.2], [1.0]])
    return Candidates(torch.cat([corners, corners + sides], 1), labels, scores), factors


class Corrections:
    """Stages that multiply a score by their factor, and note whom they were asked about."""

    def __init__(self, scores: torch.Tensor, factors: torch.Tensor) -> None:
        self.products = scores * factors.cumprod(0)
        self.asked: list[list[int]] = [[] for _ in factors]

    def stages(self) -> list:
        def stage(number: int, which: torch.Tensor) -> torch.Tensor:
            self.asked[number].extend(which.tolist())
            return self.products[number, which]

        return [lambda which, number=number: stage(number, which) for number in range(len(self.asked))]


def brute_force(candidates: Candidates, scores: torch.Tensor, limits: SuppressionLimits) -> list[int]:
    kept = batched_nms(candidates.boxes, scores, candidates.labels, limits.iou_threshold)
    return kept[scores[kept] >= limits.score_threshold][: limits.max_detections].tolist()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("num_stages", [1, 2])
@pytest.mark.parametrize("least", [0.0, 0.4])
@pytest.mark.parametrize(("number", "limit", "step"), [(300, 20, 16), (300, 100, 1), (30, 100, 7), (1, 5, 8)])
def test_bounded_rescoring_equals_rescoring_everything(seed, num_stages, least, number, limit, step):
    candidates, factors = crowd(seed, number)
    corrections = Corrections(candidates.scores, factors[:num_stages])
    limits = SuppressionLimits(0.5, limit, least)
    kept, scores = suppress_rescored(candidates, corrections.stages(), limits, step)
    assert kept.tolist() == brute_force(candidates, corrections.products[-1], limits)
    torch.testing.assert_close(scores, corrections.products[-1, kept])
    for number_asked, earlier in zip(corrections.asked[1:], corrections.asked, strict=False):
        assert set(number_asked) <= set(earlier)
    assert all(len(asked) == len(set(asked)) for asked in corrections.asked)


def test_a_later_stage_is_asked_less():
    candidates, _ = crowd(0, 300)
    corrections = Corrections(candidates.scores, torch.tensor([[0.9], [0.9]]).expand(2, 300))
    suppress_rescored(candidates, corrections.stages(), SuppressionLimits(0.5, 100), 1)
    first, second = map(len, corrections.asked)
    assert second < first < 300


@pytest.mark.parametrize("limits", [SuppressionLimits(0.5, 5), SuppressionLimits(0.5, 100, 0.8)])
def test_it_looks_at_few_candidates_where_few_are_limits(limits):
    candidates, _ = crowd(0, 300)
    corrections = Corrections(candidates.scores, torch.full((1, 300), 0.9))
    suppress_rescored(candidates, corrections.stages(), limits)
    assert len(corrections.asked[0]) < 100


def test_only_whom_nothing_else_can_put_out_is_asked():
    """Three boxes on one object: the best keeps its score, so that the others need no look."""
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9], [0, 0, 9, 10], [50, 50, 60, 60]])
    candidates = Candidates(boxes, torch.ones(4, dtype=torch.int64), torch.tensor([0.9, 0.8, 0.7, 0.1]))
    corrections = Corrections(candidates.scores, torch.ones(1, 4))
    kept, _ = suppress_rescored(candidates, corrections.stages(), SuppressionLimits(0.5, 10), 1)
    assert kept.tolist() == corrections.asked[0] == [0, 3]


def test_no_candidates_and_no_corrections():
    nothing = Candidates(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    kept, scores = suppress_rescored(nothing, [lambda which: which.float()], SuppressionLimits(0.5, 10))
    assert len(kept) == len(scores) == len(suppress(nothing, 0.5)) == 0
    candidates, _ = crowd(0, 50)
    kept, scores = suppress_rescored(candidates, [], SuppressionLimits(0.5, 7))
    assert kept.tolist() == brute_force(candidates, candidates.scores, SuppressionLimits(0.5, 7))
    torch.testing.assert_close(scores, candidates.scores[kept])


def test_a_bad_shape_loses_its_place_to_the_box_that_it_overlaps():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    candidates = Candidates(boxes, torch.ones(2, dtype=torch.int64), torch.tensor([0.9, 0.8]))
    assert suppress(candidates, 0.5).tolist() == [0]
    corrections = Corrections(candidates.scores, torch.tensor([[0.5, 0.9]]))
    kept, scores = suppress_rescored(candidates, corrections.stages(), SuppressionLimits(0.5, 10))
    assert kept.tolist() == [1]
    torch.testing.assert_close(scores, torch.tensor([0.72]))


def test_fused_scores():
    scores, factors = torch.tensor([0.5]), [torch.tensor([0.5]), torch.tensor([0.5])]
    torch.testing.assert_close(PAPER.fuse(scores, factors), torch.tensor([0.125]))
    torch.testing.assert_close(REFERENCE.fuse(scores, factors), torch.tensor([0.5]))
