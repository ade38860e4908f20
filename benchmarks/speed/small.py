"""The smallest real training: the demo recipe's VRSP on drawn scenes, with the packaged model's shape prior."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.resnet import Bottleneck

from amodal.data.config import SceneSource
from amodal.data.dataset import SampleSet
from amodal.data.loading import Batch
from amodal.data.sources import open_source
from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint, zoo
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.models.methods.vrsp import VRSP
from amodal.models.rescoring import Candidates
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


FEW = 40
"""Proposals of an image where a test only asks whether a part runs."""


def packaged_demo(quick: bool) -> checkpoint.Checkpoint:
    """The packaged model of drawn scenes; quick, it looks at few proposals."""
    loaded = checkpoint.load(PACKAGED / "demo.safetensors")
    if not quick:
        return loaded
    propose: Any = loaded.model.propose
    for kept in (propose._pre_nms_top_n, propose._post_nms_top_n):
        kept["testing"] = FEW
    detector = replace(loaded.config.detector, proposals_inference=FEW)
    return replace(loaded, config=replace(loaded.config, detector=detector))


def untrained(config: ModelConfig) -> AmodalRCNN:
    """A model with random weights, of a ResNet whose features stay of one size in spite of them."""
    prior = packaged_prior() if zoo.needs_prior(config) else None
    config = replace(config, backbone=replace(config.backbone, weights="none"))
    model = zoo.build(config, packaged_prior().num_classes, prior)
    for block in model.backbone.modules():
        if isinstance(block, Bottleneck):  # its norm is frozen: untrained, every block would double what goes through
            block.bn3.weight.fill_(0.1)
    return model


SURE = 0.5
"""The score from which `amodal predict` shows an object."""


def scenes(count: int, side: int | None = None) -> list[Tensor]:
    """Drawn scenes that the packaged model was not trained on, float (3, S, S)."""
    samples = drawn_scenes(count, side)
    return [samples[index]["image"].float() / 255 for index in range(count)]


def candidates_of(model: AmodalRCNN, image: Tensor) -> tuple[dict[str, Tensor], Candidates, float]:
    """The pyramid, the candidates in resized pixels, and how many of these a pixel of the image has a side."""
    ((encoded, candidates),) = model.candidates([image])
    return encoded.features, candidates, encoded.size[1] / image.shape[-1]


@torch.inference_mode()
def limit_candidates(model: AmodalRCNN, image: Tensor, number: int = 300) -> None:
    """Sets the score threshold so that an image has so many candidates, as it has for a trained model.

    Without training every class of every proposal is as likely as any other.
    """
    model.eval()
    model.boxes.config = replace(model.boxes.config, score_threshold=0.0)
    _, candidates, _ = candidates_of(model, image)
    threshold = float(candidates.scores[number]) if len(candidates.scores) > number else 0.0
    model.boxes.config = replace(model.boxes.config, score_threshold=threshold)


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
