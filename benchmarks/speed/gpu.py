"""Images a second on a GPU: the methods with ResNet-50 at 800 pixels, trained and run.

    python -m benchmarks.speed.gpu --out speed_gpu.json

Writes benchmarks/results/speed_gpu.json, if not told otherwise. Weights are random but for the shape prior; images
are noise of 800 x 1067 with 8 rectangles. As many regions as ever are sampled in training; at inference 300
candidates are let through.
"""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
import tyro

from amodal.files import write_json
from amodal.instances import Target, move
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.paper.about import about
from benchmarks.speed.memory import full
from benchmarks.speed.small import limit_candidates

RESULTS = Path(__file__).parents[1] / "results" / "speed_gpu.json"
METHODS = ("mask_rcnn", "two_heads", "orcnn", "vrsp")
COMPILED = ("mask_rcnn", "vrsp")
"""Whose training is measured with a compiled backbone, too."""
BATCH, WARM_UP, STEPS = 4, 3, 10


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    methods: tuple[str, ...] = METHODS
    """Mask branches."""
    out: Path = RESULTS
    """The result."""


def main(settings: Settings) -> None:
    if not torch.cuda.is_available():
        raise SystemExit("no GPU here: this measures images a second on one; `python -m benchmarks.speed` needs none")
    device = torch.device("cuda")
    rows: list[dict[str, Any]] = []
    for method in settings.methods:
        for row in measured(method, device):
            print(row, flush=True)
            rows.append(row)
        origin = about("python -m benchmarks.speed.gpu", batch=BATCH, gpu=torch.cuda.get_device_name(device))
        write_json(settings.out, {"about": origin, "rows": rows}, indent=1)


def measured(method: Any, device: torch.device) -> Iterator[dict[str, Any]]:
    """A row for training and for inference, each in single precision and in bfloat16."""
    model, images, targets = full(ModelConfig(method=method), (800, 1067), 8)
    batch = [image.to(device) for image in images * BATCH], [move(target, device) for target in targets * BATCH]
    model = model.to(device)
    limit_candidates(model, batch[0][0])
    about_row = {"method": method, "compiled": False}
    for mixed in (False, True):
        with torch.autocast("cuda", torch.bfloat16, enabled=mixed):
            precision = "bfloat16" if mixed else "float32"
            for kind, run in (("training", train_step), ("inference", infer)):
                yield about_row | {"kind": kind, "precision": precision, **rate(run, model, batch)}
    if method in COMPILED:
        model.backbone.compile()
        with torch.autocast("cuda", torch.bfloat16):
            found = rate(train_step, model, batch)
        yield about_row | {"kind": "training", "precision": "bfloat16", "compiled": True, **found}


def train_step(model: AmodalRCNN, batch: tuple[list[torch.Tensor], list[Target]]) -> None:
    """Losses and gradients."""
    model.train()
    model.zero_grad(set_to_none=True)
    torch.stack([loss.float() for loss in model(*batch).values()]).sum().backward()


@torch.inference_mode()
def infer(model: AmodalRCNN, batch: tuple[list[torch.Tensor], list[Target]]) -> None:
    """Predictions with masks in the images' pixels."""
    model.eval()
    model(batch[0])


def rate(run: Any, model: AmodalRCNN, batch: tuple[list[torch.Tensor], list[Target]]) -> dict[str, float]:
    """Images a second (median) and peak memory in GiB."""
    torch.cuda.reset_peak_memory_stats()
    seconds = []
    for _ in range(WARM_UP + STEPS):
        torch.cuda.synchronize()
        began = perf_counter()
        run(model, batch)
        torch.cuda.synchronize()
        seconds.append(perf_counter() - began)
    peak = torch.cuda.max_memory_allocated() / 2**30
    return {"images_per_second": len(batch[0]) / statistics.median(seconds[WARM_UP:]), "peak_gibibytes": peak}


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
