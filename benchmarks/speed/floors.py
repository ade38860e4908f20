"""The machine's ceilings, and how far each stage of inference is from what they allow."""

from collections.abc import Callable
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models.detection.image_list import ImageList

from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint, quick_layers
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import POOLED_SIDE, all_regions
from amodal.models.losses import attend
from amodal.models.mask_head import MaskHead
from amodal.models.methods.vrsp import VRSP
from amodal.models.quick import quicken
from amodal.models.refinement import EagerRows, Refinement
from amodal.models.regions import Regions
from amodal.models.zoo import MASK_SIDE
from benchmarks.speed.harness import Curve, Measured, Stage, best
from benchmarks.speed.small import scenes

TITLE = "Floors"
REGIONS = 200
FLOAT = 4


@torch.inference_mode()
def ceilings(quick: bool) -> dict[str, float]:
    """The most operations and bytes in a second that a large product, a large convolution and a copy come to.

    The convolution is a matrix product too, of another library: on some processors it is the faster one.
    """
    side, length, number = (256, 2**20, 2) if quick else (2048, 2**26, 64)
    matrix, source, target = torch.rand(side, side), torch.rand(length), torch.empty(length)
    product, copy = best(lambda: matrix @ matrix, 5), best(lambda: target.copy_(source), 5)
    maps = torch.rand(number, 256, 14, 14).contiguous(memory_format=torch.channels_last)
    convolution = nn.Conv2d(256, 256, 3, padding=1)
    convolved = best(lambda: convolution(maps), 5)
    rates = {"product": 2 * side**3 / product, "convolution": 2 * maps.numel() * 9 * 256 / convolved}
    return {
        "operations_per_second": max(rates.values()),
        "operations_per_second_of_product": rates["product"],
        "operations_per_second_of_convolution": rates["convolution"],
        "bytes_per_second": 2 * FLOAT * length / copy,
    }


@torch.inference_mode()
def measure(quick: bool) -> Measured:
    loaded = checkpoint.load(PACKAGED / "demo.safetensors")
    model = loaded.model
    quicken(model)  # as `amodal.load` does
    return Measured([], growth(model, len(loaded.categories), quick), stages(model, quick), dict(ceilings(quick)))


def stages(model: AmodalRCNN, quick: bool) -> list[Stage]:
    """Every stage of an image of 160 pixels, on as many regions as candidates are looked at."""
    branch, number = model.branch, 20 if quick else REGIONS
    assert isinstance(branch, VRSP)
    assert branch.reclassifier is not None
    assert branch.fuse is not None
    batch, _ = model.resize(scenes(1))
    features = model.backbone(batch.tensors)
    sized = ImageList(batch.tensors, batch.image_sizes)
    proposals, _ = model.propose(sized, features)
    regions = some_regions(number, len(branch.prior.codebook.codes) if branch.prior else 1)
    box_features, pooled, labels = model.boxes.pool(features, regions), branch.pool(features, regions), regions.labels
    refinement = Refinement(branch, lambda which: pooled[which], labels, EagerRows)
    every = torch.arange(number)
    masks = {name: rows(every) for name, rows in refinement.masks.items()}
    attended = pooled * attend(masks["refined_visible"])
    shapes = branch.known_shapes(masks["coarse_amodal"], labels)
    levels = [features[str(i)] for i in range(4)]
    head: MaskHead = branch.amodal_head
    flat = attended * 1.0

    def stage(name: str, run: Callable[[], Any], module: nn.Module | None, *moved: Tensor, extra: float = 0.0) -> Stage:
        # The counter knows PyTorch's own operators, and not oneDNN's with weights that are laid out for it.
        with (
            patch.object(quick_layers, "onednn_answers", return_value=False),
            FlopCounterMode(display=False) as counter,
        ):
            run()
        weights = sum(p.numel() for p in module.parameters()) if module else 0
        num_bytes = FLOAT * (weights + sum(tensor.numel() for tensor in moved))
        return Stage(name, counter.get_total_flops() + extra, num_bytes, best(run, 1 if quick else 5))

    def samples(side: int) -> float:
        return 2.0 * number * side**2 * 16 * levels[0].shape[1]

    boxes = Regions(proposals[0], *[torch.zeros(len(proposals[0]), dtype=torch.int64)] * 2)
    return [
        stage("backbone and pyramid", lambda: model.backbone(batch.tensors), model.backbone, batch.tensors, *levels),
        stage("proposals", lambda: model.propose(sized, features), model.propose, *levels),
        stage(
            f"RoIAlign 7 x 7, {len(boxes)} regions",
            lambda: model.boxes.pool(features, boxes),
            None,
            *levels,
            box_features.new_empty(len(boxes), *box_features.shape[1:]),
            extra=samples(POOLED_SIDE) * len(boxes) / number,
        ),
        stage(
            f"box head, {number} regions",
            lambda: model.boxes.predictor(model.boxes.head(box_features)),
            model.boxes.head,
            box_features,
        ),
        stage(
            f"RoIAlign 14 x 14, {number} regions",
            lambda: branch.pool(features, regions),
            None,
            *levels,
            pooled,
            extra=samples(MASK_SIDE),
        ),
        stage(
            f"a pass of a mask head, {number} regions",
            lambda: head.own_class(pooled, labels),
            head,
            pooled,
            masks["coarse_amodal"],
        ),
        stage(
            f"shapes looked up, {number} regions",
            lambda: branch.known_shapes(masks["coarse_amodal"], labels),
            None,
            masks["coarse_amodal"],
        ),
        stage(
            f"fusion with the shapes, {number} regions",
            lambda: branch.fused(pooled, attend(masks["refined_visible"]), shapes),
            branch.fuse,
            pooled,
            pooled,
        ),
        stage(
            f"second opinion on the class, {number} regions",
            lambda: branch.reclassification_factor(flat, masks["refined_visible"], labels),
            branch.reclassifier,
            pooled,
        ),
        stage(
            f"distance to known shapes, {number} regions",
            lambda: branch.prior_factor(masks["refined_amodal"], labels),
            None,
            masks["refined_amodal"],
        ),
    ]


