"""The smallest real training: the demo recipe's VRSP on drawn scenes, with the packaged model's shape prior."""

from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from amodal.data.config import SceneSource
from amodal.data.dataset import SampleSet
from amodal.data.loading import Batch
from amodal.data.sources import open_source
from amodal.inference.predictor import PACKAGED
from amodal.models import checkpoint
from amodal.models.vrsp import VRSP
from amodal.prior.shape_prior import ShapePrior
from amodal.training import recipes
from amodal.training.config import PriorSource
from amodal.training.loop import Run, on_device, open_run


def packaged_prior() -> ShapePrior:
    """The shape prior of the model that comes with the package."""
    branch = checkpoint.load(PACKAGED / "demo.safetensors").model.branch
    assert isinstance(branch, VRSP)
    assert branch.prior is not None
    return branch.prior


def drawn_scenes(count: int, side: int | None = None, num_objects: tuple[int, int] | None = None) -> SampleSet:
    """Drawn scenes that the packaged model was not trained on: as in the demo recipe, or of another size."""
    source = recipes.demo(Path("data")).data.val
    assert isinstance(source, SceneSource)
    scenes = source.scenes
    scenes = replace(scenes, size=(side, side) if side else scenes.size, num_objects=num_objects or scenes.num_objects)
    return open_source(replace(source, scenes=scenes, count=count))


def opened(folder: Path, *, quick: bool) -> Run:
    """A run before its first step, in a new folder below `folder`."""
    packaged_prior().save(folder / "prior.safetensors")
    config = recipes.demo(folder)
    config = replace(config, prior=PriorSource(file=str(folder / "prior.safetensors")), batch_size=2 if quick else 8)
    run = open_run(config, folder / "run", torch.device("cpu"), resume=False)
    run.model.train()
    return run


def step(run: Run, batch: Batch) -> None:
    """What the training loop does with a batch, but for keeping a journal."""
    images, targets = on_device(batch, run.device)
    loss = torch.stack(list(run.model(images, targets).values())).sum()
    run.optimiser.zero_grad(set_to_none=True)
    loss.backward()
    nn.utils.clip_grad_norm_(run.model.parameters(), 10.0)
    run.optimiser.step()
