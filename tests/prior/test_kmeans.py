import numpy as np
import pytest

from amodal.prior import kmeans


def points(count: int, size: int = 8, groups: int = 40, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (
        rng.normal(size=(groups, size))[rng.integers(groups, size=count)] * 3 + rng.normal(size=(count, size))
    ).astype(np.float32)


def test_two_clear_groups() -> None:
    given = np.array([[0, 0], [0, 2], [10, 0], [10, 2], [10, 4]], np.float32)
    centres = kmeans.cluster(given, 2)
    assert sorted(centres.tolist()) == [[0, 1], [10, 2]]
    assert kmeans.inertia(given, centres) == 2 + 8


def test_few_points_are_kept_once_each() -> None:
    given = np.array([[1, 1], [2, 0], [1, 1]], np.float32)
    assert kmeans.cluster(given, 2).tolist() == kmeans.cluster(given, 9).tolist() == [[1, 1], [2, 0]]
    assert kmeans.cluster(np.zeros((0, 2), np.float32), 3).shape == (0, 2)


def test_as_many_centres_as_asked_for_with_many_equal_points() -> None:
    given = np.repeat(np.arange(20, dtype=np.float32)[:, None], 50, axis=0)
    centres = kmeans.cluster(given, 19)
    assert centres.shape == (19, 1)
    assert kmeans.inertia(given, centres) == pytest.approx(50 * 2 * 0.25)


@pytest.mark.parametrize(("count", "centres"), [(600, 200), (3000, 100), (3000, 900)])
def test_inertia_is_no_worse_than_scikit_learns(count: int, centres: int) -> None:
    given = points(count)
    rival = pytest.importorskip("sklearn.cluster")
    theirs = rival.KMeans(centres, n_init=1, random_state=0).fit(given).inertia_
    ours = kmeans.cluster(given, centres)
    assert ours.shape == (centres, 8)
    assert kmeans.inertia(given, ours) <= 1.01 * theirs


def test_rounds_lower_the_inertia() -> None:
    given = points(2500)
    found = [kmeans.inertia(given, kmeans.cluster(given, 50, rounds)) for rounds in (0, 1, 4)]
    assert found[0] > found[1] > found[2]


def test_nothing_is_random() -> None:
    given = points(1500)
    assert np.array_equal(kmeans.cluster(given, 60), kmeans.cluster(given.copy(), 60))


def test_a_centre_that_loses_its_points_stays_where_it_was() -> None:
    otherwise = np.array([[5.0], [7.0]], np.float32)
    means = kmeans._means(np.array([[1.0], [2.0]], np.float32), np.array([0, 0]), otherwise)
    assert means.tolist() == [[1.5], [7.0]]
