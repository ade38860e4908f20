"""Shapes, order, calibration, confusions, recall without categories, comparison: by hand on literal arrays."""

from dataclasses import replace

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.errors import UserError
from amodal.evaluation.analysis import Analysis, analyse, confusion
from amodal.evaluation.compare import compare
from amodal.evaluation.matching.mask_kinds import AMODAL
from amodal.evaluation.matching.pairs import Pair, assign
from amodal.evaluation.matching.records import collect
from amodal.evaluation.metrics import class_agnostic, occlusion
from amodal.evaluation.metrics.bootstrap import Resampling
from amodal.evaluation.metrics.boundary import boundary, boundary_ious, mean_boundary_iou
from amodal.evaluation.metrics.calibration import Bins, calibrate_scores
from amodal.evaluation.metrics.depth import depth_order, in_front
from amodal.evaluation.metrics.invisible_pixels import invisible_pixels
from amodal.evaluation.metrics.miou import mean_iou_full, mean_iou_occluded
from amodal.evaluation.report import Report
from amodal.evaluation.score import score


def mask(*rows: str) -> rle.Rle:
    """A mask drawn as text: # is the object."""
    return rle.encode(np.array([[c == "#" for c in row] for row in rows])[None])[0]


EMPTY = mask("......", "......")
LEFT = mask("####..", "####..")  # a whole object, its
LEFT4 = mask("####..", *["####.."] * 3)
LEFT_SEEN = mask("##....", "##....")  # right half hidden by
RIGHT = mask("..####", "..####")
TWO_BY_SIX = ImageRecord(1, "1.jpg", 2, 6)
KINDS = [Category(3, "carrot"), Category(5, "mug")]
BACK = Annotation(1, 1, 3, LEFT, LEFT_SEEN)
FRONT = Annotation(2, 1, 5, RIGHT, RIGHT)
TRUTH = AnnotationSet([TWO_BY_SIX], [BACK, FRONT], KINDS)


def found(amodal: rle.Rle, visible: rle.Rle | None, category: int = 3, confidence: float = 0.9) -> Detection:
    return Detection(1, category, confidence, amodal=amodal, visible=visible)


def test_mean_iou_full_counts_missed_instances_as_zero() -> None:
    assert mean_iou_full([Pair(BACK, found(LEFT_SEEN, LEFT_SEEN), 1.0)]) == 0.5
    assert mean_iou_full([Pair(BACK, found(LEFT, LEFT_SEEN), 1.0), Pair(FRONT, None, 0.0)]) == 0.5
    assert mean_iou_full([]) is None


def test_mean_iou_occluded_is_beyond_the_true_visible_mask_and_over_occluded_instances() -> None:
    bigger = mask("######", "##....")  # of what it adds to the visible part, 2 of 6 distinct pixels are right
    assert mean_iou_occluded([Pair(BACK, found(bigger, None), 1.0)]) == pytest.approx(2 / 6)
    # A fully visible instance is neither in the sum nor in the count.
    assert mean_iou_occluded([Pair(BACK, found(LEFT, None), 1.0), Pair(FRONT, found(LEFT, None), 1.0)]) == 1.0
    assert mean_iou_occluded([Pair(BACK, None, 0.0)]) == 0.0
    assert mean_iou_occluded([Pair(FRONT, found(RIGHT, None), 1.0)]) is None


def test_boundary_is_the_rim_and_the_image_border_counts_as_outside() -> None:
    square = np.zeros((7, 7), dtype=bool)
    square[1:6, 1:6] = True
    assert boundary(square, 1).sum() == 16
    assert boundary(np.ones((5, 5), dtype=bool), 1).sum() == 16
    assert boundary(square, 3).sum() == 25


@pytest.mark.parametrize("distance", [1, 2, 5, 16])
def test_boundary_is_what_a_minimum_filter_leaves(distance: int) -> None:
    from scipy.ndimage import gaussian_filter, minimum_filter

    for size in ((1, 1), (3, 40), (61, 70)):
        mask = gaussian_filter(np.random.default_rng(0).random(size), 4) > 0.48
        inner = minimum_filter(mask, size=2 * distance + 1, mode="constant", cval=0)
        np.testing.assert_array_equal(boundary(mask, distance), mask & ~inner)


