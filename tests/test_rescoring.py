import pytest
import torch
from torchvision.ops import batched_nms

from amodal.models.rescoring import Candidates, fuse_scores, suppress, suppress_rescored


def crowd(seed: int, number: int) -> tuple[Candidates, torch.Tensor]:
    """Overlapping candidates, and each one's correction of its score."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(number, 2, generator=generator) * 60
    sides = 15 + torch.rand(number, 2, generator=generator) * 15
    scores = torch.rand(number, generator=generator).sort(descending=True).values
    labels = torch.randint(1, 4, (number,), generator=generator)
    return Candidates(torch.cat([corners, corners + sides], 1), labels, scores), torch.rand(number, generator=generator)


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize(("number", "limit", "step"), [(300, 20, 16), (300, 100, 64), (30, 100, 7), (1, 5, 8)])
def test_bounded_rescoring_equals_rescoring_everything(seed, number, limit, step):
    candidates, factors = crowd(seed, number)
    looked_at: list[int] = []

    def rescore(which: torch.Tensor) -> torch.Tensor:
        looked_at.extend(which.tolist())
        return candidates.scores[which] * factors[which]

    kept, scores = suppress_rescored(candidates, rescore, 0.5, limit, step)
    everything = candidates.scores * factors
    expected = batched_nms(candidates.boxes, everything, candidates.labels, 0.5)[:limit]
    assert kept.tolist() == expected.tolist()
    torch.testing.assert_close(scores, everything[expected])
    assert len(looked_at) == len(set(looked_at))


def test_it_looks_at_few_candidates_where_few_are_wanted():
    candidates, _ = crowd(0, 300)
    count = 0

    def rescore(which: torch.Tensor) -> torch.Tensor:
        nonlocal count
        count += len(which)
        return candidates.scores[which] * 0.9

    suppress_rescored(candidates, rescore, 0.5, 5, 16)
    assert count < 100


def test_no_candidates():
    nothing = Candidates(torch.zeros(0, 4), torch.zeros(0, dtype=torch.int64), torch.zeros(0))
    kept, scores = suppress_rescored(nothing, lambda which: which.float(), 0.5, 10)
    assert len(kept) == len(scores) == len(suppress(nothing, 0.5, 10)) == 0


def test_a_bad_shape_loses_its_place_to_the_box_that_it_overlaps():
    boxes = torch.tensor([[0.0, 0, 10, 10], [0, 0, 10, 9]])
    candidates = Candidates(boxes, torch.ones(2, dtype=torch.int64), torch.tensor([0.9, 0.8]))
    assert suppress(candidates, 0.5, 10).tolist() == [0]
    kept, scores = suppress_rescored(candidates, lambda which: torch.tensor([0.9 * 0.5, 0.8 * 0.9])[which], 0.5, 10)
    assert kept.tolist() == [1]
    torch.testing.assert_close(scores, torch.tensor([0.72]))


def test_fused_scores():
    scores, factors = torch.tensor([0.5]), [torch.tensor([0.5]), torch.tensor([0.5])]
    torch.testing.assert_close(fuse_scores(scores, factors, geometric=False), torch.tensor([0.125]))
    torch.testing.assert_close(fuse_scores(scores, factors, geometric=True), torch.tensor([0.5]))
