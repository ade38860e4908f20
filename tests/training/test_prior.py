"""The shape prior in a run's folder."""

from dataclasses import replace
from pathlib import Path

import pytest

from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.training import run_folder
from amodal.training.prior import prepare_prior
from tests.bench_models import random_prior, tiny_recipe


def test_a_prior_of_other_categories_in_the_folder_is_refused(tmp_path: Path) -> None:
    """As where runs of two recipes are put into one folder, and share its prior."""
    config = tiny_recipe()
    config = replace(config, model=replace(config.model, method="vrsp"))
    samples, prior = open_source(config.data.train), random_prior()
    prior.save(tmp_path / run_folder.PRIOR)
    assert prepare_prior(config, samples, tmp_path) is not None
    prior.categories = prior.categories[::-1]
    prior.save(tmp_path / run_folder.PRIOR)
    with pytest.raises(UserError, match=r"prior\.safetensors: .* choose another folder for the run"):
        prepare_prior(config, samples, tmp_path)
