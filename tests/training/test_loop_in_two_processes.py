"""Two gloo processes take the steps that one process takes, and evaluate what one evaluates."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from amodal import processes
from amodal.boxed_masks import BoxedMasks
from amodal.models.amodal_rcnn import as_prediction
from amodal.prior.config import PriorConfig
from amodal.training import loop
from amodal.training.config import OptimiserConfig, PriorSource
from tests.training.test_loop import TINY, tiny_run
from tests.training_processes import in_two_processes

WEIGHTS = "weights.pt"
BOX = torch.tensor([[0.0, 0.0, 64.0, 64.0]])


class PerImage(nn.Module):
    """Its loss is a mean over images, as gradients are means over processes: who has which image must not matter."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(3, 2, 5, stride=4)

    def detect(self, images: list[Tensor], *, coarse: bool = False) -> list[BoxedMasks]:
        """One object that fills its box, in every image."""
        one, mask = np.ones(1, dtype=np.float32), np.ones((1, 28, 28), dtype=np.float32)
        return [BoxedMasks(BOX.numpy(), np.ones(1, dtype=np.int64), one, mask, mask) for _ in images]

    def forward(self, images: list[Tensor], targets: list[dict[str, Tensor]] | None = None) -> object:
        if targets is None:
            return [as_prediction(*each) for each in zip(self.detect(images), images, strict=True)]
        kinds = ("amodal_masks", "visible_masks")
        wanted = torch.stack([torch.stack([target[kind].any(0) for kind in kinds]) for target in targets])
        logits = self.convolution(torch.stack(images))
        return {"loss_masks": functional.binary_cross_entropy_with_logits(logits, wanted[:, :, 2:-2:4, 2:-2:4].float())}


def train_per_image(folder: Path) -> None:
    """Three steps of four images in all, with the parts that know the real model replaced."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop.zoo, "build", lambda *_: PerImage())
        patch.setattr(
            loop.checkpoint, "save", lambda path, found: torch.save(found.model.state_dict(), path.parent / WEIGHTS)
        )
        optimiser = OptimiserConfig("sgd", lr=0.5, clip_norm=0.1)
        loop.train(replace(tiny_run(3), batch_size=4, optimiser=optimiser), folder, device_name="cpu")


def one_of_two(folder: Path) -> None:
    """What each of the two processes does."""
    with processes.joined("cpu"):
        assert processes.gather(processes.rank()) == [0, 1]
        train_per_image(folder / "two")
        # Every weight of a real model must get a gradient in every step, or the processes would wait for ever.
        for method in ("sln", "vrsp"):
            fit = PriorConfig(steps=2, shapes_per_class=3, masks_per_class=4)
            real = replace(tiny_run(2), model=replace(TINY, method=method), prior=PriorSource(scenes=8, fit=fit))
            loop.train(real, folder / method, device_name="cpu")


@pytest.mark.slow
def test_two_processes_are_one(tmp_path: Path) -> None:
    train_per_image(tmp_path / "one")
    in_two_processes(one_of_two, tmp_path)
    first, second = (torch.load(tmp_path / name / WEIGHTS, weights_only=True) for name in ("one", "two"))
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-4, atol=1e-6)
    scores = [(tmp_path / name / "scores.jsonl").read_text() for name in ("one", "two")]
    assert scores[0] == scores[1]
    assert json.loads((tmp_path / "two" / "metrics.json").read_text())["processes"] == 2
    assert all((tmp_path / method / "model.safetensors").is_file() for method in ("sln", "vrsp"))
