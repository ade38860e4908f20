"""A checkpoint run by PyTorch behind the predictor."""

from collections.abc import Sequence
from pathlib import Path
from typing import Self

import torch
from jaxtyping import UInt8
from torch import Tensor

from amodal import processes
from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.inference.model import Pixels
from amodal.models import checkpoint
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.quick import quicken


class TorchModel:
    """An `AmodalRCNN` in evaluation mode, as `amodal.inference.predictor.Model`."""

    is_class_agnostic = False

    def __init__(self, model: AmodalRCNN, categories: Sequence[Category]) -> None:
        self.model, self.categories = model, categories

    @classmethod
    def load(cls, path: str | Path, device: str | None = None) -> Self:
        """The model of a checkpoint on `device`, made ready to answer: it cannot be trained or exported.

        Raises:
            UserError: A file or device that is not there.
        """
        loaded = checkpoint.load(path, processes.choose_device(device or "auto"))
        quicken(loaded.model)
        return cls(loaded.model, loaded.categories)

    @torch.inference_mode()
    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """The objects of each image that score at least so much, best first."""
        tensors = [_tensor(image) for image in images]
        return self.model.detect(tensors, score_threshold=score_threshold, coarse=coarse)

    @torch.inference_mode()
    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """The objects at the prompts, in their order."""
        return self.model.complete([_tensor(image)], [prompts])[0]


def _tensor(image: Pixels) -> UInt8[Tensor, "3 H W"]:
    return torch.from_numpy(image.copy()).permute(2, 0, 1)
