"""What is compared, who counts where, and the images fed batch by batch in the evaluator's form."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np

from amodal.annotations import Annotation, AnnotationSet, Detection
from amodal.rle import Rle, boxes

Instance = TypeVar("Instance", Annotation, Detection)
Shape = TypeVar("Shape")
Corners = tuple[float, float, float, float]
"""A box as left, top, right, bottom in pixels."""
IMAGES_PER_BATCH = 64

Records = list[dict[str, Any]]


@dataclass(frozen=True)
class Batch:
    """Some images, who takes part in them, and what is compared.

    Attributes:
        images: In the evaluator's form.
        truths: Annotations in the evaluator's form; an id is its place in the list of annotations plus 1.
        found: Places in the list of detections.
        masks: Of those detections; or their boxes as xywh, float64 (D, 4).
    """

    images: Records
    truths: Records
    found: list[int]
    masks: list[Rle] | np.ndarray


@dataclass(frozen=True)
class View:
    """Which masks of truth and detections are compared; None leaves an instance out.

    Attributes:
        name: What reports call it.
        of_truth: An annotation's mask.
        of_detection: A detection's mask, or its box as xyxy in pixels.
        as_boxes: Compare boxes, those of the masks where masks are given.
    """

    name: str
    of_truth: Callable[[Annotation], Rle | None]
    of_detection: Callable[[Detection], Rle | Corners | None]
    as_boxes: bool = False


AMODAL = View("amodal", lambda a: a.amodal, lambda d: d.amodal)
VISIBLE = View("visible", lambda a: a.visible, lambda d: d.visible)
BOX = View("box", lambda a: a.amodal, lambda d: d.box or d.amodal, as_boxes=True)


@dataclass(frozen=True)
class Grading:
    """A number for each instance, and the closed ranges of it that make the columns of a result.

    An annotation outside a column's range is ignored there, and so is the detection that matches it. An unmatched
    detection is ignored where its own number is outside the range, otherwise it is a false positive.

    Attributes:
        of_truth: One number per annotation, (number of annotations,).
        of_detection: One number per detection, (number of detections,); None puts every detection in every range
            that begins at 0, so that an unmatched one is always a false positive there.
        ranges: Column name -> (lowest, highest), both included.
    """

    of_truth: np.ndarray
    of_detection: np.ndarray | None
    ranges: dict[str, tuple[float, float]]


def batches(
    truth: AnnotationSet, detections: Sequence[Detection], view: View, truth_numbers: np.ndarray
) -> Iterator[Batch]:
    """Those who take part, some images at a time, in order of image ids."""
    truths, found = _places(a.image_id for a in truth.annotations), _places(d.image_id for d in detections)
    images = sorted(truth.images, key=lambda image: image.id)
    for start in range(0, len(images), IMAGES_PER_BATCH):
        batch = images[start : start + IMAGES_PER_BATCH]
        wanted, whole = _taking_part([p for i in batch for p in truths[i.id]], truth.annotations, view.of_truth)
        places, masks = _taking_part([p for i in batch for p in found[i.id]], detections, view.of_detection)
        yield Batch(
            [{"id": image.id, "height": image.height, "width": image.width} for image in batch],
            [
                record(p, truth.annotations[p], shape, truth_numbers[p])
                | {"iscrowd": int(truth.annotations[p].is_crowd)}
                for p, shape in zip(wanted, _boxes(whole) if view.as_boxes else whole, strict=True)
            ],
            places,
            _boxes(masks) if view.as_boxes else masks,  # type: ignore[arg-type]
        )


def _taking_part(
    places: list[int], instances: Sequence[Instance], shape: Callable[[Instance], Shape | None]
) -> tuple[list[int], list[Shape]]:
    """The places of those that have a shape, and their shapes."""
    shapes = [shape(instances[place]) for place in places]
    if None in shapes:
        places = [place for place, one in zip(places, shapes, strict=True) if one is not None]
    return places, [one for one in shapes if one is not None]


def _boxes(shapes: Sequence[Rle | Corners]) -> np.ndarray:
    """Boxes as xywh, float64 (N, 4), of masks or of corners."""
    masks = [shape for shape in shapes if isinstance(shape, dict)]
    result = np.zeros((len(shapes), 4))
    if len(masks) < len(shapes):
        given = [shape for shape in shapes if not isinstance(shape, dict)]
        corners = np.array(given, dtype=np.float64)
        corners[:, 2:] -= corners[:, :2]
        result[[not isinstance(shape, dict) for shape in shapes]] = corners
    if masks:
        result[[isinstance(shape, dict) for shape in shapes]] = boxes(masks)
    return result


def _places(image_ids: Iterable[int]) -> dict[int, list[int]]:
    """The places at which each image id stands."""
    places: dict[int, list[int]] = defaultdict(list)
    for place, image_id in enumerate(image_ids):
        places[image_id].append(place)
    return places


def record(place: int, instance: Annotation | Detection, shape: Rle | np.ndarray, number: float) -> dict[str, Any]:
    """An instance as the evaluator takes it; `number` is what its ranges are about."""
    compared = {"bbox": shape.tolist()} if isinstance(shape, np.ndarray) else {"segmentation": shape}
    return {
        "id": place + 1,
        "image_id": instance.image_id,
        "category_id": instance.category_id,
        "area": float(number),
        **compared,
    }