def test_boundary_iou_of_two_squares() -> None:
    squares = np.zeros((2, 40, 40), dtype=bool)  # 2 % of the diagonal is 1.13: a rim of one pixel
    squares[0, 10:20, 10:20] = True
    squares[1, 10:20, 10:21] = True
    first, second = rle.encode(squares)
    # Rims of 36 and 38 pixels; common: two rows of 10 and the left column's other 8.
    nothing = rle.encode(np.zeros((1, 40, 40), bool))[0]
    answers = boundary_ious([(first, second), (first, first), (first, nothing), (nothing, nothing), (second, second)])
    assert answers == pytest.approx([28 / (36 + 38 - 28), 1.0, 0.0, 0.0, 1.0])
    assert mean_boundary_iou([Pair(Annotation(1, 1, 3, first, first), None, 0.0)]) == 0.0


def test_in_front_by_order_and_by_what_is_hidden() -> None:
    assert (in_front(FRONT, BACK), in_front(BACK, FRONT)) == (1, -1)
    assert in_front(FRONT, FRONT) == 0
    stated = Annotation(1, 1, 3, LEFT, LEFT_SEEN, depth_order=0), Annotation(2, 1, 5, RIGHT, RIGHT, depth_order=1)
    assert in_front(*stated) == 1


def test_depth_order_counts_overlapping_pairs_with_both_found() -> None:
    right = [Pair(BACK, found(LEFT, LEFT_SEEN), 1.0), Pair(FRONT, found(RIGHT, RIGHT, 5), 1.0)]
    swapped = [Pair(BACK, found(LEFT, LEFT), 1.0), Pair(FRONT, found(RIGHT, mask("....##", "....##"), 5), 1.0)]
    missed = [Pair(BACK, None, 0.0), Pair(FRONT, found(RIGHT, RIGHT), 1.0)]
    apart = [Pair(Annotation(1, 1, 3, LEFT_SEEN, LEFT_SEEN), None, 0.0), Pair(FRONT, None, 0.0)]
    order = depth_order([right, swapped, missed, apart])
    assert (order.pairs, order.found, order.right, order.accuracy) == (3, 2, 1, 0.5)
    assert depth_order([]).accuracy is None


def test_assignment_is_one_to_one_by_visible_masks() -> None:
    truth = AnnotationSet([TWO_BY_SIX, ImageRecord(2, "2.jpg", 2, 6)], [BACK, FRONT], KINDS)
    detections = [
        found(LEFT, RIGHT),  # its visible mask is the front object's
        found(EMPTY, LEFT_SEEN),
        found(LEFT, LEFT_SEEN, confidence=0.4),  # below the least score
        Detection(2, 3, 0.9, amodal=LEFT, visible=LEFT),  # nothing is there
    ]
    first, second = assign(truth, detections)
    assert [(p.truth, p.detection, p.overlap) for p in first.pairs] == [
        (BACK, detections[1], 1.0), (FRONT, detections[0], 1.0),
    ]  # fmt: skip
    assert (second.image_id, second.pairs, second.spare) == (2, [], [detections[3]])


def test_confusion_has_a_row_for_nothing_and_a_column_for_missed() -> None:
    detections = [found(LEFT, LEFT_SEEN, category=5), found(mask(".....#", "......"), mask(".....#", "......"))]
    # The carrot is taken for a mug; the speck stands for the mug at IoU 1/8: both a miss and a detection of nothing.
    assert confusion(TRUTH, list(assign(TRUTH, detections))) == [[0, 1, 0], [0, 0, 1], [1, 0, 0]]


def test_calibration_error_by_hand() -> None:
    result = Bins.of([0.95, 0.95, 0.25, 0.25], [True, False, False, False]).calibration()
    # Two bins of two: |0.95 - 0.5| and |0.25 - 0|.
    assert result.error == pytest.approx((0.45 + 0.25) / 2)
    assert (result.counts[9], result.counts[2], result.accuracy[9]) == (2, 2, 0.5)
    assert Bins.of([1.0], [True]).calibration().error == 0.0
    assert Bins.of([], []).calibration().error is None


