"""Whether a score, or a pixel's probability, means what it says."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from amodal.evaluation.matching.records import Records

NUM_BINS = 10


@dataclass(frozen=True)
class Calibration:
    """A reliability diagram: bins of equal width over [0, 1].

    Attributes:
        error: Expected calibration error, the mean of |confidence - accuracy| weighted by count; None if empty.
        counts: Of each bin.
        confidence: Mean score of each bin, 0 for an empty one.
        accuracy: Share of each bin that is right, 0 for an empty one.
    """

    error: float | None
    counts: list[int]
    confidence: list[float]
    accuracy: list[float]


@dataclass(frozen=True)
class Bins:
    """The sums behind a reliability diagram. Those of parts of the data add up to those of the whole.

    Attributes:
        counts: Of each bin, int64 (NUM_BINS,).
        confidence: Sum of the confidences in each, exact (`Fraction`), (NUM_BINS,): in whatever order parts are added
            up, the sums are the same.
        right: How many in each came true, int64 (NUM_BINS,).
    """

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    @staticmethod
    def of(confidence: ArrayLike, right: ArrayLike) -> "Bins":
        """Of predictions with a confidence.

        Args:
            confidence: In [0, 1], (N,); clipped to it.
            right: Whether each came true, bool (N,).
        """
        confidence = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
        place = np.minimum((confidence * NUM_BINS).astype(np.int64), NUM_BINS - 1)
        right = np.asarray(right, dtype=bool)
        counts, hits = (np.bincount(chosen, minlength=NUM_BINS) for chosen in (place, place[right]))
        sums = [Fraction(own) for own in np.bincount(place, weights=confidence, minlength=NUM_BINS).tolist()]
        return Bins(counts, np.array(sums, dtype=object), hits)

    def __add__(self, other: "Bins") -> "Bins":
        return Bins(self.counts + other.counts, self.confidence + other.confidence, self.right + other.right)

    def calibration(self) -> Calibration:
        """The expected calibration error and its diagram.

        Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), equation 3.
        """
        total, filled = int(self.counts.sum()), np.maximum(self.counts, 1)
        sums = self.confidence.astype(np.float64)
        error = float(np.abs(sums - self.right).sum() / total) if total else None
        confidence, accuracy = sums / filled, self.right / filled
        return Calibration(error, self.counts.tolist(), confidence.tolist(), accuracy.tolist())


def calibrate_scores(records: Records) -> Calibration:
    """Scores of detections against whether they found an instance at IoU 0.5; ignored ones are left out."""
    kept = ~records.ignored[0]
    return Bins.of(records.score[kept], records.matched[0, kept]).calibration()
