"""One thing found twice loses score; two things never do."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal.boxed_masks import BoxedMasks
from amodal.inference.onnx import OnnxModel
from amodal.results.duplicates import lower_duplicates

SIZE = (60, 80)


def found(boxes: list[list[float]], scores: list[float], labels: list[int], visible: np.ndarray | None = None):
    full = np.ones((len(boxes), 28, 28), np.float32)
    shown = full if visible is None else visible
    return BoxedMasks(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(scores, np.float32),
        full,
        shown,
    )


def test_the_same_pixels_under_two_classes() -> None:
    both = found([[10, 10, 40, 50], [11, 10, 40, 50], [50, 5, 75, 30]], [0.9, 0.8, 0.7], [1, 2, 1])
    lowered = lower_duplicates(both, SIZE, 0.5)
    assert lowered.labels.tolist() == [1, 1, 2], "in order of the new scores"
    np.testing.assert_allclose(lowered.scores, [0.9, 0.7, 0.8 * (1 - 0.45)], rtol=1e-6)
    assert lower_duplicates(both, SIZE, 0.5, score_threshold=0.5).labels.tolist() == [1, 1]


def test_a_part_of_an_object_of_the_same_class() -> None:
    half = found([[10, 10, 40, 50], [12, 30, 38, 49]], [0.9, 0.8], [1, 1])
    assert lower_duplicates(half, SIZE, 0.5).scores[1] < 0.5


def test_one_thing_behind_another_keeps_its_score() -> None:
    """The boxes are nearly the same, and so are the amodal masks; the visible ones are not."""
    visible = np.ones((2, 28, 28), np.float32)
    visible[1, :, :16] = 0
    visible[0, :, 16:] = 0
    behind = found([[10, 10, 40, 50], [10, 10, 40, 50]], [0.9, 0.8], [1, 1], visible)
    assert lower_duplicates(behind, SIZE, 0.5).scores.tolist() == behind.scores.tolist()


def test_amodal_masks_where_there_are_no_others() -> None:
    twice = found([[10, 10, 40, 50]] * 2, [0.9, 0.8], [1, 2])
    amodal = BoxedMasks(twice.boxes, twice.labels, twice.scores, twice.amodal, None)
    assert lower_duplicates(amodal, SIZE, 0.5).scores[1] < 0.5


class Session:
    """An exported model that finds one thing twice."""

    def get_outputs(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name=name) for name in ("boxes", "labels", "scores", "amodal", "visible")]

    def get_overridable_initializers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(name="score_threshold")]

    def run(self, *_: object) -> list[np.ndarray]:
        twice = found([[10, 10, 40, 50]] * 2, [0.9, 0.8], [1, 2])
        return [twice.boxes, twice.labels, twice.scores, twice.amodal, twice.visible]  # type: ignore[list-item]


def test_exported_models_obey_their_file() -> None:
    categories = '[{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]'
    image = np.zeros((*SIZE, 3), np.uint8)
    for about, second in (({}, 0.8), ({"duplicate_threshold": "0.5"}, 0.44)):
        model = OnnxModel(Session(), {"categories": categories, **about})  # type: ignore[arg-type]
        (one,) = model.detect([image])
        assert one.scores.tolist() == pytest.approx([0.9, second])


@pytest.mark.parametrize("size", [SIZE, (6000, 8000)])
def test_no_object_and_one(size: tuple[int, int]) -> None:
    for boxes in ([], [[1.0, 1.0, 5.0, 5.0]]):
        alone = found(boxes, [0.9] * len(boxes), [1] * len(boxes))
        assert len(lower_duplicates(alone, size, 0.5)) == len(boxes)


@given(st.lists(st.tuples(*[st.integers(-5, 70)] * 4, st.floats(0, 1, width=32)), max_size=8))
def test_laws(drawn: list[tuple[int, int, int, int, float]]) -> None:
    """No score rises, none falls below its half, the best stays, order is kept, and of duplicates one is above 0.5."""
    drawn = sorted(drawn, key=lambda one: -one[4])
    boxes = [[x, y, x + w % 30, y + h % 30] for x, y, w, h, _ in drawn]
    before = found(boxes, [one[4] for one in drawn], list(range(1, len(drawn) + 1)))
    after = lower_duplicates(before, SIZE, 0.5)
    assert sorted(after.labels.tolist()) == before.labels.tolist()
    assert (np.diff(after.scores) <= 0).all()
    old = before.scores[after.labels - 1]
    assert (after.scores <= old).all() and (after.scores >= old / 2 - 1e-6).all()
    if drawn:
        assert after.scores[0] == before.scores[0]
    lowered = after.scores < old
    assert (after.scores[lowered] <= 0.5 + 1e-6).all()
