"""K-Means for very many centres: few points a centre, where the start decides and k-means++ is what takes the time.

The start is Ward's clustering, which merges the two clusters that cost least until as many are left as centres are
wanted. It would compare all pairs of points; so the points are first cut into cells, each cell is clustered on its
own, and all cells' merges are then made in the order of their cost. A few rounds of Lloyd's algorithm follow, over all
centres. Nothing is random.
"""

import numpy as np
from scipy.cluster.hierarchy import ward
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial.distance import squareform

CELL = 1024
"""Most points in a cell. Larger cells take time in proportion, and lower the inertia by a few percent."""
CHUNK = 8192
"""Points compared with all centres at a time."""


def cluster(points: np.ndarray, num_centres: int, rounds: int = 3) -> np.ndarray:
    """Centres with a low sum of squared distances from the points (inertia).

    Args:
        points: float32 (N, D).
        num_centres: V, at least 1.
        rounds: Of Lloyd's algorithm at most; it ends early when no point changes its centre.

    Returns:
        float32 (V, D). All distinct points, where there are no more than V of them.
    """
    distinct = np.unique(points, axis=0)
    if len(distinct) <= num_centres:
        return distinct
    labels = _ward_labels(points, num_centres)
    centres = _means(points, labels, np.zeros((num_centres, points.shape[1]), np.float32))
    for _ in range(rounds):
        nearest = assign(points, centres)
        if np.array_equal(nearest, labels):
            break
        labels, centres = nearest, _means(points, nearest, centres)
    return centres


def assign(points: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """The nearest centre of each point, int64 (N,)."""
    norms = np.square(centres).sum(1)
    chunks = (points[start : start + CHUNK] for start in range(0, len(points), CHUNK))
    return np.concatenate([(norms - 2 * (chunk @ centres.T)).argmin(1) for chunk in chunks])


def inertia(points: np.ndarray, centres: np.ndarray) -> float:
    """Sum of the points' squared distances from their nearest centres: what K-Means lowers."""
    return float(np.square(points - centres[assign(points, centres)], dtype=np.float64).sum())


def _means(points: np.ndarray, labels: np.ndarray, otherwise: np.ndarray) -> np.ndarray:
    """The mean of each centre's points; `otherwise` for a centre that has none."""
    counts = np.bincount(labels, minlength=len(otherwise))
    places = (labels, np.arange(len(points)))
    membership = coo_array((np.ones(len(points), np.float32), places), shape=(len(otherwise), len(points)))
    sums = membership.tocsr() @ points
    return np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], otherwise).astype(np.float32)


def _ward_labels(points: np.ndarray, num_clusters: int) -> np.ndarray:
    """Ward's clustering within cells, cut at one cost for all cells so that `num_clusters` are left, int64 (N,).

    Clusters of all cells are numbered on from the points: each merge makes a new one. A merge never costs less than
    those that made its parts, so the cheapest N - V merges of all cells can be made without any other.
    """
    costs, merges, first_new = [], [], len(points)
    for cell in _cells(points):
        tree = ward(_pair_distances(points[cell]))
        numbers = np.concatenate([cell, first_new + np.arange(len(tree))])
        costs.append(tree[:, 2])
        merges.append(np.column_stack([numbers[tree[:, :2].astype(np.int64)], numbers[len(cell) :]]))
        first_new += len(tree)
    cheapest = np.argsort(np.concatenate(costs), kind="stable")[: len(points) - num_clusters]
    left, right, made = np.concatenate(merges)[cheapest].T
    ends = (np.concatenate([left, right]), np.concatenate([made, made]))
    links = coo_array((np.ones(len(ends[0]), np.int8), ends), shape=(first_new, first_new))
    _, components = connected_components(links, directed=False)
    return np.unique(components[: len(points)], return_inverse=True)[1]


def _cells(points: np.ndarray) -> list[np.ndarray]:
    """The points' indices in cells of at most `CELL`, halved again and again across the longest direction."""
    done, waiting = [], [np.arange(len(points))]
    while waiting:
        cell = waiting.pop()
        if len(cell) <= CELL:
            done.append(cell)
            continue
        centred = points[cell] - points[cell].mean(0)
        direction = centred[np.square(centred).sum(1).argmax()]
        for _ in range(8):  # power iteration towards the first principal component
            direction = centred.T @ (centred @ direction)
            direction /= max(float(np.linalg.norm(direction)), 1e-12)
        order = cell[np.argsort(centred @ direction, kind="stable")]
        waiting += [order[: len(order) // 2], order[len(order) // 2 :]]
    return done


def _pair_distances(points: np.ndarray) -> np.ndarray:
    """L2 distances of all pairs as float64, in scipy's condensed order."""
    centred = points - points.mean(0)  # smaller numbers cancel less below
    norms = np.square(centred).sum(1)
    squares = norms[:, None] + norms - 2 * (centred @ centred.T)
    return np.sqrt(np.maximum(squareform(squares, checks=False), 0), dtype=np.float64)
