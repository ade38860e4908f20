"""The shape prior that a run's model is built with."""

from dataclasses import replace
from pathlib import Path

from amodal import processes
from amodal.annotations import Category
from amodal.data.dataset import AnnotatedImages, MappedImages
from amodal.data.sources import Samples, is_endless, open_source
from amodal.errors import UserError
from amodal.models.zoo import needs_prior
from amodal.prior.fit import collect_masks, fit
from amodal.prior.shape_prior import ShapePrior
from amodal.training import run_folder
from amodal.training.config import TrainConfig


def prepare_prior(config: TrainConfig, samples: Samples, folder: Path) -> ShapePrior | None:
    """The prior that the settings name; or the run's own, fitted to the training data when first asked for.

    None for a model that uses none. The lead process fits, the others wait.

    Raises:
        UserError: The file cannot be read, or is of other categories.
    """
    if not needs_prior(config.model):
        return None
    if config.prior.file is not None:
        prior = ShapePrior.load(config.prior.file)
        check_categories(prior, samples.categories, config.prior.file)
        return prior
    path = folder / run_folder.PRIOR
    if processes.is_lead() and not path.exists():
        fit_prior(config, samples).save(path)
    processes.wait()
    prior = ShapePrior.load(path)
    if problem := prior.problem_with(samples.categories):  # as of another recipe's runs
        raise UserError(problem, file=path, remedy="Remove it, or choose another folder for the run")
    return prior


def fit_prior(config: TrainConfig, samples: Samples) -> ShapePrior:
    """A prior of the training data's amodal masks; of scenes without end, the first `config.prior.scenes`."""
    source = config.data.train
    if is_endless(source):
        samples = open_source(replace(source, count=config.prior.scenes))  # type: ignore[call-arg]
    # Annotations are enough where there are some: no image need be read.
    of_files = isinstance(samples, AnnotatedImages | MappedImages)
    masks, labels = collect_masks(samples.annotation_set if of_files else samples)
    prior = fit(masks, labels, len(samples.categories), config.prior.fit, config.seed)
    prior.categories = tuple(samples.categories)
    return prior


def check_categories(prior: ShapePrior, categories: list[Category], file: str) -> None:
    """Raises UserError unless the prior's classes are the data set's."""
    if problem := prior.problem_with(categories):
        raise UserError(
            problem,
            file=file,
            remedy="Fit one to this data with `amodal prior fit`, or leave it out",
        )
