"""What stands behind a predictor: one protocol for models of torch, of ONNX and of anybody."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from jaxtyping import UInt8

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts

Pixels = UInt8[np.ndarray, "H W 3"]


class Model(Protocol):
    """What a predictor runs: a checkpoint in torch, an exported model, or anybody's own."""

    @property
    def categories(self) -> Sequence[Category]:
        """Label l stands for `categories[l - 1]`."""
        ...

    @property
    def is_class_agnostic(self) -> bool:
        """Whether it completes visible masks of whatever category, known to it or not."""
        ...

    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """The objects of each image, best score first; those that score less may be left out.

        With `coarse` also the coarse masks of a method that refines them; without any for all others.
        """
        ...

    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """The objects at the prompts, in their order. Raises UserError if the model cannot be prompted."""
        ...
