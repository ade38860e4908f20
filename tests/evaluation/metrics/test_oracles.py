"""What is lost where: each kind of error alone, by hand; and the law that no oracle does harm."""

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.evaluation.analysis import analyse
from amodal.evaluation.metrics.oracles import KINDS, Kind, Losses, losses
from amodal.evaluation.score import score
from tests.every_metric.test_independently import as_data, scenes

SIZE = (20, 60)


def block(left: int, width: int = 10, top: int = 0, height: int = 10) -> rle.Rle:
    """A rectangle as a mask."""
    pixels = np.zeros((1, *SIZE), dtype=bool)
    pixels[0, top : top + height, left : left + width] = True
    return rle.encode(pixels)[0]


def truth_of(*annotations: Annotation) -> AnnotationSet:
    images = [ImageRecord(1, "1.png", *SIZE), ImageRecord(2, "2.png", *SIZE)]
    return AnnotationSet(images, list(annotations), [Category(3, "cup"), Category(5, "pear")])


CUP = Annotation(1, 1, 3, block(0), block(0))
PEAR = Annotation(2, 1, 5, block(20), block(20, 6))  # its right part is hidden
TRUTH = truth_of(CUP, PEAR)


def found(mask: rle.Rle, category: int = 3, sure: float = 0.9, visible: rle.Rle | None = None) -> Detection:
    return Detection(1, category, sure, amodal=mask, visible=visible or mask)


RIGHT = [found(block(0)), found(block(20), 5, visible=block(20, 6))]


def of(*detections: Detection, truth: AnnotationSet = TRUTH) -> Losses:
    return losses(truth, list(detections))


def gains(result: Losses) -> dict[str, float]:
    """The kinds that would gain something, in AP points."""
    return {kind: round(100 * gain, 6) for kind, gain in result.gains.items() if gain}


def test_perfect_detections_lose_nothing():
    result = of(*RIGHT)
    assert result.ap == 1
    assert gains(result) == {}
    assert set(result.counts.values()) == {0}


def test_a_wrong_class_alone_is_given_back_whole():
    result = of(found(block(0)), found(block(20), 3, visible=block(20, 6)))
    assert result.ap == 0.5
    assert gains(result) == {"class": 50.0}
    assert result.counts["class"] == 1
    assert result.counts["missed"] == 0, "an instance that was found under a wrong name is not missed"


def test_a_wrong_place_alone_is_given_back_whole():
    result = of(found(block(0)), found(block(26), 5))  # IoU 4 / 16
    assert result.ap == 0.5
    assert gains(result) == {"box": 50.0}
    assert result.counts == {**dict.fromkeys(KINDS, 0), "box": 1}


def test_duplicates_and_claims_of_nothing_cost_where_they_are_surer():
    twice = of(found(block(0), sure=0.9), found(block(0), sure=0.95), *RIGHT[1:])
    assert twice.counts["duplicate"] == 1
    assert gains(twice) == {}, "behind the last right one they cost nothing"
    both = truth_of(CUP, Annotation(3, 2, 3, block(0), block(0)), PEAR)
    other = Detection(2, 3, 0.5, amodal=block(0), visible=block(0))
    twice = of(found(block(0), sure=0.9), found(block(0), sure=0.8), other, RIGHT[1], truth=both)
    assert twice.counts["duplicate"] == 1
    assert set(gains(twice)) == {"duplicate"}
    assert twice.ap + twice.gains["duplicate"] == 1
    nothing = of(found(block(40), sure=0.95), *RIGHT)
    assert nothing.counts["background"] == 1
    assert set(gains(nothing)) == {"background"}
    assert nothing.ap == 0.75
    assert nothing.ap + nothing.gains["background"] == 1


def test_class_and_place_wrong_at_once():
    result = of(found(block(25), 3, sure=0.95), *RIGHT)  # a third of the pear, as a cup
    assert result.counts["class and box"] == 1
    assert result.ap + result.gains["class and box"] == 1
    assert set(gains(result)) == {"class and box"}


def test_what_is_missed_alone_is_given_back_whole():
    result = of(RIGHT[0])
    assert (result.ap, result.counts["missed"]) == (0.5, 1)
    # A category of which nothing is asked any more has no AP: what is left is perfect.
    assert gains(result) == {"missed": 50.0}
    third = Annotation(3, 2, 3, block(30), block(30))
    result = of(*RIGHT, truth=truth_of(CUP, PEAR, third))
    assert gains(result).keys() == {"missed"}
    assert result.ap + result.gains["missed"] == pytest.approx(1)


def test_a_corrected_class_that_is_found_already_is_removed():
    result = of(*RIGHT, found(block(20), 3, sure=0.95, visible=block(20, 6)))
    assert result.counts["class"] == 1
    assert result.ap == 0.75
    assert gains(result) == {"class": 25.0}


@pytest.mark.parametrize(
    ("mask", "visible", "kind"),
    [
        (block(20, 6), block(20, 6), "invisible part"),  # the invisible part is not claimed
        (block(20, 14), block(20, 6), "invisible part"),  # too much of it is claimed
        (block(22, 8), block(22, 4), "visible part"),  # a visible part is left out
        (block(17, 13), block(17, 9), "visible part"),  # too much is claimed to be seen
    ],
)
def test_the_part_of_the_mask_that_is_wrong_is_told(mask: rle.Rle, visible: rle.Rle, kind: Kind):
    result = of(RIGHT[0], found(mask, 5, visible=visible))
    assert result.counts == {**dict.fromkeys(KINDS, 0), kind: 1}
    assert set(gains(result)) == {kind}
    assert result.ap + result.gains[kind] == 1


def test_both_parts_wrong_are_both_told():
    result = of(RIGHT[0], found(block(21, 6), 5, visible=block(21, 5)))
    assert set(gains(result)) == {"visible part", "invisible part"}
    assert result.counts["visible part"] == result.counts["invisible part"] == 1


def test_crowds_neither_count_nor_are_errors():
    crowd = Annotation(3, 1, 3, block(30, 30), block(30, 30), is_crowd=True)
    result = of(*RIGHT, found(block(40), sure=0.99), truth=truth_of(CUP, PEAR, crowd))
    assert result.ap == 1
    assert set(result.counts.values()) == {0}
    assert gains(result) == {}


def test_without_visible_masks_the_parts_are_not_told_and_without_anything_nothing_is():
    bare = [Detection(1, 3, 0.9, amodal=block(0)), Detection(1, 5, 0.9, amodal=block(20, 6))]
    result = losses(TRUTH, bare)
    assert result.gains["visible part"] is None
    assert result.gains["class"] == 0
    nothing = losses(truth_of(), RIGHT)
    assert nothing.ap is None
    assert set(nothing.gains.values()) == {None}
    empty = losses(TRUTH, [])
    assert (empty.ap, empty.counts["missed"]) == (0, 2)


@pytest.mark.parametrize("seed", range(6))
def test_on_any_scenes_it_starts_from_coco_s_ap_and_no_oracle_does_harm(seed: int):
    truth, detections = as_data(scenes(seed))
    result = losses(truth, detections)
    report = score(truth, detections)
    assert report.amodal
    assert result.ap == pytest.approx(report.amodal.ap, abs=1e-12)
    assert all(gain is None or gain >= -1e-12 for kind, gain in result.gains.items() if kind in ("background", "box"))
    assert analyse(truth, detections).losses == result
    single = sum(not a.is_crowd for a in truth.annotations)
    assert sum(result.counts[kind] for kind in KINDS[:5]) <= len(detections)
    assert result.counts["missed"] <= single
