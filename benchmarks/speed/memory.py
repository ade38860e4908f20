"""Peak memory of training and evaluation, each in a process of its own.

python -m benchmarks.speed.memory CASE  # one case alone, in this process
"""

import json
import resource
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from amodal import masks
from amodal.inference.model_files import PACKAGED
from amodal.instances import Target
from amodal.models import checkpoint
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import ModelConfig
from amodal.training import recipes
from benchmarks.speed.harness import Measured, Row
from benchmarks.speed.small import drawn_scenes, limit_candidates, untrained

TITLE = "Memory"
SMALL = 160
LIMIT = 24 * 2**30
"""Bytes that a training must get by with."""
CASES = {
    "demo": "demo recipe, 8 images of 160 pixels",
    "d2sa": "ResNet-50 at 800 pixels (D2SA's recipe), one image of 1920 x 1440 with 8 objects",
    "kins": "ResNet-50 at 800 x 2650 pixels (KINS' recipe), one image of 1242 x 375 with 12 objects",
    "wide": "ResNet-50 at 800 x 3000 pixels (the most that KINS' recipe lets through), 12 objects",
}
KINDS = {"train": "Training", "evaluate": "Evaluation"}


def measure(quick: bool) -> Measured:
    chosen = ["demo"] if quick else list(CASES)
    found = {(case, kind): peak(case, kind, quick=quick) for case in chosen for kind in KINDS}
    rows = [
        Row(
            f"Peak memory, {KINDS[kind].lower()}, {CASES[case]}",
            "24 GiB",
            one["bytes"] / LIMIT,
            0.0,
            "share",
            1.0,
            {**one, "rival_bytes": LIMIT},
        )
        for (case, kind), one in found.items()
    ]
    return Measured(rows)


def peak(case: str, kind: str, *, quick: bool) -> dict[str, Any]:
    """Bytes and seconds of one case, in a new process; quick: of one image, and trained in this process."""
    if quick and kind == "train":
        return alone(case, kind, "1")
    command = [sys.executable, "-m", "benchmarks.speed.memory", case, kind, *["1"] * quick]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return json.loads(done.stdout.splitlines()[-1])


def train(model: AmodalRCNN, images: list[torch.Tensor], targets: list[Target]) -> None:
    """Two steps: the second has the optimiser's moments beside it."""
    model.train()
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9)
    for _ in range(2):
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(model(images, targets).values())).sum().backward()
        optimiser.step()


@torch.inference_mode()
def evaluate(model: AmodalRCNN, images: list[torch.Tensor], _targets: list[Target]) -> None:
    """Each image as evaluation takes it, masks in the image's own pixels."""
    model.eval()
    for image in images:
        if image.shape[-1] > SMALL:
            limit_candidates(model, image)
        model([image])


def demo(number: int | None = None) -> tuple[AmodalRCNN, list[torch.Tensor], list[Target]]:
    """The packaged model and drawn scenes: eight, or so many."""
    count = number or 8
    samples = drawn_scenes(count)
    found = [samples[index] for index in range(count)]
    images = [sample["image"].float() / 255 for sample in found]
    return checkpoint.load(PACKAGED / "demo.safetensors").model, images, [sample["target"] for sample in found]


def full(
    config: ModelConfig, size: tuple[int, int], objects: int
) -> tuple[AmodalRCNN, list[torch.Tensor], list[Target]]:
    """The paper's model with random weights, and an image of noise with that many overlapping rectangles."""
    torch.manual_seed(0)
    model = untrained(config)
    height, width = size
    amodal = torch.zeros(objects, height, width, dtype=torch.bool)
    for index, layer in enumerate(amodal):
        left, top = index * (width * 2 // 3) // objects, index * (height // 2) // objects
        layer[top : top + height // 2, left : left + width // 3] = True
    visible = amodal.clone()
    for index in range(1, objects):
        visible[index] &= ~amodal[:index].any(0)
    labels = torch.arange(objects) % (model.boxes.predictor.cls_score.out_features - 1) + 1
    target: Target = {
        "boxes": masks.boxes(amodal),
        "labels": labels,
        "amodal_masks": amodal,
        "visible_masks": visible,
    }
    return model, [torch.rand(3, height, width)], [target]


SETUPS: dict[str, Callable[[], tuple[AmodalRCNN, list[torch.Tensor], list[Target]]]] = {
    "demo": demo,
    "d2sa": lambda: full(ModelConfig(), (1440, 1920), 8),
    "kins": lambda: full(recipes.kins(Path("data")).model, (375, 1242), 12),
    "wide": lambda: full(recipes.kins(Path("data")).model, (375, 1406), 12),
}


def alone(case: str, kind: str, number: str | None = None) -> dict[str, Any]:
    """Bytes and seconds of this process: of the case's images, or of so many of the demo's."""
    torch.set_num_threads(1)
    began = perf_counter()
    setup = SETUPS[case] if number is None else partial(demo, int(number))
    {"train": train, "evaluate": evaluate}[kind](*setup())
    kibibytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"bytes": kibibytes * 1024, "seconds": round(perf_counter() - began, 1)}


def describe(measured: Measured) -> str:
    lines = [f"* {row.name.partition(', ')[2]}: {row.details['bytes'] / 2**30:.2f} GiB." for row in measured.rows]
    return f"""The peak of a process that does nothing else, the interpreter and its libraries included, with VRSP in
single precision on a CPU. The full presets have random weights: as many regions as ever are sampled in training, and at
inference 300 candidates are let through, as a trained model has.

{chr(10).join(lines)}"""


if __name__ == "__main__":
    print(json.dumps(alone(*sys.argv[1:])))
