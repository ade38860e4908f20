"""Occlusion composed on photographs: what is whole, what is covered, and what is known of it."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import amodal.synthesis.covering
from amodal import cli
from amodal.data.config import PhotographSource
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.composition import encode_scene, scene_rng
from amodal.synthesis.config import OcclusionConfig
from amodal.synthesis.covering import cover
from amodal.synthesis.photographs import Photographs, photograph_of, repeats
from amodal.synthesis.wholeness import has_amodal_masks, whole
from tests import photographs

SMALL = OcclusionConfig(untouched=0.0, min_visible_area=16, occlusion_rate=(0.1, 0.6))


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return photographs.write(tmp_path_factory.mktemp("photographs"))


def annotations():
    return [photographs.annotation(i, 1, category, mask) for i, (category, mask) in enumerate(photographs.objects())]


def test_what_touches_border_or_neighbour_is_not_whole():
    assert whole(annotations()).tolist() == [True, True, False, False, False]
    assert whole(annotations(), up_to_border=True).tolist() == [True, True, True, False, False]
    assert whole(annotations(), min_area=1100).tolist() == [False, True, False, False, False]
    assert whole([]).tolist() == []


def test_where_amodal_masks_are_known_the_wholly_visible_are_whole():
    assert whole(annotations(), up_to_border=True, amodal_known=True).all()
    covered = replace(annotations()[0], visible=annotations()[1].amodal)
    assert whole([covered], amodal_known=True).tolist() == [False]
    assert has_amodal_masks([covered]) and not has_amodal_masks(annotations())


def test_two_pixels_must_lie_between():
    size = (40, 40)
    for gap, expected in ((0, False), (1, False), (2, True)):
        pair = [photographs.square(size, 5, 5, 10), photographs.square(size, 15 + gap, 5, 10)]
        found = whole([photographs.annotation(i, 1, 1, mask) for i, mask in enumerate(pair)])
        assert found.tolist() == [expected, expected], gap


def test_what_touches_a_crowd_is_not_whole_and_no_crowd_is():
    size = (40, 40)
    pair = [photographs.square(size, 5, 5, 10), photographs.square(size, 15, 5, 10)]
    crowd = [photographs.annotation(i, 1, 1, mask, is_crowd=i == 1) for i, mask in enumerate(pair)]
    assert whole(crowd).tolist() == [False, False]


def test_a_photograph_is_resized_with_its_masks(file: Path):
    found = Photographs(annotation_files.read(file), side=60, min_area=16)[0]
    assert found.image.shape == (45, 60, 3)
    assert found.masks.shape == (5, 45, 60)
    assert found.is_whole.tolist() == [True, True, False, False, False]
    expected = [mask.sum() / 4 for _, mask in photographs.objects()]
    np.testing.assert_allclose(found.masks.sum((1, 2)), expected, rtol=0.05)


def test_categories_that_do_not_count_are_background(file: Path):
    chosen = Photographs(annotation_files.read(file), ["square"])
    assert chosen.categories == ("square",)
    assert chosen[0].labels.tolist() == [1, 1]
    with pytest.raises(UserError, match="no category 'cup'"):
        Photographs(annotation_files.read(file), ["cup"])


def test_photographs_of_rare_categories_come_more_often(file: Path):
    labels = [{1}] * 90 + [{1, 2}] * 10  # 2 is on a tenth of the images
    assert repeats(labels, 0.4) == [1] * 90 + [2] * 10  # the root of 0.4 / 0.1
    assert repeats(labels, 0.9) == [1] * 90 + [3] * 10
    assert repeats(labels, 0.1) == repeats(labels, 0.0) == [1] * 100
    assert repeats([], 0.5) == []
    once = Photographs(annotation_files.read(file))
    often = once.repeated(9.0)
    assert len(often) == 3 * len(once)
    assert [image.id for image in often.images[:3]] == [once.images[0].id] * 3


def test_categories_can_count_as_one(file: Path):
    merged = Photographs(annotation_files.read(file), merged="object")
    assert merged.categories == ("object",)
    assert set(merged[0].labels.tolist()) == {1}
    assert [merged.label_of(name) for name in ("disc", "square", "cup")] == [1, 1, 0]


def scenes(file: Path, count: int = 12):
    annotation_set = annotation_files.read(file)
    source = Photographs(annotation_set, side=120, min_area=64)
    cutouts = AnnotatedCutOuts(annotation_set, min_area=64, uniform="objects")
    for index in range(count):
        photograph = photograph_of(source, 0, index)
        yield photograph, cover(photograph, cutouts, source.label_of, SMALL, scene_rng(0, index))


def test_what_is_covered_is_known_exactly(file: Path):
    rates = []
    for photograph, scene in scenes(file):
        own = len(photograph.masks)
        assert scene.exact is not None
        assert (scene.visible <= scene.amodal).all()
        assert (scene.visible.sum(axis=0) <= 1).all(), "a pixel shows one object"
        np.testing.assert_array_equal(scene.amodal[-own:], photograph.masks)
        assert scene.exact[-own:].tolist() == photograph.is_whole.tolist()
        assert scene.exact[:-own].all(), "cut-outs are whole"
        rates += [1 - v.sum() / a.sum() for v, a, e in zip(scene.visible, scene.amodal, scene.exact, strict=True) if e]
        assert scene.visible[-own:].sum(axis=(1, 2)).min() >= SMALL.min_visible_area
    assert sum(rate > 0.1 for rate in rates) >= 6, "things are covered"


def test_pixels_outside_the_cut_outs_stay_as_they_were(file: Path):
    for photograph, scene in scenes(file, 4):
        covered = scene.amodal[: -len(photograph.masks)].any(axis=0)
        grown = np.pad(covered, 2)
        near = sum(np.roll(grown, (y, x), (0, 1)) for y in range(-2, 3) for x in range(-2, 3))[2:-2, 2:-2] > 0
        np.testing.assert_array_equal(scene.image[~near], photograph.image[~near])


def test_cut_outs_are_whole_objects_of_other_photographs(file: Path, monkeypatch: pytest.MonkeyPatch):
    cutouts = AnnotatedCutOuts(annotation_files.read(file), min_area=64, uniform="objects")
    names = {cutouts.sample(scene_rng(1, i)).name for i in range(40)}
    assert names == {"1", "2", "6", "7", "11", "12"}, "the whole ones, by annotation id"
    laid: list[str] = []
    warp = amodal.synthesis.covering.warp
    monkeypatch.setattr(
        "amodal.synthesis.covering.warp", lambda cut_out, pose: laid.append(cut_out.name) or warp(cut_out, pose)
    )
    for photograph, _ in scenes(file):
        assert laid and not photograph.names & set(laid)
        laid.clear()


def test_a_scene_is_the_same_whenever_it_is_asked_for(file: Path):
    source = PhotographSource(str(file), side=96, count=5, occlusion=SMALL)
    one, other = open_source(source), open_source(source)
    for index in (3, 0):
        first, second = one[index], other[index]
        assert (first["image"] == second["image"]).all()
        assert (first["target"]["visible_masks"] == second["target"]["visible_masks"]).all()
    assert not (one[0]["image"].shape == one[1]["image"].shape and (one[0]["image"] == one[1]["image"]).all())


def test_objects_that_nobody_knows_whole_are_crowds_in_files(file: Path):
    _, scene = next(scenes(file))
    written = encode_scene(scene, 1, 1, [1, 2])
    assert scene.exact is not None
    assert [a.is_crowd for a in written] == (~scene.exact).tolist()


def test_each_photograph_comes_once_before_any_comes_again(file: Path):
    source = Photographs(annotation_files.read(file), side=60)
    first = [photograph_of(source, 4, index).names for index in range(6)]
    assert len(set(first[:3])) == len(set(first[3:])) == 3


@pytest.mark.parametrize(
    "wrong",
    [{"num_occluders": (0, 2)}, {"scale": (1.0, 0.5)}, {"occlusion_rate": (0.2, 1.0)}, {"untouched": 1.5}],
)
def test_settings_that_no_scene_can_meet_are_refused(wrong: dict[str, object]):
    with pytest.raises(UserError):
        OcclusionConfig(**wrong)  # type: ignore[arg-type]


def test_the_command_covers_photographs_in_two_processes_as_in_one(file: Path, tmp_path: Path):
    for name, workers in (("one", 1), ("two", 2)):
        arguments = ["--out", str(tmp_path / name), "--photographs", str(file), "--side", "96", "--count", "205"]
        arguments += ["--workers", str(workers), "--occlusion.untouched", "0", "--image-format", "png"]
        cli.main(["synth", *arguments])
    one, two = (annotation_files.read(tmp_path / name / "annotations.json") for name in ("one", "two"))
    assert one.annotations == two.annotations and len(one.images) == 205
    assert (tmp_path / "one/images/000204.png").read_bytes() == (tmp_path / "two/images/000204.png").read_bytes()
    assert {a.is_crowd for a in one.annotations} == {True, False}
    assert any(a.visible != a.amodal for a in one.annotations)
