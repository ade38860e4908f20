"""Any detector of visible masks and the completer, as one model."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float32

from amodal import mask_arrays
from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.completion.crops import SIDE, resample
from amodal.inference.model import Model, Pixels


class Paired:
    """A detector that finds visible masks, and a completer that makes them whole, as one `Model`.

    >>> predictor = amodal.Predictor(Paired(detector, completer))  # doctest: +SKIP

    Args:
        detector: Finds objects. Amodal masks of its own are kept; where it has none, the completer draws them.
        completer: Completes visible masks of any category, whether the detector found them or somebody else.
    """

    is_class_agnostic = True

    def __init__(self, detector: Model, completer: Model) -> None:
        self.detector, self.completer = detector, completer

    @property
    def categories(self) -> Sequence[Category]:
        """The detector's."""
        return self.detector.categories

    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """The detector's objects in its order, their visible masks made whole."""
        found = self.detector.detect(images, score_threshold=score_threshold, coarse=coarse)
        return [
            one if one.amodal is not None else self._completed(image, one.at(one.scores >= score_threshold))
            for image, one in zip(images, found, strict=True)
        ]

    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """The objects at the prompts, in their order; the detector is asked only for what the prompts leave open.

        Raises:
            UserError: There are no visible masks or no labels, and the detector cannot be prompted.
        """
        if prompts.visible is not None and prompts.labels is not None:
            return replace(self.completer.complete(image, prompts), labels=prompts.labels)
        found = self.detector.complete(image, prompts)
        if prompts.visible is not None:
            whole = self.completer.complete(image, prompts)
            return replace(whole, labels=found.labels, scores=found.scores)
        return found if found.amodal is not None else self._completed(image, found)

    def _completed(self, image: Pixels, found: BoxedMasks) -> BoxedMasks:
        """Objects whose visible masks are known, with amodal masks; both over tight boxes of the whole objects."""
        _, visible = found.pasted((image.shape[0], image.shape[1]))
        assert visible is not None  # a detector without amodal masks has visible ones
        prompts = Prompts(found.boxes, found.labels, visible, "visible")
        whole, _ = self.completer.complete(image, prompts).pasted((image.shape[0], image.shape[1]))
        assert whole is not None
        whole |= visible
        windows = [_window(mask, box) for mask, box in zip(whole, found.boxes, strict=True)]
        boxes = np.array(windows, dtype=np.float32).reshape(-1, 4)
        amodal, visible = _over(whole, windows), _over(visible, windows)
        return BoxedMasks(boxes, found.labels, found.scores, amodal, visible)


def _window(mask: Bool[np.ndarray, "H W"], box: Float32[np.ndarray, "4"]) -> tuple[int, int, int, int]:
    """The tight box of a mask as (left, top, right, bottom); where the mask is empty, the pixels of its box."""
    rows, columns = mask_arrays.window(mask)
    if rows.stop == rows.start:
        left, top = np.floor(box[:2]).astype(int).tolist()
        right, bottom = np.ceil(box[2:]).astype(int).tolist()
        return left, top, max(right, left + 1), max(bottom, top + 1)
    return columns.start, rows.start, columns.stop, rows.stop


def _over(
    masks: Bool[np.ndarray, "N H W"], windows: Sequence[tuple[int, int, int, int]]
) -> Float32[np.ndarray, "N S S"]:
    """Each mask over its window, as shares of cells."""
    cells = [resample(mask, window) for mask, window in zip(masks, windows, strict=True)]
    return np.stack(cells) if cells else np.zeros((0, SIDE, SIDE), dtype=np.float32)
