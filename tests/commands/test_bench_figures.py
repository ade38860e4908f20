"""The figures: their measures on small arrays, and every command on untrained models."""

import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

import amodal.commands.bench_figures as commands
from amodal.commands.bench_figures import (
    FigureSettings,
    bench_figure1,
    bench_figure3,
    bench_figure4,
    bench_figure5,
    bench_trained_masks,
)
from amodal.data.config import DataConfig
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.models.rescoring import Candidates
from amodal.paper import figure1, figure3, figure5, mask_quality, subjects, trained, variants
from amodal.paper.figure3 import Candidate, Turn
from amodal.paper.silhouettes import silhouettes
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.shape_prior import ShapePrior
from tests.bench_models import CATEGORIES, SCENES, random_prior, save_random, tiny_recipe

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bench's folder with untrained models."""
    folder = tmp_path_factory.mktemp("bench")
    for name in ("mask_rcnn", "mask_rcnn_visible", "vrsp"):
        save_random(folder / "runs" / f"{name}-seed0" / "model.safetensors", name, score_threshold=0.01)
    return folder


@pytest.fixture
def settings(models: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FigureSettings:
    monkeypatch.setattr(variants, "base", lambda name, data: tiny_recipe())
    return FigureSettings(recipe="tiny", out=tmp_path, runs=models / "runs", device="cpu")


def read(settings: FigureSettings, figure: str) -> dict:
    return json.loads((settings.out / f"{figure}_tiny.json").read_text())


def size_of(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def test_figure_1_subjects_hide_the_same_part_behind_different_objects() -> None:
    found = subjects.subjects(subjects.open_stage(tiny_recipe()), 2, 3, seed=1)
    again = subjects.subjects(subjects.open_stage(tiny_recipe()), 1, 3, seed=1)
    assert all(np.array_equal(a, b) for a, b in zip(found[0].images, again[0].images, strict=True))
    for subject in found:
        assert len(subject.images) == len(subject.occluders) == len(subject.trimmed) == 3
        target = CATEGORIES[subject.label - 1].name
        assert len({target, *subject.occluders}) == 4, "occluders are of different categories"
        assert not (subject.invisible & ~subject.amodal).any()
        assert 0.2 <= subject.invisible.sum() / subject.amodal.sum() <= 0.5
        assert subject.trimmed[0] == 0
        assert max(subject.trimmed) <= subjects.MOST_TRIMMED
        behind = [image[subject.invisible] for image in subject.images]
        assert not np.array_equal(behind[0], behind[1])


def test_a_trimmed_occluder_spares_what_it_must_not_hide() -> None:
    sprite = subjects.Sprite(Image.new("RGBA", (4, 4), (9, 9, 9, 255)), "box")
    spared = np.zeros((6, 6), dtype=bool)
    spared[:3] = True
    whole = subjects.Placement(sprite, left=-1, top=1, label=1)
    trimmed = subjects._trimmed(whole, spared)
    left = subjects._on_canvas(whole, (6, 6)) & ~spared
    assert np.array_equal(subjects._on_canvas(trimmed, (6, 6)), left)
    assert left.sum() == 6
    assert whole.sprite.mask.all(), "the original is untouched"


def test_agreement_is_the_mean_iou_of_pairs() -> None:
    parts = np.array([[[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]], dtype=bool)
    assert figure1.agreement(parts) == pytest.approx((0.5 + 0 + 0) / 3)
    assert figure1.agreement(parts[[0, 0]]) == 1
    assert figure1.iou(parts[2], parts[2]) == 1


def test_figure_1_is_written(settings: FigureSettings) -> None:
    bench_figure1(models=("mask_rcnn", "vrsp"), count=2, occluders=2, shown=1, settings=settings)
    content = read(settings, "figure1")
    assert [row["method"] for row in content["rows"]] == ["Mask R-CNN", "VRSP"]
    assert all(0 <= row["agreement"] <= 1 and 0 <= row["hidden_iou"] <= 1 for row in content["rows"])
    assert content["about"]["objects"] == 2
    width, height = size_of(settings.out / "figure1_tiny.png")
    assert height > 2 * width / 3, "three rows of three"
    with pytest.raises(UserError, match="predicts visible masks only"):
        bench_figure1(models=("mask_rcnn_visible",), count=1, occluders=2, shown=1, settings=settings)


def test_silhouettes_show_masks_and_no_pixels() -> None:
    masks = np.zeros((2, 5, 6), dtype=bool)
    masks[0, 1:4, 1:4] = masks[1, 0, 5] = True
    grey = silhouettes(masks)
    assert grey[:, :, 0].tolist() == [
        [240, 240, 240, 240, 240, 110],
        [240, 110, 110, 110, 240, 240],
        [240, 110, 205, 110, 240, 240],
        [240, 110, 110, 110, 240, 240],
        [240, 240, 240, 240, 240, 240],
    ]
    assert (grey == grey[:, :, :1]).all()
    assert silhouettes(masks[:0]).min() == 240


@pytest.mark.parametrize("figure", ["figure1", "figure3", "figure4"])
def test_figures_without_photographs_are_of_greys_and_colours_only(
    settings: FigureSettings, monkeypatch: pytest.MonkeyPatch, figure: str
) -> None:
    """Flat areas have far fewer colours than images."""
    seen = []
    monkeypatch.setattr(commands, "_write", lambda name, settings, picture, *rest, **details: seen.append(picture))
    benches: dict[str, tuple[Any, dict[str, Any]]] = {
        "figure1": (bench_figure1, {"models": ("vrsp",), "count": 1, "occluders": 2, "shown": 1}),
        "figure3": (bench_figure3, {"images": 2, "shown": 1, "score_threshold": 0.0}),
        "figure4": (bench_figure4, {"models": ("vrsp",), "images": (0,)}),
    }
    bench, options = benches[figure]
    bench(**options, settings=replace(settings, photographs=False))
    bench(**options, settings=settings)
    plain, drawn = seen
    assert plain.shape == drawn.shape
    assert len(np.unique(plain.reshape(-1, 3), axis=0)) < len(np.unique(drawn.reshape(-1, 3), axis=0)) / 2


def test_a_turned_pair_was_kept_before_and_is_kept_after() -> None:
    boxes = torch.tensor([[0, 0, 10, 10], [0, 1, 10, 11], [40, 40, 50, 50], [0, 0, 10, 9]]).float()
    labels = torch.tensor([1, 1, 1, 2])
    candidates = Candidates(boxes, labels, torch.tensor([0.9, 0.8, 0.7, 0.6]))
    scores = torch.tensor([0.3, 0.5, 0.6, 0.1])
    kept = torch.tensor([0, 2, 3]), torch.tensor([2, 1, 3])
    assert figure3._changed(candidates, scores, kept, 0.5).tolist() == [[0, 1]]
    assert figure3._changed(candidates, candidates.scores, kept, 0.5).tolist() == []
    assert figure3._changed(candidates, scores, kept, 0.95).tolist() == []


def test_a_turn_says_what_turned_it_and_whether_for_the_better() -> None:
    """The paper's own example: 0.99 x 0.69 against 0.97 x 0.91."""
    nothing = np.zeros((1, 1), dtype=bool)
    before = Candidate(np.zeros(4), nothing, 0.99, {"prior": 0.69, "reclassification": 0.9}, 0.615, 0.5)
    after = Candidate(np.zeros(4), nothing, 0.97, {"prior": 0.91, "reclassification": 0.9}, 0.794, 0.8)
    turn = Turn(3, "carrot", before, after)
    assert turn.turned_by == ("prior",)
    assert turn.is_better
    assert turn.change == pytest.approx(0.91 / 0.69, abs=0.01)
    assert figure3.summarise([turn], 7) == {
        "images": 7,
        "turned_pairs": 1,
        "turned_by_prior_alone": 1,
        "turned_by_reclassification_alone": 0,
        "better": 1.0,
        "mean_iou_gain": 0.3,
    }
    assert figure3.summarise([], 2)["better"] is None
    later = replace(turn, before=replace(before, factors={"prior": 0.95, "reclassification": 0.1}))
    assert figure3.in_order([later, turn]) == [turn, later]


def test_figure_3_scores_are_the_models_own(models: Path) -> None:
    """What suppression keeps by these scores is what the model reports."""
    (vrsp,) = trained.load(["vrsp"], models / "runs", 0, CPU)
    sample = open_source(replace(SCENES, count=1, seed=5))[0]
    image = sample["image"].float() / 255
    with torch.inference_mode():
        scored = figure3._score(vrsp, image)
        (prediction,) = vrsp.model([image])
    assert set(scored.factors) == {"prior", "reclassification"}
    for score, box in zip(prediction["scores"], prediction["boxes"], strict=True):
        place = int((scored.boxes - box).abs().amax(1).argmin())
        assert float(scored.scores[place]) == pytest.approx(float(score), rel=1e-3)


def test_figure_3_is_written(settings: FigureSettings) -> None:
    bench_figure3(images=2, shown=2, score_threshold=0.0, settings=settings)
    content = read(settings, "figure3")
    assert content["summary"]["images"] == 2
    assert content["summary"]["turned_pairs"] == len(content["pairs"]) > 0
    first = content["pairs"][0]
    assert first["before"]["class_score"] >= first["after"]["class_score"]
    assert first["before"]["score"] <= first["after"]["score"]
    assert (settings.out / "figure3_tiny.png").exists()
    with pytest.raises(UserError, match="Mask R-CNN does not re-score"):
        bench_figure3(model="mask_rcnn", images=1, settings=settings)


def test_figure_3_without_a_turned_pair_has_no_picture(settings: FigureSettings) -> None:
    settings.out.mkdir(parents=True, exist_ok=True)
    (settings.out / "figure3_tiny.png").write_bytes(b"of other pairs")
    bench_figure3(images=1, score_threshold=1.0, settings=settings)
    assert read(settings, "figure3")["pairs"] == []
    assert not (settings.out / "figure3_tiny.png").exists()


def test_figure_4_is_written(settings: FigureSettings) -> None:
    named = str(settings.runs) + "/vrsp-seed0/model.safetensors"
    bench_figure4(models=("mask_rcnn", "mask_rcnn_visible", named), images=(1, 0), settings=settings)
    rows = read(settings, "figure4")["rows"]
    methods = ("Mask R-CNN", "Mask R-CNN, visible", "vrsp-seed0")
    assert [(row["image_id"], row["method"]) for row in rows] == [(i, m) for i in (1, 0) for m in methods]
    assert all(row["objects"] >= 1 and row["found"] == 0 for row in rows), "untrained models are never sure"
    assert [row["mean_iou"] for row in rows[:3]] == [0.0, None, 0.0]
    width, height = size_of(settings.out / "figure4_tiny.png")
    assert width > 2 * height, "two rows of five"
    with pytest.raises(UserError, match=r"images \(0, 2\) are not all there.*0 to 1"):
        bench_figure4(models=("vrsp",), images=(0, 2), settings=settings)


def test_models_are_named_and_of_the_datas_categories(
    settings: FigureSettings, models: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="no model of the bench is called 'yolo'"):
        trained.load(["yolo"], models, 0, CPU)
    with pytest.raises(UserError, match="no models named"):
        trained.load([], models, 0, CPU)
    with pytest.raises(UserError, match="no such model"):
        trained.load(["orcnn"], models / "runs", 0, CPU)
    folder = tmp_path / "cutouts"
    for number in range(2):
        path = folder / "brick" / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGBA", (20, 12), (180, 60, 40, 255)).save(path)
    other = replace(SCENES, cutouts=str(folder), count=1)
    monkeypatch.setattr(variants, "base", lambda name, data: replace(tiny_recipe(), data=DataConfig(SCENES, other)))
    for bench in (bench_figure1, bench_figure3, bench_figure4):
        with pytest.raises(UserError, match="categories"):
            bench(settings=settings, **({"model": "vrsp"} if bench is bench_figure3 else {"models": ("vrsp",)}))


def test_main_axis_is_the_direction_of_a_bar() -> None:
    bar = np.zeros((28, 28))
    bar[13:15, 4:24] = 1
    assert figure5.main_axis(bar) == pytest.approx(0)
    assert figure5.main_axis(bar.T) == pytest.approx(90)
    assert figure5.main_axis(np.fliplr(np.eye(28))) == pytest.approx(45), "from lower left to upper right"
    assert figure5.main_axis(np.zeros((28, 28))) == 0
    assert figure5.apart(np.array([1.0, 10.0]), np.array([179.0, 100.0])).tolist() == [2.0, 90.0]


def test_neighbours_of_a_good_layout_point_the_same_way() -> None:
    places = np.array([[0.0, 0.0], [0.1, 0.0], [9.0, 9.0], [9.1, 9.0]])
    assert figure5.neighbour_angle(places, np.array([0.0, 4.0, 90.0, 92.0])) == pytest.approx(3.0)
    assert sorted(figure5.spread_out(places, share=0.5)) in ([0, 2], [1, 2], [0, 3], [1, 3])


def test_figure_5_is_written(tmp_path: Path) -> None:
    random_prior(12).save(tmp_path / "prior.safetensors")
    bench_figure5(tmp_path / "prior.safetensors", categories=("mug", "key"), out=tmp_path)
    content = json.loads((tmp_path / "figure5.json").read_text())["categories"]
    assert [one["category"] for one in content] == ["mug", "key"]
    for one in content:
        assert one["shapes"] == len(one["places"]) == 12
        assert 0 <= one["trustworthiness"] <= 1
        assert 0 <= one["angle_of_neighbours"] <= 90
    width, height = size_of(tmp_path / "figure5.png")
    assert width > 1.5 * height
    with pytest.raises(UserError, match="knows no category 'sofa'"):
        bench_figure5(tmp_path / "prior.safetensors", categories=("sofa",), out=tmp_path)


def test_figure_5_needs_shapes() -> None:
    prior = ShapePrior(MaskAutoencoder(3), CodeBook.from_classes([torch.rand(3, 128), torch.rand(5, 128)]))
    assert figure5.first_categories(prior, 3) == ("2",)
    with pytest.raises(UserError, match="3 shapes of '1'"):
        figure5.lay_out(prior, "1")
    assert figure5.lay_out(prior, "2").places.shape == (5, 2)


def test_masks_are_measured_object_by_object() -> None:
    """Two objects: a bar of four cells, half hidden, and a whole cell."""
    amodal = torch.zeros(2, 2, 4, dtype=torch.bool)
    amodal[0, 0], amodal[1, 1, 0] = True, True
    visible = amodal.clone()
    visible[0, 0, 2:] = False
    predicted = amodal.clone()
    predicted[0, 0, 3] = False
    target = {"amodal_masks": amodal, "visible_masks": visible}
    answer = SimpleNamespace(pasted=lambda size: (predicted.numpy(), None))
    found = mask_quality._of_image(answer, target)  # type: ignore[arg-type]
    assert found["amodal"].tolist() == [0.75, 1.0]
    assert found["amodal_occluded"][0] == 0.75
    assert found["hidden"][0] == 0.5, "one of two hidden cells"
    assert found["hidden"][1:].isnan().all()
    assert found["amodal_occluded"][1:].isnan().all()
    assert found["visible"].isnan().all()


def test_differences_are_paired_and_drawn_by_image() -> None:
    values, images = np.array([0.1, 0.3, 0.2, 0.2]), np.array([5, 5, 7, 9])
    mean, low, high = mask_quality.difference(values, images)
    assert mean == pytest.approx(0.2)
    assert (low, high) == pytest.approx((0.2, 0.2)), "every image has the same mean"
    assert mask_quality.difference(np.array([0.0, 1.0]), np.array([0, 0]))[1:] == (0.5, 0.5)
    low, high = mask_quality.difference(np.array([0.0, 1.0]), np.array([0, 1]))[1:]
    assert (low, high) == (0, 1)


def test_masks_are_written(settings: FigureSettings) -> None:
    bench_trained_masks(
        models=("vrsp", "mask_rcnn", "mask_rcnn_visible"), coarse=("vrsp",), images=1, settings=settings
    )
    rows = read(settings, "trained_masks")["rows"]
    assert [row["method"] for row in rows] == ["VRSP", "VRSP, coarse", "Mask R-CNN", "Mask R-CNN, visible"]
    assert rows[0]["amodal_difference"] == [0, 0, 0]
    assert rows[3]["amodal"] is rows[3]["amodal_difference"] is rows[2]["visible"] is None
    for row in rows[1:3]:
        assert row["amodal"] - rows[0]["amodal"] == pytest.approx(row["amodal_difference"][0], abs=0.02)