def some_regions(number: int, num_classes: int) -> Regions:
    """Boxes of all sizes in an image of 160 pixels."""
    generator = torch.Generator().manual_seed(0)
    low, span = torch.rand(number, 2, generator=generator) * 80, 15 + torch.rand(number, 2, generator=generator) * 65
    labels = torch.randint(1, num_classes + 1, (number,), generator=generator)
    return all_regions([torch.cat([low, low + span], 1)], [labels])


def growth(model: AmodalRCNN, num_classes: int, quick: bool) -> list[Curve]:
    """Seconds of all masks and factors by the number of regions; of a head's pass by the number of classes."""
    branch = model.branch
    batch, _ = model.resize(scenes(1))
    features = model.backbone(batch.tensors)
    counts, repetitions = ([8, 16], 1) if quick else ([8, 32, 128, 512], 2)
    regions = [some_regions(count, num_classes) for count in counts]
    by_regions = [best(lambda r=r: branch.predict(features, r), repetitions) for r in regions]
    classes = [2, 4] if quick else [4, 16, 64, 256]
    pooled = torch.rand(32, 64, 14, 14)
    by_classes, all_classes = [], []
    for count in classes:
        head = MaskHead(64, 64, 4, count)
        labels = torch.arange(32) % count + 1
        by_classes.append(best(lambda head=head, labels=labels: head.own_class(pooled, labels)))
        all_classes.append(best(lambda head=head: head(pooled)))
    return [
        Curve("masks and factors", "regions", [float(c) for c in counts], by_regions),
        Curve(
            "a head's pass, 32 regions",
            "classes",
            [float(c) for c in classes],
            by_classes,
            all_classes,
            "logits of all classes",
        ),
    ]


def describe(measured: Measured) -> str:
    facts = measured.facts
    product, convolution = (facts[f"operations_per_second_of_{kind}"] / 1e9 for kind in ("product", "convolution"))
    return f"""One thread of this machine does {product:.0f} G operations a second in a large matrix product,
{convolution:.0f} G in a large 3 x 3 convolution, and copies {facts["bytes_per_second"] / 1e9:.0f} GB a second, reading
and writing both counted. No stage can take less than its operations or its bytes at the higher of these rates: that is
its floor. What stands between the smaller stages and their floor is the cost of many calls."""