def test_bins_of_parts_add_up() -> None:
    one, other = Bins.of([0.05, 0.5], [True, False]), Bins.of([0.55], [True])
    whole = (one + other).calibration()
    assert whole == Bins.of([0.05, 0.5, 0.55], [True, False, True]).calibration()
    assert (whole.counts[0], whole.counts[5], whole.accuracy[5]) == (1, 2, 0.5)
    assert whole.confidence[5] == pytest.approx(0.525)
    assert whole.error == pytest.approx((0.95 + abs(1.05 - 1)) / 3)


def test_calibration_of_scores_takes_matches_at_iou_one_half() -> None:
    clean = occlusion.clean_filter(TRUTH)
    detections = [found(LEFT, None, confidence=0.8), found(RIGHT, None, 3, 0.7)]
    [records] = collect(TRUTH, detections, AMODAL, clean, ["all"])
    assert calibrate_scores(records).error == pytest.approx((0.2 + 0.7) / 2)


def test_hidden_pixels_are_those_of_the_box_that_are_not_seen() -> None:
    # The carrot's box has 4 x 2 pixels, its left half is seen. Of the rest the model thinks 0.75 and 0.25; all are
    # the carrot's. What it says of the seen half, and the front object that nothing stands for, do not count.
    said = np.array([[[0.1, 0.9, 0.75, 0.25]] * 4], np.float32)
    whole = Detection(1, 3, 0.9, (0.0, 0.0, 4.0, 4.0), LEFT4, mask("##....", *["##...."] * 3))
    truth = Annotation(1, 1, 3, LEFT4, mask("##....", *["##...."] * 3))
    result = invisible_pixels([whole], said, [truth]).calibration()
    assert (result.counts[7], result.counts[2], sum(result.counts)) == (4, 4, 8)
    assert (result.accuracy[7], result.accuracy[2]) == (1.0, 1.0)
    assert result.error == pytest.approx((0.25 + 0.75) / 2)
    # An empty place of the box that the model believes in.
    short = replace(truth, amodal=mask("###...", *["###..."] * 3))
    assert invisible_pixels([whole], said, [short]).calibration().accuracy[2] == 0.0


def test_hidden_pixels_need_a_detection_that_stands_for_an_instance() -> None:
    said = np.full((1, 2, 2), 0.5, np.float32)
    unsure, elsewhere = (Detection(1, 3, s, (0.0, 0.0, 4.0, 2.0), LEFT, m) for s, m in ((0.4, LEFT_SEEN), (0.9, EMPTY)))
    for found_here in ([unsure], [elsewhere]):
        assert invisible_pixels(found_here, said, [BACK]).counts.sum() == 0
    assert invisible_pixels([], said[:0], [BACK]).calibration().error is None
    outside = Detection(1, 3, 0.9, (-9.0, 0.0, -2.0, 2.0), LEFT, LEFT_SEEN)
    assert invisible_pixels([outside], said, [BACK]).counts.sum() == 0


def test_recall_without_categories_by_occlusion_and_stuff() -> None:
    truth = AnnotationSet([TWO_BY_SIX], [BACK, Annotation(2, 1, 5, RIGHT, RIGHT, is_stuff=True)], KINDS)
    result = class_agnostic.recall(truth, [found(RIGHT, None, category=3)])  # the category is wrong, and irrelevant
    values = {name: (one.instances, one.ar100) for name, one in result.items()}
    assert values == {
        "all": (2, 0.5), "none": (1, 1.0), "partial": (0, None), "heavy": (1, 0.0), "things": (1, 0.0),
        "stuff": (1, 1.0),
    }  # fmt: skip


def test_a_quarter_hidden_is_partial() -> None:
    quarter = Annotation(1, 1, 3, LEFT, mask("####..", "##...."))
    assert class_agnostic.recall(AnnotationSet([TWO_BY_SIX], [quarter], KINDS), [])["partial"].instances == 1


