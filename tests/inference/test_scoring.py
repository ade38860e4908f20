"""A report made of parts of a data set: of any parts, in any order, it is that of the whole, to the bit."""

import random
from dataclasses import replace
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from amodal.annotations import AnnotationSet, Detection
from amodal.evaluation.metrics.calibration import Bins
from amodal.inference.scoring import PartOfReport, Whole, part_of_report, report_of, report_of_parts
from amodal.scale.packed import packed, unpacked
from tests.evaluation.test_score import random_data

Data = tuple[AnnotationSet, list[Detection]]


def parts_of(truth: AnnotationSet, detections: list[Detection], rng: random.Random) -> list[Data]:
    """Its images in up to five parts, some of them perhaps without any detection."""
    number = {image.id: rng.randrange(5) for image in truth.images}
    return [
        (
            replace(
                truth,
                images=[image for image in truth.images if number[image.id] == part],
                annotations=[a for a in truth.annotations if number[a.image_id] == part],
            ),
            [one for one in detections if number[one.image_id] == part],
        )
        for part in set(number.values())
    ]


def bins_of(detections: list[Detection]) -> Bins:
    """As if every detection had a pixel whose probability is no short binary fraction."""
    pixels = (Bins.of([one.score / 3], [one.score > 0.6]) for one in detections)
    return sum(pixels, Bins.of([], []))


def merged(truth: AnnotationSet, data: list[Data], whole: Whole) -> dict:
    found = [part_of_report(own, seen, bins_of(seen), whole.of_part(own)) for own, seen in data]
    return report_of_parts(truth, found, whole).to_json()


@settings(max_examples=12, derandomize=True, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 15), masks=st.sampled_from(["both", "amodal", "visible"]))
def test_any_parts_in_any_order_give_the_report_of_the_whole(seed: int, images: int, masks: str) -> None:
    rng = random.Random(seed)
    truth, detections = random_data(seed, images=images)
    stuff = [replace(a, is_stuff=rng.random() < 0.2) for a in truth.annotations]
    truth = replace(truth, annotations=stuff)
    lacking = {"both": {}, "amodal": {"visible": None}, "visible": {"amodal": None}}[masks]
    detections = [replace(one, **lacking) for one in detections]
    stated = {a.id: rng.choice([0.3, 0.9, 1.01]) for a in truth.annotations if rng.random() < 0.5}
    whole = Whole(any(a.is_stuff for a in stuff), stated)
    expected = merged(truth, [(truth, detections)], whole)
    for _ in range(2):
        data = parts_of(truth, detections, rng)
        rng.shuffle(data)
        assert merged(truth, data, whole) == expected


def test_one_part_is_what_everybody_gets() -> None:
    truth, detections = random_data(3)
    whole = Whole.of(truth)
    assert report_of(truth, detections, bins_of(detections)).to_json() == merged(truth, [(truth, detections)], whole)


def test_parts_travel_in_shards() -> None:
    pytest.importorskip("pyarrow")
    truth, detections = random_data(5)
    whole, data = Whole.of(truth), parts_of(*random_data(5), random.Random(1))
    made = [part_of_report(own, seen, bins_of(seen), whole) for own, seen in data]
    read = [one for part in made for one in unpacked(packed([part]), PartOfReport)]
    assert report_of_parts(truth, read, whole).to_json() == merged(truth, [(truth, detections)], whole)


def test_sums_of_probabilities_know_no_order() -> None:
    values = [0.1, 1e-17, 0.05, 0.1 / 3, 1e-9]
    rising, falling = (
        sum((Bins.of([one], [True]) for one in order), Bins.of([], [])) for order in (values, values[::-1])
    )
    assert rising.confidence[0] == falling.confidence[0] == sum(map(Fraction, values[1:]), Fraction(0))
    assert rising.calibration() == falling.calibration()
