"""What a run's model is worth so far: scores on validation samples, and pictures of some."""

from dataclasses import dataclass
from functools import partial
from typing import Self

import torch

from amodal.annotations import Category
from amodal.categories import in_order_of
from amodal.data.dataset import Sample, SampleSet
from amodal.data.sources import open_source
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.training.config import TrainConfig, ValidationConfig
from amodal.training.journal import Journal, compare


class First:
    """The first samples of a data set."""

    def __init__(self, samples: SampleSet, count: int) -> None:
        self.samples, self.count = samples, min(count, len(samples))
        self.categories = samples.categories

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


@dataclass(frozen=True)
class Validation:
    """The validation of one run, `stop` steps long."""

    samples: SampleSet
    config: ValidationConfig
    stop: int
    loading: LoaderSettings
    known: list[Category]
    """The samples' categories in the order of the model's labels."""

    @classmethod
    def open(cls, config: TrainConfig, categories: list[Category], device: torch.device) -> Self | None:
        """The validation that the settings describe, or None.

        Raises:
            UserError: Its data are missing, or have other categories than the training data.
        """
        if config.data.val is None:
            return None
        samples = open_source(config.data.val)
        known = in_order_of(categories, samples.categories, file="validation data")
        loading = LoaderSettings(workers=config.workers)
        return cls(samples, config.validation, config.schedule.iterations, loading, known)

    def is_due(self, step: int) -> bool:
        """Whether to validate after `step` steps."""
        if step == self.stop:
            return self.config.at_end
        return self.config.every > 0 and step % self.config.every == 0

    def run(self, model: AmodalRCNN, step: int, journal: Journal | None) -> None:
        """Scores the model, in all processes together; leaves it in evaluation mode."""
        model.eval()
        count = self.config.images if self.config.images is not None and step < self.stop else len(self.samples)
        answer = partial(model.detect, coarse=True)
        predicted = predict(answer, First(self.samples, count), known=self.known, loading=self.loading)
        if journal is None:
            return
        scores = main_scores(score(predicted.truth, predicted.detections["refined"]))
        if "coarse" in predicted.detections:
            coarse = main_scores(score(predicted.truth, predicted.detections["coarse"]))
            scores |= {f"coarse {name}": value for name, value in coarse.items() if not name.startswith("box")}
        journal.scores(step, scores)
        for index in range(min(self.config.pictures, count)):
            sample = self.samples[index]
            with torch.inference_mode():
                (prediction,) = model([sample["image"]])
            journal.picture(step, str(sample["image_id"]), compare(sample["image"], sample["target"], prediction))


def main_scores(report: Report) -> dict[str, float | None]:
    """A report's headline numbers by name, fractions in [0, 1]."""
    scores: dict[str, float | None] = {}
    for name, found in (("box", report.box), ("amodal", report.amodal), ("visible", report.visible)):
        if found:
            scores |= {f"{name} AP": found.ap, f"{name} AP50": found.ap50, f"{name} AP75": found.ap75}
            scores |= {f"{name} AR100": found.ar100}
    if report.invisible:
        scores["invisible AP"] = report.invisible.ap
    if report.occlusion:
        scores |= {"amodal AP occluded": report.ap_occluded(), "AP(Occluded)": report.ap_occluded(mode="vrsp")}
    return scores
