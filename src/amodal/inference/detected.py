"""What another system found in one image, as it is handed to `Predictor.complete`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from jaxtyping import Bool, Float32, Int64

from amodal.annotations import Category
from amodal.errors import UserError
from amodal.inference.fragments import main_boxes
from amodal.results.result import Result

if TYPE_CHECKING:
    import supervision

Boxes = np.ndarray | Sequence[Sequence[float]] | None


@dataclass(frozen=True)
class Detected:
    """Objects of one image that another system found, in its order.

    Attributes:
        boxes: Around the visible parts, xyxy in pixels; None where the visible masks say it.
        visible: The visible masks; None where the system gives boxes only.
        labels: From 1 in the order of `categories`.
        scores: In [0, 1]; None where the system gives none.
        categories: That system's own.
    """

    boxes: Float32[np.ndarray, "N 4"] | None
    visible: Bool[np.ndarray, "N H W"] | None
    labels: Int64[np.ndarray, " N"]
    scores: Float32[np.ndarray, " N"] | None
    categories: tuple[Category, ...]

    @property
    def names(self) -> list[str]:
        """Each object's category name."""
        return [self.categories[label - 1].name for label in self.labels]

    def named(self, result: Result) -> Result:
        """The result of completing these objects, with their own categories and scores."""
        scores = result.scores if self.scores is None else self.scores
        return replace(result, labels=self.labels, scores=scores, categories=self.categories)


def detected(given: "Boxes | Detected | Result | supervision.Detections") -> "Boxes | Detected":
    """Objects given as a `Result` or as `supervision.Detections` in one form; boxes as they are.

    Raises:
        UserError: A result without visible masks.
    """
    if isinstance(given, Result):
        if given.visible_masks is None:
            raise UserError("the result holds no visible masks, and nothing to complete")
        return Detected(None, given.visible_masks, given.labels, given.scores, given.categories)
    supervision: Any = sys.modules.get("supervision")  # whoever holds its detections has imported it
    if supervision is not None and isinstance(given, supervision.Detections):
        return _of_supervision(cast("supervision.Detections", given))
    return cast("Boxes | Detected", given)


def _of_supervision(given: "supervision.Detections") -> Detected:
    """Class ids become category ids; names are those that come with the detections, otherwise the ids."""
    count = len(given)
    ids = np.zeros(count, dtype=np.int64) if given.class_id is None else np.asarray(given.class_id, dtype=np.int64)
    names = given.data.get("class_name")
    name_of = dict(zip(ids.tolist(), map(str, ids if names is None else names), strict=True))
    categories = tuple(Category(number, name_of[number]) for number in sorted(name_of))
    labels = np.searchsorted([category.id for category in categories], ids) + 1
    masks = None if given.mask is None else np.asarray(given.mask, dtype=bool)
    boxes = None if masks is not None else np.asarray(given.xyxy, dtype=np.float32)
    scores = None if given.confidence is None else np.asarray(given.confidence, dtype=np.float32)
    return Detected(boxes, masks, labels.astype(np.int64), scores, categories)


def checked_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Visible masks as given. Raises UserError unless they are bool (N, H, W) of the image's size."""
    masks = np.asarray(masks)
    if masks.ndim != 3 or masks.shape[1:] != size or masks.dtype != bool:
        shape = f"{masks.dtype} {masks.shape}"
        raise UserError(f"visible masks are {shape}", remedy=f"Give bool (N, {size[0]}, {size[1]})")
    return masks


def checked_boxes(boxes: Boxes, masks: np.ndarray | None) -> Float32[np.ndarray, "N 4"]:
    """Boxes as given, or those of the masks. Raises UserError for what are no boxes, or too many or few of them."""
    if boxes is None and masks is None:
        raise UserError("nothing to complete", remedy="Give boxes, visible masks or both")
    if boxes is None:
        assert masks is not None
        return main_boxes(masks)
    try:
        array = np.asarray(boxes, dtype=np.float32)
    except (TypeError, ValueError):  # of several lengths, or no numbers
        raise UserError("boxes that are no table of numbers", remedy="Give (N, 4), xyxy in pixels") from None
    array = array.reshape(-1, 4) if array.shape[:1] == (0,) else array
    if array.ndim != 2 or array.shape[1] != 4 or not np.isfinite(array).all():
        raise UserError(f"boxes of shape {array.shape} or with no finite numbers", remedy="Give (N, 4), xyxy in pixels")
    if (array[:, 2:] <= array[:, :2]).any():
        index = int((array[:, 2:] <= array[:, :2]).any(axis=1).argmax())
        raise UserError(f"box {index} is {array[index].tolist()}: empty, or not xyxy", remedy="x0 < x1 and y0 < y1")
    if masks is not None and len(masks) != len(array):
        raise UserError(f"{len(array)} boxes, {len(masks)} visible masks")
    return array
