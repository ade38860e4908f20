"""Trained models for the figures, by the bench's names or by their files."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import UInt8

from amodal.annotations import Category
from amodal.categories import in_order_of
from amodal.data.dataset import Sample
from amodal.errors import UserError, unknown
from amodal.inference.eager import TorchModel
from amodal.inference.model_files import checkpoint_file, is_model
from amodal.inference.predictor import Predictor
from amodal.models import checkpoint
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.paper.runs import run_path
from amodal.paper.variants import SWITCHES, TABLES
from amodal.results.result import Result
from amodal.training import run_folder

LABELS = {
    "mask_rcnn_visible": "Mask R-CNN, visible",
    "mask_rcnn_c8_visible": "Mask R-CNN (C8), visible",
    **{row.amodal: row.label for row in TABLES["table1"]},
}
"""How the figures call the models."""


@dataclass(frozen=True)
class Trained:
    """A model, its name in a figure, and its categories: label l stands for `categories[l - 1]`."""

    label: str
    model: AmodalRCNN
    categories: tuple[Category, ...]

    def find(self, pixels: UInt8[np.ndarray, "H W 3"], score_threshold: float) -> Result:
        """The objects that it sees in an image, best first."""
        return Predictor(TorchModel(self.model, self.categories)).predict(pixels, score_threshold=score_threshold)


def load(names: Sequence[str], runs: Path, seed: int, device: torch.device) -> list[Trained]:
    """The models of these names, from the bench's runs, or whatever else `amodal.load` takes.

    Raises:
        UserError: A run is not there, a file is no model, or two models know different categories.
    """
    if not names:
        raise UserError("no models named", remedy=f"Name some of {', '.join(LABELS)}, or model files")
    models = [_load(name, runs, seed, device) for name in names]
    for one in models:
        if one.categories != models[0].categories:
            raise UserError(
                f"{models[0].label} and {one.label} know different categories",
                remedy="Compare models that were trained on the same data",
            )
    return models


def _load(name: str, runs: Path, seed: int, device: torch.device) -> Trained:
    if is_model(name):
        path = checkpoint_file(name)
        label = path.absolute().parent.name if path.name == run_folder.CHECKPOINT else path.stem
    else:
        if name not in LABELS and name not in SWITCHES:
            raise unknown(f"no model of the bench is called '{name}'", name, [*LABELS, *SWITCHES])
        path, label = run_path(runs, name, seed) / run_folder.CHECKPOINT, LABELS.get(name, name)
    if not path.exists():
        raise UserError(
            "no such model", file=path, remedy="Train it with `amodal bench table1`, or name another --runs"
        )
    loaded = checkpoint.load(path, device)
    return Trained(label, loaded.model, tuple(loaded.categories))


def check_categories(models: Sequence[Trained], categories: Sequence[Category]) -> None:
    """Raises UserError unless the models know the data set's categories."""
    if in_order_of(models[0].categories, categories, file=models[0].label) != list(categories):
        raise UserError("the models and the data list the categories in different orders", file=models[0].label)


def pixels_of(sample: Sample) -> UInt8[np.ndarray, "H W 3"]:
    """A sample's image as an array."""
    return np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())


def truth_of(sample: Sample, categories: Sequence[Category]) -> Result:
    """A sample's truth, to be drawn and measured as predictions are."""
    target = sample["target"]
    return Result(
        boxes=target["boxes"].numpy(),
        labels=target["labels"].numpy(),
        scores=np.full(len(target["labels"]), np.nan, dtype=np.float32),
        categories=tuple(categories),
        amodal_masks=target["amodal_masks"].numpy(),
        visible_masks=target["visible_masks"].numpy(),
        predicted_order=target["depth_order"].numpy() if "depth_order" in target else None,
    )
