"""A training step of VRSP against torchvision's Mask R-CNN, per counted operation."""

from collections.abc import Callable
from dataclasses import replace
from time import process_time
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.profiler import profile
from torch.utils.flop_counter import FlopCounterMode

from amodal import processes
from amodal.inference.model_files import PACKAGED
from amodal.instances import Target
from amodal.models import checkpoint
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.backbones import build_backbone
from amodal.models.config import DetectorConfig, ModelConfig
from benchmarks.speed.harness import Curve, Measured, Row, best, centre, compare
from benchmarks.speed.rival import their_targets, torchvision_mask_rcnn
from benchmarks.speed.small import drawn_scenes, untrained

TITLE = "A training step"
RIVAL = "torchvision Mask R-CNN, same backbone, image size, regions; per counted operation"
AIM = 1.1
Batch = tuple[list[Tensor], list[Target]]
Step = Callable[[], Any]


def batch(count: int, side: int = 160, num_objects: tuple[int, int] | None = None) -> Batch:
    """Drawn scenes of the demo recipe's kind."""
    samples = drawn_scenes(count, side, num_objects)
    found = [samples[index] for index in range(count)]
    return [sample["image"].float() / 255 for sample in found], [sample["target"] for sample in found]


def step(model: nn.Module, images: list[Tensor], targets: list[Any]) -> Step:
    """A step as the training loop makes it: losses, gradients, clipping, weights. Always the same regions."""
    optimiser = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1e-6, momentum=0.9)

    def once() -> None:
        torch.manual_seed(0)
        loss = torch.stack(list(model(images, targets).values())).sum()
        optimiser.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimiser.step()

    return once


def operations(run: Step) -> int:
    """Floating-point operations of matrix products and convolutions, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        run()
    return counter.get_total_flops()


def measure(quick: bool) -> Measured:
    processes.keep_memory()  # as every training does
    loaded = checkpoint.load(PACKAGED / "demo.safetensors")
    config, num_classes = loaded.config, len(loaded.categories)
    small = loaded.model.train()
    _freeze(small, config)
    count = 1 if quick else 8
    rows = [
        beside(
            small, config, num_classes, batch(count), (f"demo recipe, {count} images of 160 pixels", 1 if quick else 7)
        )
    ]
    facts = {"profile": summary(step(small, *batch(count)))}
    if not quick:
        rows.append(beside(*full_preset(), batch(1, 384, (8, 8)), ("ResNet-50 preset, an image at 384 pixels", 3)))
    return Measured(rows, curves(small, quick), facts=facts)


def full_preset() -> tuple[AmodalRCNN, ModelConfig, int]:
    """The paper's model without pretrained weights, at a size that a CPU can wait for."""
    config = ModelConfig(detector=DetectorConfig(min_size=(384,), max_size=640))
    model = untrained(config).train()
    return model, config, model.boxes.predictor.cls_score.out_features - 1


def beside(model: AmodalRCNN, config: ModelConfig, num_classes: int, data: Batch, told: tuple[str, int]) -> Row:
    """Time ratio over operation ratio of one preset."""
    name, repetitions = told
    images, targets = data
    rival = torchvision_mask_rcnn(model, config, num_classes)
    ours, theirs = step(model, images, targets), step(rival, images, their_targets(targets))
    counted = operations(ours), operations(theirs)
    share = counted[0] / counted[1]
    timing = compare(ours, theirs, repetitions=repetitions, clock=process_time)
    ratios = [own / other / share for own, other in zip(timing.ours, timing.rivals, strict=True)]
    details = {
        "seconds": centre(timing.ours)[0],
        "rival_seconds": centre(timing.rivals)[0],
        "operations": counted[0],
        "rival_operations": counted[1],
        "ratios": ratios,
    }
    return Row(f"Training step of VRSP, four passes, {name}", RIVAL, *centre(ratios), "times as long", AIM, details)


