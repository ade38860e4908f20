"""Batches are a pure function of seed, step, rank and number of processes."""

import pytest
import torch

from amodal.annotations import Category
from amodal.data.config import AugmentConfig
from amodal.data.dataset import Sample
from amodal.data.loading import BatchPlan, StepBatches, batches
from amodal.data.transforms import augment
from amodal.errors import UserError


class Squares:
    """Sample i shows one square whose place and colour follow from i; item 13 is damaged."""

    def __init__(self) -> None:
        self.categories = [Category(1, "square"), Category(2, "corner")]

    def __len__(self) -> int:
        return 10

    def __getitem__(self, index: int) -> Sample:
        if index == 13:
            raise UserError("cannot be read", file="13.png")
        amodal = torch.zeros(2, 8, 12, dtype=torch.bool)
        amodal[0, 1:4, index % 5 : index % 5 + 4] = True
        amodal[1, 6:, :2] = True
        visible = amodal.clone()
        visible[0, :, index % 5] = False
        boxes = torch.tensor([[index % 5, 1, index % 5 + 4, 4], [0, 6, 2, 8]], dtype=torch.float32)
        target = {"boxes": boxes, "labels": torch.tensor([1, 2]), "amodal_masks": amodal, "visible_masks": visible}
        return {"image": (amodal[0] * (index + 1)).byte().expand(3, 8, 12), "target": target, "image_id": index}  # type: ignore[typeddict-item]


def ids(plan: BatchPlan, steps: range) -> list[int]:
    return [plan.index(number) for step in steps for number in plan.numbers(step)]


def test_every_epoch_shows_every_sample_once_in_another_order() -> None:
    order = ids(BatchPlan(4, length=10), range(5))
    first, second = order[:10], order[10:]
    assert sorted(first) == sorted(second) == list(range(10))
    assert first != second
    assert ids(BatchPlan(4, seed=1, length=10), range(5)) != order


def test_a_data_set_without_end_never_repeats() -> None:
    assert ids(BatchPlan(3), range(2, 4)) == [6, 7, 8, 9, 10, 11]


def test_a_step_does_not_depend_on_the_steps_before_it() -> None:
    plan = BatchPlan(4, length=10)
    assert ids(plan, range(7, 8)) == ids(plan, range(8))[-4:]


@pytest.mark.parametrize("length", [10, None])
def test_processes_share_the_batch_of_one_process(length: int | None) -> None:
    alone = ids(BatchPlan(4, seed=5, length=length), range(3, 4))
    shared = [ids(BatchPlan(4, 5, length, rank, 2), range(3, 4)) for rank in range(2)]
    assert shared[0] + shared[1] == alone


@pytest.mark.parametrize(
    ("plan", "words"),
    [
        ({"batch_size": 3, "world_size": 2}, "a batch of 3 cannot be shared evenly by 2"),
        ({"batch_size": 0}, "a batch of 0"),
        ({"batch_size": 2, "length": 0}, "the data set is empty"),
    ],
)
def test_impossible_plans_are_refused(plan: dict[str, int], words: str) -> None:
    with pytest.raises(UserError, match=words):
        BatchPlan(**plan)


def same(first: Sample, second: Sample) -> bool:
    targets = first["target"], second["target"]
    return (
        first["image_id"] == second["image_id"]
        and torch.equal(first["image"], second["image"])
        and targets[0].keys() == targets[1].keys()
        and all(torch.equal(targets[0][key], targets[1][key]) for key in targets[0])
    )


def test_workers_and_restarts_change_nothing() -> None:
    items = StepBatches(Squares(), BatchPlan(2, seed=3, length=10), AugmentConfig(flip=0.5, zoom=(0.5, 2.0)))
    alone = [sample for batch in batches(items, range(6)) for sample in batch]
    torch.manual_seed(11)  # the global random state must not matter
    helped = [sample for batch in batches(items, range(2, 6), workers=2) for sample in batch]
    assert len(alone) == 12
    assert all(same(*pair) for pair in zip(alone[4:], helped, strict=True))


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_sample_is_one_clear_error(workers: int) -> None:
    items = StepBatches(Squares(), BatchPlan(1), AugmentConfig())
    with pytest.raises(UserError, match=r"^13.png: cannot be read$"):
        list(batches(items, range(12, 15), workers=workers))


def test_a_flip_mirrors_image_masks_and_boxes_alike() -> None:
    sample = Squares()[1]
    flipped = augment(sample, AugmentConfig(flip=1.0), seed=0)
    assert torch.equal(flipped["image"], sample["image"].flip(-1))
    for key in ("amodal_masks", "visible_masks"):
        assert torch.equal(flipped["target"][key], sample["target"][key].flip(-1))
    assert flipped["target"]["boxes"].tolist() == [[7, 1, 11, 4], [10, 6, 12, 8]]
    assert same(augment(flipped, AugmentConfig(flip=1.0), seed=0), sample)
    assert same(augment(sample, AugmentConfig(flip=0.0), seed=0), sample)


def test_a_zoom_keeps_masks_nested_and_drops_what_leaves_the_image() -> None:
    dropped = 0
    for seed in range(20):
        zoomed = augment(Squares()[2], AugmentConfig(0.5, (0.5, 3.0)), seed)
        target = zoomed["target"]
        assert zoomed["image"].shape == (3, 8, 12)
        assert target["amodal_masks"].shape[1:] == (8, 12)
        assert target["amodal_masks"].dtype == torch.bool
        assert not (target["visible_masks"] & ~target["amodal_masks"]).any()
        assert target["amodal_masks"].flatten(1).any(1).all()
        assert len(target["labels"]) == len(target["boxes"]) == len(target["amodal_masks"])
        dropped += 2 - len(target["labels"])
    assert dropped > 0


def test_colours_change_and_masks_do_not() -> None:
    sample = Squares()[2]
    sample["image"] = sample["image"] * 40
    changed = [augment(sample, AugmentConfig(0.0, colour=0.4), seed) for seed in range(8)]
    assert len({each["image"].numpy().tobytes() for each in changed}) > 4
    for each in changed:
        assert torch.equal(each["target"]["amodal_masks"], sample["target"]["amodal_masks"])
        assert each["image"].dtype == torch.uint8
    assert same(augment(sample, AugmentConfig(0.0, colour=0.0), 3), sample)


def test_augmenting_leaves_the_random_state_alone() -> None:
    before = torch.get_rng_state()
    augment(Squares()[0], AugmentConfig(0.5, (0.5, 2.0)), 7)
    assert torch.equal(torch.get_rng_state(), before)
