"""The bench of mask branches: the detector's features are kept as they are, branches measured by hand-made masks."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from amodal.commands.bench_masks import MaskSettings, bench_masks
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.models import checkpoint, zoo
from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.regions import IMAGE
from amodal.paper import branch_rows, branches, pyramids, variants
from amodal.paper.branch_rows import Amount, Base, Bench, difference
from amodal.paper.branches import Plan
from amodal.paper.kept import KeptRegions, look_up
from amodal.paper.pyramids import Scenes
from amodal.settings import to_json
from tests.bench_models import tiny_recipe

PLAN = Plan(width=4, scenes_per_step=2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    """With a detector of two steps."""
    return Bench(tiny_recipe(), tmp_path_factory.mktemp("masks"), PLAN, Amount(4, 3))


@pytest.fixture(scope="module")
def scenes(bench: Bench) -> Scenes:
    return bench.scenes()[0]


def branch(name: str, bench: Bench) -> Any:
    config = branch_rows.narrow(variants.variant(bench.config, name), PLAN.width).model
    torch.manual_seed(0)
    prior = bench.prior() if zoo.needs_prior(config) else None
    return zoo.build_branch(config, branch_rows.num_categories(bench), prior)


def test_scenes_are_what_the_detector_sees(bench: Bench, scenes: Scenes) -> None:
    model = checkpoint.load(bench.detector()).model
    samples = open_source(bench.config.data.train)
    features, regions, truth = scenes.batch([2, 0], "true", training=True)
    for place, index in enumerate((2, 0)):
        with torch.no_grad():
            batch, _ = model.resize([samples[index]["image"].float() / 255])
            expected = model.backbone(batch.tensors) | {IMAGE: batch.tensors}
        for level in pyramids.LEVELS:
            torch.testing.assert_close(features[level][place], expected[level][0], rtol=1e-3, atol=1e-3)
        target = samples[index]["target"]
        assert torch.equal(truth.targets[place]["amodal_masks"], target["amodal_masks"])
        assert torch.equal(regions.boxes[regions.images == place], target["boxes"])  # 64 pixels are not resized
        assert torch.equal(regions.labels[regions.images == place], target["labels"])


def test_scenes_come_back_from_disk(scenes: Scenes, tmp_path: Path) -> None:
    scenes.save(tmp_path / "scenes.safetensors")
    again = Scenes.load(tmp_path / "scenes.safetensors")
    assert len(again) == len(scenes) == 4
    for level, maps in scenes.levels.items():
        assert torch.equal(again.levels[level], maps)
    for (target, found), (other, other_found) in zip(scenes.pairs(), again.pairs(), strict=True):
        assert all(torch.equal(value, other[name]) for name, value in target.items())  # type: ignore[literal-required]
        assert torch.equal(found.boxes, other_found.boxes)
        assert torch.equal(found.owners, other_found.owners)


def test_own_boxes_are_those_that_match_the_truth_once(bench: Bench, scenes: Scenes) -> None:
    found = pyramids.MatchedBoxes(
        torch.tensor([[0.0, 0, 9, 9], [1, 1, 8, 8]]), labels=torch.tensor([3, 4]), owners=torch.tensor([1, 0])
    )
    (first, *rest) = scenes.targets
    own = Scenes(scenes.levels, [first, *rest], [found, *scenes.found[1:]], scenes.scale)
    _, taught, _ = own.batch([0], "own", training=True)
    _, asked, _ = own.batch([0], "own", training=False)
    assert torch.equal(taught.boxes, found.boxes)
    assert asked.labels.tolist() == [3, 4]
    assert taught.labels.tolist() == first["labels"][[1, 0]].tolist() if len(first["labels"]) > 1 else True
    for each in scenes.found:
        assert len(each.owners.unique()) == len(each.owners)


class Saying(MaskBranch):
    """A branch that gives made-up masks."""

    def __init__(self, say: Any) -> None:
        super().__init__()
        self.say = say

    def predict(self, features: dict[str, Tensor], regions: Any) -> RegionMasks:
        return self.say(regions)


def test_masks_like_the_truth_are_all_right_and_visible_ones_lack_the_hidden_part(scenes: Scenes) -> None:
    _, _, truth = scenes.batch([0, 1, 2, 3], "true", training=False)
    right = branches.measure(
        Saying(lambda r: RegionMasks(truth.crop(r, 28).amodal.float(), truth.crop(r, 28).visible.float())),  # type: ignore[arg-type]
        scenes,
        PLAN,
    )
    assert (right["amodal"] == 1).all()
    assert (right["visible"] == 1).all()
    assert (right["scene"] == np.sort(right["scene"])).all()
    short = branches.measure(
        Saying(lambda r: RegionMasks(amodal=truth.crop(r, 28).visible.float())),
        scenes,
        PLAN,  # type: ignore[arg-type]
    )
    occluded = ~np.isnan(short["occluded"])
    assert 0 < occluded.sum() < len(occluded)
    assert (short["hidden"][occluded] == 0).all()
    assert (short["amodal"][~occluded] > 0.8).all()
    assert np.isnan(short["visible"]).all()


def test_training_changes_the_branch_in_an_order_that_the_seed_alone_decides(bench: Bench, scenes: Scenes) -> None:
    config = branch_rows.narrow(variants.variant(bench.config, "two_heads"), PLAN.width)
    first, second = branch("two_heads", bench), branch("two_heads", bench)
    untouched = first.amodal_head.predictor.weight.detach().clone()
    branches.train(first, KeptRegions(scenes, PLAN.boxes), config, PLAN)
    branches.train(second, KeptRegions(scenes, PLAN.boxes), config, PLAN)
    assert not torch.equal(first.amodal_head.predictor.weight, untouched)
    for one, other in zip(first.parameters(), second.parameters(), strict=True):
        assert torch.equal(one, other)
    order = branches._scenes_in_order(5, 12, seed=1)
    assert sorted(order[:5]) == sorted(order[5:10]) == list(range(5))
    assert order.tolist() != branches._scenes_in_order(5, 12, seed=2).tolist()


@pytest.mark.parametrize("boxes", ["true", "own"])
@pytest.mark.parametrize("name", ["vrsp", "sln", "bcnet", "aisformer"])
def test_a_kept_batch_teaches_what_the_batch_itself_does(
    name: str, boxes: pyramids.Boxes, bench: Bench, scenes: Scenes
) -> None:
    plain, kept = branch(name, bench), KeptRegions(scenes, boxes)
    looking = branch(name, bench)
    look_up(looking, kept)
    for which in ([2, 0], [3, 1, 1]):
        given = scenes.batch(which, boxes, training=True)
        assert torch.equal(kept.batch(which)[1].images, given[1].images)
        expected, found = plain.losses(*given), looking.losses(*kept.batch(which))
        for loss, value in expected.items():
            torch.testing.assert_close(found[loss], value, rtol=1e-4, atol=1e-6)


def test_operations_are_counted_and_leave_no_trace(bench: Bench, scenes: Scenes) -> None:
    model = branch("two_heads", bench)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    training, inference = branches.flops(model, scenes, PLAN)
    channels, width, cells = 8, PLAN.width, 14 * 14
    head = cells * channels * width * 9 + 4 * cells * width * width + 4 * cells * width
    assert inference == 2 * 2 * head  # two heads; a multiplication and an addition
    assert training > 2 * inference
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert all(weight.grad is None for weight in model.parameters())


def test_differences_are_paired_and_drawn_by_image_and_seed() -> None:
    values, images = np.array([[0.1, 0.3, 0.2, 0.2]]), np.array([5, 5, 7, 9])
    assert difference(values, images) == pytest.approx((0.2, 0.2, 0.2))  # every image has the same mean
    assert difference(np.array([[0.0, 1.0]]), np.array([0, 0]))[1:] == (0.5, 0.5)
    assert difference(np.array([[0.0, 1.0]]), np.array([0, 1]))[1:] == (0, 1)
    seeds = np.array([[1.0, 1.0], [-1.0, -1.0]])
    assert difference(seeds, np.array([0, 1])) == pytest.approx((0, -1, 1))  # images agree, trainings do not
    assert difference(np.array([[np.nan, 0.5]]), np.array([0, 0]))[0] == 0.5


def test_rows_are_trained_once_and_compared_in_pairs(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "base", lambda name, data: tiny_recipe())
    settings = MaskSettings(recipe="tiny", out=tmp_path, runs=bench.runs, width=4, training_scenes=4, test_scenes=3)
    trained = []
    train = branches.train
    monkeypatch.setattr(branches, "train", lambda *given: (trained.append(1), train(*given))[1])
    wanted = {"variants": ("two_heads", "vrsp_unguided", "mask_rcnn_visible"), "steps": (1,), "against": ("two_heads",)}
    bench_masks(**wanted, seeds=(0,), settings=settings)  # type: ignore[arg-type]
    assert len(trained) == 3
    bench_masks(**wanted, seeds=(0, 1), settings=settings)  # type: ignore[arg-type]
    assert len(trained) == 6
    content = json.loads((tmp_path / "masks_tiny.json").read_text())
    rows = {(row["variant"], row["seed"]): row for row in content["rows"]}
    assert len(rows) == 6
    whole, visible = rows["vrsp_unguided", 1], rows["mask_rcnn_visible", 0]
    for name in ("amodal_iou", "visible_iou", "coarse_amodal_iou", "seconds", "training_mflops", "inference_mflops"):
        assert whole[name] >= 0
    assert (visible["amodal_iou"], visible["hidden_iou"]) == (None, None)
    assert [row["variant"] for row in content["differences"]] == ["vrsp_unguided", "mask_rcnn_visible"]
    compared = content["differences"][0]
    assert compared["seeds"] == [0, 1]
    mean = np.mean([rows["vrsp_unguided", s]["visible_iou"] - rows["two_heads", s]["visible_iou"] for s in (0, 1)])
    assert compared["visible"][0] == pytest.approx(mean, abs=0.02)
    assert compared["visible"][1] <= compared["visible"][0] <= compared["visible"][2]
    assert content["about"]["settings"] == {
        "width": 4,
        "scenes_per_step": 4,
        "training_scenes": 4,
        "test_scenes": 3,
    }
    rated = {**wanted, "variants": ("two_heads",), "against": ("two_heads@1", "two_heads@1@0.5")}
    bench_masks(**rated, lr=(0.5,), settings=settings)  # type: ignore[arg-type]
    bench_masks(**rated, lr=(0.5,), settings=settings)  # type: ignore[arg-type]
    assert len(trained) == 7
    content = json.loads((tmp_path / "masks_tiny.json").read_text())
    assert [row.get("lr") for row in content["rows"]] == [None] * 6 + [0.5]
    assert content["rows"][-1]["amodal_iou"] != rows["two_heads", 0]["amodal_iou"]
    pairs = [(row["lr"], row["base_lr"]) for row in content["differences"] if row["variant"] == row["base"]]
    assert pairs == [(None, 0.5)]
    assert "| Two heads, rate 0.5 | 1 | 1 |" in (tmp_path / "masks_tiny.md").read_text()
    with pytest.raises(UserError, match="other settings"):
        bench_masks(settings=MaskSettings(recipe="tiny", out=tmp_path, runs=bench.runs, width=8))
    with pytest.raises(UserError, match="no model of the bench"):
        bench_masks(variants=("nonesuch",), settings=settings)
    with pytest.raises(UserError, match="no variants"):
        bench_masks(seeds=(), settings=settings)


def test_tables_that_share_a_folder_of_runs_share_no_more_than_they_may(
    tmp_path: Path, bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.detector()
    monkeypatch.setattr(variants, "base", lambda name, data: tiny_recipe())
    row = {"variant": "vrsp", "boxes": "true", "steps": 1, "seed": 0}
    amounts = (Amount(), Amount(test_scenes=3), bench.amount)
    places = {Bench(bench.config, bench.runs, Plan(width), one).ious_path(row) for width in (32, 8) for one in amounts}
    assert len(places) == 6
    assert bench.runs / "ious" / "vrsp-true-1-0.npz" in places
    other = replace(tiny_recipe(), batch_size=3)
    monkeypatch.setattr(variants, "base", lambda name, data: other)
    with pytest.raises(
        UserError, match=r"detector.config\.json: the run that is there has other settings \(batch_size"
    ):
        bench_masks(settings=MaskSettings(recipe="other", out=tmp_path, runs=bench.runs))
    assert not list(tmp_path.iterdir())


def test_a_base_is_named_by_variant_steps_and_rate() -> None:
    assert Base.of("vrsp") == Base("vrsp")
    assert Base.of("vrsp@1200") == Base("vrsp", 1200)
    assert Base.of("vrsp@300@0.002") == Base("vrsp", 300, 0.002)
    for wrong in ("vrsp@many", "vrsp@300@0.1@0", "vrsp@300@fast"):
        with pytest.raises(UserError, match="names nothing to compare with"):
            Base.of(wrong)


def test_images_of_different_sizes_are_refused(bench: Bench) -> None:
    samples = open_source(bench.config.data.train)
    model = checkpoint.load(bench.detector()).model

    class Uneven:
        categories = samples.categories

        def __len__(self) -> int:
            return 2

        def __getitem__(self, index: int) -> Any:
            sample = samples[index]
            return {**sample, "image": sample["image"][:, : 64 - 8 * index]}

    with pytest.raises(UserError, match="one size"):
        pyramids.look(model, Uneven(), 2)


def test_the_bench_knows_every_variant_and_builds_what_its_name_says() -> None:
    config = tiny_recipe()
    cross, unguided = (variants.variant(config, f"attention_cross{end}").model.vrsp for end in ("", "_unguided"))
    assert (cross.attention, cross.guided_pass, cross.prior_refinement) == ("cross", True, False)
    assert (unguided.attention, unguided.guided_pass) == ("cross", False)
    assert variants.variant(config, "vrsp_detached").model.vrsp.matching_target == "detached"
    assert variants.variant(config, "vrsp_reference").model.vrsp.semantics == "reference"
    assert to_json(variants.variant(config, "sln_any").model)["sln"]["union"] == "any"