def summary(run: Step, most: int = 12) -> list[dict[str, Any]]:
    """The operators that take most of a step's time, with their shares."""
    run()
    with profile() as profiled:
        run()
    averages = [event for event in profiled.key_averages() if event.self_cpu_time_total > 0]
    total = sum(event.self_cpu_time_total for event in averages)
    averages.sort(key=lambda event: -event.self_cpu_time_total)
    return [
        {"operator": e.key, "calls": e.count, "share": round(e.self_cpu_time_total / total, 4)} for e in averages[:most]
    ]


def curves(model: AmodalRCNN, quick: bool) -> list[Curve]:
    """Seconds of a step of two images by the size of images, the number of regions, and the number of objects."""
    count, repetitions, large = (1, 1, 96) if quick else (2, 2, 256)
    resize = cast(Any, model.resize)
    sizes = resize.min_size
    sides = [64, 96] if quick else [96, 160, 256, 384]
    by_side = []
    for side in sides:
        resize.min_size = (side,)
        by_side.append(best(step(model, *batch(count, side)), repetitions, process_time))
    resize.min_size = sizes
    regions = [16, 32] if quick else [32, 64, 128, 256]
    sampler = model.boxes.sampler
    before, by_regions, data = sampler.batch_size_per_image, [], batch(count)
    for number in regions:
        sampler.batch_size_per_image = number
        by_regions.append(best(step(model, *data), repetitions, process_time))
    sampler.batch_size_per_image = before
    objects = [2, 4] if quick else [2, 4, 8, 16]
    by_objects = [
        best(step(model, *batch(count, large, (number, number))), repetitions, process_time) for number in objects
    ]
    return [
        Curve("step", "pixels of a side", [float(s) for s in sides], by_side),
        Curve("step", "regions of an image", [float(n) for n in regions], by_regions),
        Curve("step", "objects of a scene", [float(n) for n in objects], by_objects),
    ]


def _freeze(model: AmodalRCNN, config: ModelConfig) -> None:
    """Freezes what training freezes: a checkpoint does not keep that."""
    fresh = build_backbone(replace(config.backbone, weights="none"), pretrained=False)
    for own, told in zip(model.backbone.parameters(), fresh.parameters(), strict=True):
        own.requires_grad_(told.requires_grad)


def _rate(operations: float, seconds: float) -> str:
    return f"{operations / seconds / 1e9:,.0f}" if seconds > 0 else "any number of"


def describe(measured: Measured) -> str:
    lines = []
    for row in measured.rows:
        d = row.details
        lines.append(
            f"* {row.name.partition(', four passes, ')[2]}: {d['seconds']:.2f} s for "
            f"{d['operations'] / 1e9:,.0f} G operations, torchvision's {d['rival_seconds']:.2f} s for "
            f"{d['rival_operations'] / 1e9:,.0f} G: {d['seconds'] / d['rival_seconds']:.2f} x the time, "
            f"{d['operations'] / d['rival_operations']:.2f} x the operations. What VRSP adds runs at "
            f"{_rate(d['operations'] - d['rival_operations'], d['seconds'] - d['rival_seconds'])} G operations a "
            f"second, all of torchvision's at {_rate(d['rival_operations'], d['rival_seconds'])} G."
        )
    shares = [f"| `{e['operator']}` | {e['calls']} | {100 * e['share']:.1f} % |" for e in measured.facts["profile"]]
    table = "\n".join(["| operator | calls | share of the step |", "|---|---|---|", *shares])
    return f"""VRSP passes each positive region through a mask head four times, Mask R-CNN once. Both start from the
same weights, images and sampled regions; convolutions and matrix products are counted, forward and backward.
Seconds are the processor's. The process keeps what it frees, as a training does (`processes.keep_memory`): VRSP's step
would be 7 % longer otherwise. Its pooling of regions is one sparse product, forward and backward (`models/align.py`),
and not torchvision's RoIAlign: 9 % less. Tried without gain: one gradient of a head's cells, its ReLU and its masks, a
few regions at a time. What is left is convolutions.

{chr(10).join(lines)}

What a step of the demo recipe spends its time on (torch.profiler, time of the operator itself):

{table}"""
