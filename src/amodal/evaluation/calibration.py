"""Whether a score, or a pixel's probability, means what it says."""

from dataclasses import dataclass

import numpy as np

from amodal.evaluation.records import Records

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


def calibrate(confidence: np.ndarray, right: np.ndarray) -> Calibration:
    """The expected calibration error of predictions with a confidence.

    Args:
        confidence: In [0, 1], (N,); clipped to it.
        right: Whether each came true, bool (N,).

    Source: Guo et al., "On Calibration of Modern Neural Networks" (ICML 2017), equation 3.
    """
    confidence = np.clip(np.asarray(confidence, dtype=np.float64), 0.0, 1.0)
    bins = np.minimum((confidence * NUM_BINS).astype(int), NUM_BINS - 1)
    counts = np.bincount(bins, minlength=NUM_BINS)
    sums = np.bincount(bins, weights=confidence, minlength=NUM_BINS)
    hits = np.bincount(bins, weights=right, minlength=NUM_BINS)
    error = float(np.abs(sums - hits).sum() / len(confidence)) if len(confidence) else None
    filled = np.maximum(counts, 1)
    return Calibration(error, counts.tolist(), (sums / filled).tolist(), (hits / filled).tolist())


def calibrate_scores(records: Records) -> Calibration:
    """Scores of detections against whether they found an instance at IoU 0.5; ignored ones are left out."""
    kept = ~records.ignored[0]
    return calibrate(records.score[kept], records.matched[0, kept])


def calibrate_hidden_pixels(probabilities: np.ndarray, amodal: np.ndarray, visible: np.ndarray) -> Calibration:
    """Predicted amodal probabilities against the truth, where the object is not seen and either says it may be.

    Args:
        probabilities: Of belonging to the object, seen or not, float (N, H, W) in [0, 1].
        amodal: The true amodal masks of the same instances, bool (N, H, W).
        visible: Their true visible masks, bool (N, H, W).

    Result files hold masks, not probabilities, so that this is no part of a Report.
    """
    unseen = ~visible & (amodal | (probabilities > 0))
    return calibrate(probabilities[unseen], amodal[unseen])
