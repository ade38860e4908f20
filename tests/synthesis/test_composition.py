"""Composition: what is in front covers what is behind, exactly; wishes are kept; the same seed gives the same scene."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from amodal import rle
from amodal.errors import UserError
from amodal.synthesis.backgrounds import PlainBackgrounds
from amodal.synthesis.composition import Scene, compose, encode_scene, render, scene_rng
from amodal.synthesis.config import SceneConfig, part_of
from amodal.synthesis.cutouts import CutOut
from amodal.synthesis.placing import Placement
from amodal.synthesis.shapes import DrawnCutOuts
from amodal.synthesis.warping import Pose, warp

SOURCE = DrawnCutOuts(num_objects=4, side=64)
SIZE = (72, 96)
RED, GREEN = (200, 10, 20), (10, 180, 30)


def square(colour: tuple[int, int, int], side: int = 4) -> CutOut:
    return CutOut.of(np.full((side, side, 3), colour, np.uint8), np.full((side, side), 255, np.uint8), "square")


def put(cut_out: CutOut, left: int, top: int, label: int = 1) -> Placement:
    return Placement(warp(cut_out, Pose(length=max(cut_out.size))), left, top, label)


def scenes(count: int = 20, **settings: object) -> list[Scene]:
    config = SceneConfig(**{"size": SIZE, "shadow": 0.0, "min_visible_area": 12, **settings})  # type: ignore[arg-type]
    return [compose(SOURCE, PlainBackgrounds(), config, scene_rng(3, index)) for index in range(count)]


def occlusion_rates(scene: Scene) -> np.ndarray:
    return 1 - scene.visible.sum(axis=(1, 2)) / scene.amodal.sum(axis=(1, 2))


def test_two_squares_cover_as_drawn_by_hand():
    black = np.zeros((6, 8, 3), np.uint8)
    scene = render(black, [put(square(RED, 3), 1, 1, 2), put(square(GREEN, 3), 3, 2, 5)])
    front = [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 1, 1, 1, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    back_seen = [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 1, 0, 0],
        [0, 0, 0, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
    ]
    assert_array_equal(scene.amodal[0], np.array(front, bool))
    assert_array_equal(scene.visible[0], np.array(front, bool))
    assert_array_equal(scene.visible[1], np.array(back_seen, bool))
    assert scene.amodal[1].sum() == 9
    assert_array_equal(scene.boxes, [[1, 1, 4, 4], [3, 2, 6, 5]])
    assert_array_equal(scene.labels, [2, 5])
    assert_array_equal(scene.depth_order, [0, 1])
    assert_array_equal(scene.image, np.where(scene.visible[0][..., None], RED, 0) + scene.visible[1][..., None] * GREEN)


def test_objects_over_the_edge_are_cut_and_those_outside_are_empty():
    black = np.zeros((5, 5, 3), np.uint8)
    scene = render(
        black, [put(square(RED), -2, -3), put(square(RED), 3, 4), put(square(RED), 9, 0), put(square(RED), -9, 0)]
    )
    assert scene.amodal.sum(axis=(1, 2)).tolist() == [2, 2, 0, 0]
    assert_array_equal(scene.boxes, [[0, 0, 2, 1], [3, 4, 5, 5], [0, 0, 0, 0], [0, 0, 0, 0]])


def test_a_scene_without_objects_is_its_background():
    background = PlainBackgrounds().sample((4, 6), scene_rng(0, 0))
    scene = render(background, [])
    assert_array_equal(scene.image, background)
    assert scene.amodal.shape == scene.visible.shape == (0, 4, 6)
    assert scene.boxes.shape == (0, 4)
    assert encode_scene(scene, 1, 1, [1]) == []


def test_rendering_leaves_its_arguments_alone_and_a_shadow_changes_no_mask():
    background = np.full((20, 20, 3), 200, np.uint8)
    placements = [put(square(RED, 8), 3, 3), put(square(GREEN, 8), 8, 8)]
    plain, shaded = render(background, placements), render(background, placements, shadow=0.5)
    assert (background == 200).all()
    assert_array_equal(plain.amodal, shaded.amodal)
    assert_array_equal(plain.visible, shaded.visible)
    assert shaded.image.mean() < plain.image.mean()
    assert_array_equal(shaded.image[4:10, 4:10], plain.image[4:10, 4:10])  # the nearest object is in nobody's shadow


def test_half_covered_edge_pixels_are_blended():
    alpha = np.repeat(np.array([[100], [128], [255], [255]], np.uint8), 4, axis=1)
    cut_out = CutOut.of(np.full((4, 4, 3), 255, np.uint8), alpha, "square")
    scene = render(np.zeros((4, 4, 3), np.uint8), [put(cut_out, 0, 0)])
    assert scene.image[:, 0, 0].tolist() == pytest.approx([100, 128, 255, 255], abs=1)
    assert scene.amodal[0, :, 0].tolist() == [False, True, True, True]


@pytest.mark.parametrize(
    ("pose", "expected"),
    [
        (Pose(3), [[1, 2, 3], [4, 5, 6]]),
        (Pose(3, flipped=True), [[3, 2, 1], [6, 5, 4]]),
        (Pose(3, angle=90), [[3, 6], [2, 5], [1, 4]]),
        (Pose(3, angle=180), [[6, 5, 4], [3, 2, 1]]),
        (Pose(3, angle=90, flipped=True), [[1, 4], [2, 5], [3, 6]]),
        (Pose(6), [[1, 1, 2, 2, 3, 3], [1, 1, 2, 2, 3, 3], [4, 4, 5, 5, 6, 6], [4, 4, 5, 5, 6, 6]]),
    ],
)
def test_poses_turn_mirror_and_scale(pose: Pose, expected: list[list[int]]):
    blocks = np.array([[1, 2, 3], [4, 5, 6]]) * 40
    # Blocks of 8 pixels, so that filtering spares their middles.
    big = np.kron(blocks, np.ones((8, 8))).astype(np.uint8)
    cut_out = CutOut.of(np.dstack([big] * 3), np.full(big.shape, 255, np.uint8), "blocks")
    sprite = warp(cut_out, Pose(pose.length * 8, pose.angle, pose.flipped))
    wanted = np.kron(np.array(expected) * 40, np.ones((8, 8), int))
    rows, columns = np.nonzero(sprite.mask)  # a blended pixel may surround the mask
    inside = np.s_[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
    assert sprite.mask[inside].shape == wanted.shape
    assert sprite.mask[inside].all()
    middles = np.s_[4::8, 4::8]
    assert_array_equal(np.asarray(sprite.image)[..., 0][inside][middles], wanted[middles])


def test_shrinking_keeps_area_and_mean_colour():
    rng = np.random.default_rng(0)
    cut_out = CutOut.of(rng.integers(0, 256, (120, 200, 3), np.uint8), np.full((120, 200), 255, np.uint8), "noise")
    sprite = warp(cut_out, Pose(20))
    assert sprite.area == pytest.approx(12 * 20, abs=8)
    inner = np.asarray(sprite.image)[2:-2, 2:-2, :3]
    assert inner.mean() == pytest.approx(cut_out.pixels.mean(), abs=3)
    assert inner.std() < 20  # means of pixels, not picked pixels


def test_gains_change_colour_and_never_the_mask():
    plain, bright = (
        warp(square((100, 100, 200)), Pose(4, gains=gains)) for gains in ((1.0, 1.0, 1.0), (1.5, 0.5, 2.0))
    )
    assert_array_equal(plain.mask, bright.mask)
    assert np.asarray(bright.image)[1, 1].tolist() == [150, 50, 255, 255]


def test_laws_of_visibility_hold_in_every_scene():
    for scene in scenes(25):
        assert 1 <= len(scene.labels) <= 9
        assert_array_equal(scene.visible[0], scene.amodal[0])  # nothing covers the nearest
        assert scene.visible.sum(axis=0).max() == 1  # a pixel shows one object
        assert_array_equal(scene.visible.any(axis=0), scene.amodal.any(axis=0))  # and shows one wherever there is one
        for i in range(1, len(scene.labels)):
            assert_array_equal(scene.visible[i], scene.amodal[i] & ~scene.amodal[:i].any(axis=0))
        rows, columns = (scene.amodal.any(axis=axis) for axis in (2, 1))
        for box, row, column in zip(scene.boxes, rows, columns, strict=True):
            assert box.tolist() == [column.argmax(), row.argmax(), 96 - column[::-1].argmax(), 72 - row[::-1].argmax()]
        assert scene.image.shape == (*SIZE, 3)
        assert scene.image.dtype == np.uint8
        assert set(scene.labels.tolist()) <= set(range(1, len(SOURCE.categories) + 1))


def test_the_same_seed_and_index_give_the_same_scene_whatever_came_before():
    first = scenes(8)
    again = compose(
        DrawnCutOuts(num_objects=4, side=64),
        PlainBackgrounds(),
        SceneConfig(size=SIZE, shadow=0.0, min_visible_area=12),
        scene_rng(3, 7),
    )
    for name in ("image", "amodal", "visible", "boxes", "labels"):
        assert_array_equal(getattr(first[7], name), getattr(again, name))
    assert not np.array_equal(first[6].image, first[7].image)
    assert scene_rng(0, 1).random() != scene_rng(1, 0).random()


@pytest.mark.parametrize(("least", "most"), [(0.1, 0.3), (0.4, 0.8)])
def test_occluded_objects_have_the_wanted_occlusion_rate(least: float, most: float):
    rates = np.concatenate([occlusion_rates(scene) for scene in scenes(40, occlusion_rate=(least, most))])
    occluded = rates[rates > 0]
    assert occluded.min() >= least
    assert occluded.max() <= most
    assert len(occluded) > 0.6 * len(rates)  # the wish is also sought, not only not broken


def test_no_occlusion_can_be_wanted():
    rates = np.concatenate(
        [occlusion_rates(scene) for scene in scenes(15, occlusion_rate=(0.0, 0.0), scale=(0.15, 0.3))]
    )
    assert len(rates) > 40
    assert (rates == 0).all()


def test_every_object_shows_the_least_visible_area_and_lies_inside():
    crowded = scenes(8, num_objects=(30, 30), min_visible_area=150, scale=(0.4, 0.7))
    areas = np.concatenate([scene.visible.sum(axis=(1, 2)) for scene in crowded])
    assert areas.min() >= 150
    assert all(len(scene.labels) < 30 for scene in crowded)  # those without such a place are left out
    inside = scenes(15, min_inside=1.0)
    whole = np.concatenate([scene.boxes for scene in inside])
    assert whole.min() >= 0
    assert len(whole) > 40


def test_settings_bound_objects_and_their_size():
    for scene in scenes(15, num_objects=(2, 3), scale=(0.5, 0.5), rotation=0.0, min_inside=1.0):
        assert 2 <= len(scene.labels) <= 3
        longer = (scene.boxes[:, 2:] - scene.boxes[:, :2]).max(axis=1)
        assert np.abs(longer - 36).max() <= 3


def test_a_scene_becomes_annotations():
    scene = render(np.zeros((6, 8, 3), np.uint8), [put(square(RED), 0, 0, 2), put(square(GREEN), 2, 1, 1)])
    front, back = encode_scene(scene, image_id=7, first_annotation_id=30, category_ids=[11, 22])
    assert (front.id, front.image_id, front.category_id, front.depth_order) == (30, 7, 22, 0)
    assert (back.id, back.category_id, back.depth_order) == (31, 11, 1)
    assert_array_equal(rle.decode([front.amodal, back.amodal], (6, 8)), scene.amodal)
    assert_array_equal(rle.decode([front.visible, back.visible], (6, 8)), scene.visible)


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"scale": (0.5, 0.2)}, "scale 0.5 0.2"),
        ({"scale": (0.0, 0.2)}, "scale"),
        ({"num_objects": (0, 3)}, "num_objects"),
        ({"occlusion_rate": (0.5, 1.0)}, "occlusion_rate"),
        ({"size": (8, 200)}, "size"),
        ({"min_visible_area": 0}, "min_visible_area"),
        ({"min_inside": 0.0}, "min_inside"),
        ({"rotation": -1.0}, "rotation"),
        ({"flip": 1.5}, "flip"),
    ],
)
def test_impossible_settings_are_named(settings: dict[str, object], named: str):
    with pytest.raises(UserError, match=named):
        SceneConfig(**settings)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("count", "train", "val"), [(8, [0, 1, 2, 3, 4, 5], [6, 7]), (2, [0], [1]), (1, [0], []), (3, [0, 1], [2])]
)
def test_splits_share_nothing_and_leave_nothing_out(count: int, train: list[int], val: list[int]):
    items = range(count)
    assert part_of(items, "train") == train
    assert part_of(items, "val") == val
    assert part_of(items, "all") == list(items)