def three_images(right: list[bool]) -> tuple[AnnotationSet, list[Detection]]:
    """One object an image, found where `right` says so."""
    images = [ImageRecord(i, "", 2, 6) for i in range(len(right))]
    annotations = [Annotation(i + 1, i, 3, LEFT, LEFT_SEEN) for i in range(len(right))]
    detections = [Detection(i, 3, 0.9 - 0.01 * i, amodal=LEFT, visible=LEFT_SEEN) for i, yes in enumerate(right) if yes]
    return AnnotationSet(images, annotations, KINDS), detections


def report_of(right: list[bool]) -> Report:
    truth, detections = three_images(right)
    return replace(score(truth, detections), analysis=analyse(truth, detections))


def test_weights_are_repetitions_of_images() -> None:
    truth, detections = three_images([True, False, True])
    [records] = collect(truth, detections, AMODAL, occlusion.clean_filter(truth), ["all"])
    ap = Resampling(records).average_precisions(np.array([2, 1, 0]))  # two of three are found, none is wrong
    assert ap[0] == pytest.approx(67 / 101)
    assert np.isnan(ap[1])
    assert Resampling(records).average_precisions(np.array([0, 3, 0]))[0] == 0.0


def test_a_run_is_no_different_from_itself_and_a_better_one_is_better() -> None:
    one, other = report_of([True, False] * 20), report_of([True] * 40)
    assert all((d.difference, d.low, d.high) == (0, 0, 0) for d in compare({"a": one, "b": one}, resamples=20))
    better = compare({"a": one, "b": other}, resamples=200)
    assert [d.measure for d in better] == ["amodal", "amodal, occlusion rate >= 0.15", "visible"]
    assert all(d.is_real and d.low < d.difference < d.high for d in better)
    assert better[0].difference == pytest.approx(1 - 51 / 101)
    assert compare({"a": one, "b": other}, resamples=200) == better  # the same seed, the same draws


def test_one_lucky_image_is_no_real_difference() -> None:
    one, other = report_of([True, False] * 20), report_of([True, True] + [True, False] * 19)
    assert not any(d.is_real for d in compare({"a": one, "b": other}, resamples=200))


def test_reports_that_cannot_be_compared_are_refused() -> None:
    one, other = report_of([True, False]), report_of([True, False, True])
    with pytest.raises(UserError, match="b: is about other data than a"):
        compare({"a": one, "b": other}, resamples=5)
    others = [replace(kind, name=f"other {kind.name}") for kind in KINDS]  # as many objects in as many images
    truth, detections = three_images([True, False])
    renamed = replace(one, amodal=score(replace(truth, categories=others), detections).amodal)
    with pytest.raises(UserError, match="b: is about other data than a: it has no 'carrot', 'mug'"):
        compare({"a": one, "b": renamed}, resamples=5)
    with pytest.raises(UserError, match="nothing to compare"):
        compare({"a": one})
    truth, detections = three_images([True])
    with pytest.raises(UserError, match="no match records"):
        compare({"a": one, "b": score(truth, detections)})


def test_analysis_needs_amodal_masks_and_survives_json() -> None:
    analysis = analyse(TRUTH, [found(LEFT, LEFT_SEEN), found(RIGHT, RIGHT, 5)])
    assert (analysis.shapes.mean_iou_full, analysis.shapes.mean_iou_occluded, analysis.shapes.missed) == (1, 1, 0)
    assert (analysis.depth.accuracy, analysis.confusion) == (1.0, [[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    again = Analysis.from_json(analysis.to_json())
    assert again.to_json() == analysis.to_json()
    assert (again.shapes, again.recall) == (analysis.shapes, analysis.recall)
    calibrated = analyse(TRUTH, [found(LEFT, LEFT_SEEN)], Bins.of([0.25, 0.75], [False, True])).to_json()
    earlier = {
        {"invisible_calibration": "hidden_calibration"}.get(name, name): part for name, part in calibrated.items()
    }
    assert Analysis.from_json(earlier).to_json() == calibrated, "as reports called it before"
    with pytest.raises(UserError, match="no amodal masks"):
        analyse(TRUTH, [Detection(1, 3, 0.9, visible=LEFT)])
