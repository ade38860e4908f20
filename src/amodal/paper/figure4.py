"""The paper's figure 4: image, truth and every method's answer side by side."""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from amodal.annotations import AnnotationSet, ImageRecord
from amodal.data.dataset import Sample
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.evaluation.matching.pairs import assign
from amodal.evaluation.metrics.miou import mean_iou_full, mean_iou_occluded
from amodal.paper.silhouettes import silhouettes
from amodal.paper.trained import Trained, pixels_of, truth_of
from amodal.results.result import Result

SCORE = 0.5
"""Objects of lower score are not shown."""

Row = dict[str, object]


def compare(
    models: Sequence[Trained], samples: Sequence[Sample], side: int = 300, *, photographs: bool = True
) -> tuple[Image.Image, list[Row]]:
    """The picture, a row for each sample; and for each sample and model the number of objects and mean IoUs.

    An object is drawn in the colour of its place in the truth where one stands for it, so that colours can be
    followed along a row. Without `photographs`, all is drawn over silhouettes of the true objects.
    """
    tiles, rows = [], []
    for sample in samples:
        pixels, truth = pixels_of(sample), truth_of(sample, models[0].categories)
        shown = pixels if photographs else silhouettes(sample["target"]["visible_masks"].numpy())
        tiles += [Tile(shown, f"image {sample['image_id']}"), Tile(_drawn(shown, truth, range(len(truth))))]
        for model in models:
            found = model.find(pixels, SCORE)
            places, numbers = _against(truth, found, sample["image_id"])
            rows.append({"image_id": sample["image_id"], "method": model.label, **numbers})
            tiles.append(Tile(_drawn(shown, found, places), _caption(numbers)))
    headings = ("image", "truth", *(model.label for model in models))
    return contact_sheet(tiles, headings=headings, side=side), rows


def _against(truth: Result, found: Result, image_id: int) -> tuple[list[int], Row]:
    """The truth's place that each found object stands for (further ones for those that stand for none); the scores."""
    annotations = truth.to_annotations(image_id)
    annotation_set = AnnotationSet([ImageRecord(image_id, "", *truth.size)], annotations, list(truth.categories))
    detections = found.to_detections(image_id)
    (paired,) = assign(annotation_set, detections, score_threshold=SCORE)
    place_of = {id(p.detection): annotations.index(p.truth) for p in paired.pairs if p.detection is not None}
    spare = iter(range(len(truth), len(truth) + len(found)))
    places = [place_of[id(d)] if id(d) in place_of else next(spare) for d in detections]
    is_amodal = found.amodal_masks is not None
    return places, {
        "objects": len(truth),
        "found": len(place_of),
        "spare": len(paired.spare),
        "mean_iou": _rounded(mean_iou_full(paired.pairs)) if is_amodal else None,
        "mean_iou_hidden": _rounded(mean_iou_occluded(paired.pairs)) if is_amodal else None,
    }


def _drawn(pixels: np.ndarray, result: Result, identities: Sequence[int]) -> Image.Image:
    return result.draw(pixels, Style(labels=False), identities)


def _caption(numbers: Row) -> str:
    shown = (("mIoU", numbers["mean_iou"]), ("hidden", numbers["mean_iou_hidden"]))
    return ", ".join(f"{name} {value:.2f}" for name, value in shown if isinstance(value, float))


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
