"""Results: what hides behind what, conversions to the forms of other tools, and back."""

import json
from dataclasses import replace

import numpy as np
import pytest

from amodal import mask_arrays, rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.boxed_masks import BoxedMasks
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.results import result_files
from amodal.results.depth_order import covered_pixels, front_to_back
from amodal.results.result import Result, from_annotations, from_boxed

CATEGORIES = (Category(3, "cup"), Category(7, "pear"))


def mask(*rows: str) -> np.ndarray:
    return np.array([[pixel == "#" for pixel in row] for row in rows])


CUP = mask("##..", "##..", "....")
PEAR = mask(".##.", ".##.", "....")
PEAR_SEEN = mask("..#.", "..#.", "....")


def result(**changes) -> Result:
    values = {
        "boxes": np.array([[0, 0, 2, 2], [1, 0, 3, 2]], np.float32),
        "labels": np.array([1, 2]),
        "scores": np.array([0.9, 0.75], np.float32),
        "categories": CATEGORIES,
        "amodal_masks": np.stack([CUP, PEAR]),
        "visible_masks": np.stack([CUP, PEAR_SEEN]),
    }
    return Result(**(values | changes))


def test_what_follows_from_the_masks():
    two = result()
    assert (len(two), two.size, two.names) == (2, (3, 4), ("cup", "pear"))
    assert (two.invisible_masks[1] == mask(".#..", ".#..", "....")).all()
    assert not two.invisible_masks[0].any()
    assert two.occlusion_rates.tolist() == [0.0, 0.5]
    assert two.depth_order.tolist() == [0, 1]


@pytest.mark.parametrize("keep", [1, [1], np.array([False, True]), slice(1, 2), np.array([1]), np.int64(1)])
def test_indexing_takes_every_field(keep):
    one = result()[keep]
    assert (len(one), one.names, one.scores.tolist()) == (1, ("pear",), [0.75])
    assert one.occlusion_rates.tolist() == [0.5]
    assert one.depth_order.tolist() == [0]


def test_a_predicted_order_wins_and_is_counted_anew_after_indexing():
    three = result()[[0, 1, 0]]
    ordered = Result(*(getattr(three, name) for name in list(three.__dataclass_fields__)[:6]), np.array([4, 0, 9]))
    assert ordered.depth_order.tolist() == [1, 0, 2]
    assert ordered[[0, 2]].depth_order.tolist() == [0, 1]


def test_a_model_of_one_kind_of_mask_says_so():
    for missing, known in (("visible_masks", "amodal"), ("amodal_masks", "visible")):
        single = result(**{missing: None})
        for read in ("invisible_masks", "occlusion_rates", "depth_order"):
            with pytest.raises(UserError, match=f"predicts {known} masks only"):
                getattr(single, read)
        assert (single.to_coco()[0].keys() >= {"segmentation"}) == (known == "amodal")
        assert ("visible_mask" in single.to_coco()[0]) == (known == "visible")


def test_fields_must_agree():
    with pytest.raises(ValueError, match="differ in their number"):
        result(scores=np.zeros(3, np.float32))
    with pytest.raises(ValueError, match="needs amodal masks, visible masks or both"):
        result(amodal_masks=None, visible_masks=None)


def empty() -> Result:
    return result()[np.zeros(2, dtype=bool)]


def test_no_objects():
    none = empty()
    assert (len(none), none.size, none.names, none.to_coco()) == (0, (3, 4), (), [])
    assert none.invisible_masks.shape == (0, 3, 4)
    assert none.occlusion_rates.shape == none.depth_order.shape == (0,)
    assert none.to_labelme("a.jpg")["shapes"] == []


def test_coco_dicts_hold_the_category_ids_and_both_masks():
    first, second = json.loads(json.dumps(result().to_coco(image_id=12)))
    assert (first["image_id"], first["category_id"], first["score"]) == (12, 3, pytest.approx(0.9))
    assert second["bbox"] == [1, 0, 2, 2]
    assert (first["depth_order"], second["depth_order"]) == (0, 1)
    for key, expected in (("segmentation", PEAR), ("visible_mask", PEAR_SEEN)):
        assert (rle.decode([rle.from_json(second[key], (3, 4))[0]], (3, 4))[0] == expected).all()


def test_coco_results_are_read_back_and_score(tmp_path):
    truth = AnnotationSet([ImageRecord(1, "a.jpg", 3, 4)], result().to_annotations(1), list(CATEGORIES))
    (tmp_path / "results.json").write_text(json.dumps(result().to_coco(1)))
    assert result_files.read(tmp_path / "results.json", truth) == result().to_detections(1)


