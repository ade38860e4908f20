"""Bootstrap over images, and AP were each in the data set any number of times: quick enough to be done often."""

from dataclasses import dataclass

import numpy as np

from amodal.evaluation.matching.coco import IOU_THRESHOLDS, RECALL_POINTS
from amodal.evaluation.matching.records import Records


@dataclass(frozen=True)
class Sparse:
    """Some detections at some IoUs, segment by segment (a category at an IoU), by falling score in each.

    Attributes:
        detection: Place among the records' detections, int64 (P,).
        bounds: Where each segment begins, and the end, int64 (categories * 10 + 1,).
    """

    detection: np.ndarray
    bounds: np.ndarray

    @staticmethod
    def of(flags: np.ndarray, category: np.ndarray, num_categories: int) -> "Sparse":
        """Where `flags`, bool (10, D), are set; `category`, int (D,), ascends."""
        level, detection = flags.nonzero()
        segment = category[detection].astype(np.int64) * len(flags) + level
        order = np.argsort(segment, kind="stable")
        bounds = segment[order].searchsorted(np.arange(num_categories * len(flags) + 1))
        return Sparse(detection[order], bounds)

    def owners(self) -> np.ndarray:
        """The segment of each item, int64 (P,)."""
        return np.repeat(np.arange(len(self.bounds) - 1), np.diff(self.bounds))


CONFIDENCE = 0.95
"""Share of the draws that an interval holds."""
DETECTIONS_AT_ONCE = 20_000
"""As many as keep what is computed of them in the processor's cache."""
CATEGORIES_AT_ONCE = 16
"""So few that no array of their recall points is so large that the system is asked for memory at every draw."""


class Resampling:
    """Match records made ready for `average_precisions`."""

    def __init__(self, records: Records) -> None:
        ends = records.category.searchsorted(np.arange(len(records.wanted)), "right")
        full = np.diff(ends // DETECTIONS_AT_ONCE, prepend=-1) > 0
        firsts = np.flatnonzero(full | (np.arange(len(ends)) % CATEGORIES_AT_ONCE == 0))
        bounds = [*firsts.tolist(), len(records.wanted)]
        self.parts = [_Part(records.of_categories(*bounds[i : i + 2])) for i in range(len(firsts))]

    def average_precisions(self, weights: np.ndarray) -> np.ndarray:
        """AP over IoU .50:.95 of each category.

        Args:
            weights: How often each image is in the data set, in order of ids, int (images,), 0 or more.

        Returns:
            float64 (categories,); NaN where no instance counts.
        """
        return np.concatenate([part.average_precisions(weights) for part in self.parts])


class _Part:
    """Some categories of match records.

    Precision is best at detections that are right, so that only at these it is computed. How many stand before one is
    a difference of running sums of the images' weights: over all detections, less the ignored ones.
    """

    def __init__(self, records: Records) -> None:
        num_categories = len(records.wanted)
        self.image, self.wanted = records.image.astype(np.int64), records.wanted.astype(np.float64)
        self.right = Sparse.of(records.matched, records.category, num_categories)
        self.ignored = Sparse.of(records.ignored, records.category, num_categories)
        self.segment = self.right.owners()
        starts = records.category.searchsorted(np.arange(num_categories))
        self.begin = starts[self.segment // len(IOU_THRESHOLDS)]
        # Of the ignored detections, those of the same segment that stand before each right one.
        key = self.ignored.owners() * (len(self.image) + 1) + self.ignored.detection
        self.before = key.searchsorted(self.segment * (len(self.image) + 1) + self.right.detection)
        self.right_begin = self.right.bounds[self.segment]
        self.ignored_begin = self.ignored.bounds[self.segment]

    def average_precisions(self, weights: np.ndarray) -> np.ndarray:
        """As `Resampling.average_precisions`, of these categories."""
        own = weights.take(self.image)
        total = _running(own)
        ignored = _running(own.take(self.ignored.detection))
        found = _running(own.take(self.right.detection))
        claimed = total.take(self.right.detection + 1) - total.take(self.begin)
        claimed -= ignored.take(self.before) - ignored.take(self.ignored_begin)
        precision = (found[1:] - found.take(self.right_begin)) / (claimed + np.spacing(1))
        best = _from_here_on(precision, self.segment, len(self.right.bounds))
        wanted = self.wanted @ weights
        values = self._at_recalls(best, found, wanted).reshape(len(wanted), -1).mean(axis=1)
        return np.where(wanted > 0, values, np.nan)

    def _at_recalls(self, best: np.ndarray, found: np.ndarray, wanted: np.ndarray) -> np.ndarray:
        """The best precision at 101 recall points of each segment, float64 (segments, 101); 0 beyond the last recall.

        Args:
            best: At each right detection, the best precision from there on, (P,).
            found: Running sum of the weights of right detections, int (P + 1,).
            wanted: Weight of the instances of each category, (categories,).
        """
        least = np.repeat(_least_found(wanted), len(IOU_THRESHOLDS), axis=0)
        first, end = self.right.bounds[:-1, None], self.right.bounds[1:, None]
        place = np.maximum(found[1:].searchsorted(found[first] + least), first)
        return np.where(place < end, np.append(best, 0.0)[np.minimum(place, len(best))], 0.0)


def _running(values: np.ndarray) -> np.ndarray:
    """Sums of the first 0, 1, ... values, int64 (N + 1,)."""
    sums = np.zeros(len(values) + 1, dtype=np.int64)
    np.cumsum(values, out=sums[1:])
    return sums


def _from_here_on(values: np.ndarray, segment: np.ndarray, num_segments: int) -> np.ndarray:
    """The largest of each segment's values (in [0, 1]) from each place on, (N,)."""
    lift = 2.0 * (num_segments - segment)  # earlier segments lie above later ones: one running maximum serves all
    return np.maximum.accumulate((values + lift)[::-1])[::-1] - lift


def _least_found(wanted: np.ndarray) -> np.ndarray:
    """How many must be found to reach each recall point, as floats compare them, int64 (categories, 101)."""
    count = np.maximum(wanted, 1)[:, None]
    least = np.ceil(RECALL_POINTS * count)
    least -= (least - 1) / count >= RECALL_POINTS
    least += least / count < RECALL_POINTS
    return least.clip(min=0).astype(np.int64)


def draws(num_images: int, resamples: int, seed: int) -> np.ndarray:
    """How often each image is in the data set itself and in each resample, int64 (1 + resamples, images)."""
    chances = np.full(num_images, 1 / num_images)
    drawn = np.random.default_rng(seed).multinomial(num_images, chances, size=resamples)
    return np.concatenate([np.ones((1, num_images), drawn.dtype), drawn])


def interval(differences: np.ndarray) -> tuple[float, float]:
    """The middle `CONFIDENCE` of what was drawn, NaN left out (percentile method); NaN where there is nothing."""
    measured = differences[~np.isnan(differences)]
    if not measured.size:
        return float("nan"), float("nan")
    tail = 100 * (1 - CONFIDENCE) / 2
    low, high = np.percentile(measured, [tail, 100 - tail])
    return float(low), float(high)
