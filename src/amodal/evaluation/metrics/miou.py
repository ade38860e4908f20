"""Mean IoU of whole shapes and of their invisible parts, as C2F-Seg defines them."""

from collections.abc import Sequence

from amodal.evaluation.matching.pairs import Pair, mean
from amodal.rle import Rle, areas, intersect, subtract


def mean_iou_full(pairs: Sequence[Pair]) -> float | None:
    """mIoU_full: the mean over all instances of the IoU of amodal masks, in [0, 1]; a missed instance adds 0.

    None without instances. Source: Gao et al., "Coarse-to-Fine Amodal Segmentation with Shape Prior" (ICCV 2023),
    `utils/evaluation.py`. The matching is ours (`pairs`); theirs comes with their detections.
    """
    return mean(full_ious(pairs))


def mean_iou_occluded(pairs: Sequence[Pair]) -> float | None:
    """mIoU_occ: IoU of what is predicted, and what is true, beyond the **true** visible mask, in [0, 1].

    Summed over instances and divided by the number of those with an invisible part; a fully visible instance adds 0 to
    the sum, whatever is predicted beyond it. None where nothing is hidden. Source: as `mean_iou_full`.
    """
    return mean(occluded_ious(pairs))


def full_ious(pairs: Sequence[Pair]) -> list[float]:
    """What `mean_iou_full` is the mean of, one an instance."""
    return [_iou(pair.truth.amodal, mask) if (mask := _predicted(pair)) else 0.0 for pair in pairs]


def occluded_ious(pairs: Sequence[Pair]) -> list[float]:
    """What `mean_iou_occluded` is the mean of, one an instance with an invisible part."""
    values: list[float] = []
    for pair in pairs:
        invisible = subtract(pair.truth.amodal, pair.truth.visible)
        if areas([invisible])[0]:
            mask = _predicted(pair)
            values.append(_iou(invisible, subtract(mask, pair.truth.visible)) if mask else 0.0)
    return values


def _predicted(pair: Pair) -> Rle | None:
    return pair.detection.amodal if pair.detection else None


def _iou(first: Rle, second: Rle) -> float:
    """IoU of two masks. The first is never empty here, so that the authors' small numbers in the division can go."""
    one, other, common = areas([first, second, intersect(first, second)]).tolist()
    return common / (one + other - common)