def test_labelme_pages_are_read_back_to_the_pixel(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(result().to_labelme("a.jpg")))
    found = annotation_files.read(tmp_path / "a.json")
    assert [c.name for c in found.categories] == ["cup", "pear"]
    cup, pear = sorted(found.annotations, key=lambda a: a.category_id)
    assert (rle.decode([cup.amodal, cup.visible], (3, 4)) == [CUP, CUP]).all()
    assert (rle.decode([pear.amodal, pear.visible], (3, 4)) == [PEAR, PEAR_SEEN]).all()


@pytest.mark.filterwarnings("ignore:OpenCV .* is not installed:UserWarning")
def test_supervision_takes_it():
    detections = result().to_supervision()
    assert detections.data["class_name"].tolist() == ["cup", "pear"]
    assert detections.xyxy.tolist() == result().boxes.tolist()
    assert (detections[1:].mask == PEAR).all()
    assert (detections[1:].data["visible_mask"] == PEAR_SEEN).all()
    assert len(empty().to_supervision()) == 0


@pytest.mark.filterwarnings("ignore:OpenCV .* is not installed:UserWarning")
def test_supervision_takes_either_kind_of_mask():
    seen = result().to_supervision("visible")[1:]
    assert (seen.mask == PEAR_SEEN).all()
    assert (seen.data["amodal_mask"] == PEAR).all()
    assert seen.xyxy.tolist() == mask_arrays.boxes(PEAR_SEEN[None]).tolist()
    one_kind = replace(result(), visible_masks=None)
    assert "visible_mask" not in one_kind.to_supervision().data
    with pytest.raises(UserError, match="amodal masks only"):
        one_kind.to_supervision("visible")
    assert (replace(result(), amodal_masks=None).to_supervision().mask[1] == PEAR_SEEN).all()


def test_truth_as_a_result():
    truth = from_annotations(
        [Annotation(1, 1, 7, *rle.encode(np.stack([PEAR, PEAR_SEEN])), depth_order=5)], CATEGORIES[::-1], (3, 4)
    )
    assert (truth.names, truth.boxes.tolist(), truth.depth_order.tolist()) == (("pear",), [[1, 0, 3, 2]], [0])
    assert np.isnan(truth.scores).all()
    assert (truth.visible_masks == PEAR_SEEN).all()


def test_who_covers_whom():
    visible, amodal = np.stack([CUP, PEAR_SEEN]), np.stack([CUP, PEAR])
    assert covered_pixels(visible, amodal & ~visible).tolist() == [[0, 2], [0, 0]]


@pytest.mark.parametrize(
    ("covered", "places"),
    [
        (np.zeros((0, 0)), []),
        (np.zeros((3, 3)), [0, 1, 2]),  # nothing related: as given
        ([[0, 0, 0], [5, 0, 0], [0, 5, 0]], [2, 1, 0]),  # 2 before 1 before 0
        ([[0, 2], [7, 0]], [1, 0]),  # each covers some of the other: the more counts
        ([[0, 9, 0], [0, 0, 9], [1, 0, 0]], [0, 1, 2]),  # a cycle is cut where least is covered
    ],
)
def test_front_to_back(covered, places):
    assert front_to_back(np.asarray(covered, dtype=np.int64)).tolist() == places


def test_found_keeps_what_scores_enough_and_the_visible_within_the_amodal():
    ones, half = np.ones((2, 4, 4), np.float32), np.ones((2, 4, 4), np.float32)
    half[:, :, 2:] = 0
    boxes = np.array([[0, 0, 4, 4], [0, 0, 4, 4]], np.float32)
    found = BoxedMasks(boxes, np.array([1, 2]), np.array([0.5, 0.4], np.float32), half, ones)
    kept = from_boxed(found, (4, 4), CATEGORIES, 0.5)
    assert kept.names == ("cup",)
    assert kept.visible_masks is not None
    assert (kept.visible_masks[0] == mask("##..", "##..", "##..", "##..")).all()


def test_a_result_says_what_it_holds_in_a_line():
    assert str(result()) == repr(result()) == "2 objects: cup 0.90 (0 % occluded), pear 0.75 (50 % occluded)"
    assert str(result()[:1]) == "1 object: cup 0.90 (0 % occluded)"
    assert str(result()[:0]) == "0 objects"
    assert str(result(visible_masks=None)) == "2 objects: cup 0.90, pear 0.75"
    assert str(result(scores=np.full(2, np.nan, np.float32))[1]) == "1 object: pear (50 % occluded)"
    assert str(result()[[0] * 11]).endswith("cup 0.90 (0 % occluded), ...")
