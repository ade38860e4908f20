"""Mean IoU of whole shapes and of their invisible parts, as C2F-Seg defines them."""

from collections.abc import Sequence

from amodal.evaluation.matching.pairs import Pair
from amodal.rle import Rle, areas, intersect, subtract


def mean_iou_full(pairs: Sequence[Pair]) -> float | None:
    """mIoU_full: the mean over all instances of the IoU of amodal masks, in [0, 1]; a missed instance adds 0.

    None without instances. Source: Gao et al., "Coarse-to-Fine Amodal Segmentation with Shape Prior" (ICCV 2023),
    `utils/evaluation.py`. The matching is ours (`pairs`); theirs comes with their detections.
    """
    ious = [_iou(pair.truth.amodal, mask) if (mask := _predicted(pair)) else 0.0 for pair in pairs]
    return sum(ious) / len(ious) if ious else None


def mean_iou_occluded(pairs: Sequence[Pair]) -> float | None:
    """mIoU_occ: IoU of what is predicted, and what is true, beyond the **true** visible mask, in [0, 1].

    Summed over instances and divided by the number of those with an invisible part; a fully visible instance adds 0 to
    the sum, whatever is predicted beyond it. None where nothing is hidden. Source: as `mean_iou_full`.
    """
    total, occluded = 0.0, 0
    for pair in pairs:
        invisible = subtract(pair.truth.amodal, pair.truth.visible)
        if not areas([invisible])[0]:
            continue
        occluded += 1
        mask = _predicted(pair)
        total += _iou(invisible, subtract(mask, pair.truth.visible)) if mask else 0.0
    return total / occluded if occluded else None


def _predicted(pair: Pair) -> Rle | None:
    return pair.detection.amodal if pair.detection else None


def _iou(first: Rle, second: Rle) -> float:
    """IoU of two masks. The first is never empty here, so that the authors' small numbers in the division can go."""
    one, other, common = areas([first, second, intersect(first, second)]).tolist()
    return common / (one + other - common)
