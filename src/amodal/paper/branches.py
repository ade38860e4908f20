"""A mask branch trained and measured on a frozen detector's features: what the branch is worth, and nothing else.

AP mixes boxes, classes, scores and masks, and two trainings of one method differ by half a point in it. Here every
branch sees the same features of the same objects in the same order, so that differences can be taken object by object.
"""

import copy
from dataclasses import dataclass
from time import perf_counter, process_time

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from amodal import masks
from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.regions import BatchTruth, Regions, RegionTruth
from amodal.paper.kept import KeptRegions, look_up
from amodal.paper.pyramids import Boxes, Scenes
from amodal.training.config import TrainConfig
from amodal.training.schedule import build_optimiser, rate_at, set_rate

OCCLUDED = 0.15
"""From this occlusion rate on an object counts as occluded."""
CELLS = 28
"""Across a region, where the masks of a method lie over other boxes."""
MEASURED_AT_ONCE = 8
"""Scenes of one pass when masks are measured."""


@dataclass(frozen=True)
class Plan:
    """How branches are trained, all alike."""

    width: int = 32
    """Channels of every mask head."""
    scenes_per_step: int = 4
    """Scenes of a step, with all their objects."""
    boxes: Boxes = "true"
    """The truth's boxes and classes, or the detector's own, of those objects that it found."""


def train(branch: MaskBranch, kept: KeptRegions, config: TrainConfig, plan: Plan) -> tuple[float, float]:
    """Trains the branch for the steps of `config`, in its seed's order; gives wall seconds and this process's own."""
    branch.train()
    look_up(branch, kept)
    optimiser = build_optimiser(branch, config.optimiser)
    scenes = kept.scenes
    order = _scenes_in_order(len(scenes), config.schedule.iterations * plan.scenes_per_step, config.seed)
    began, began_here = perf_counter(), process_time()
    for step, which in enumerate(order.reshape(-1, plan.scenes_per_step).tolist()):
        losses = branch.losses(*kept.batch(which))
        set_rate(optimiser, rate_at(step, config.optimiser.lr, config.schedule))
        optimiser.zero_grad(set_to_none=True)
        torch.stack(list(losses.values())).sum().backward()
        if config.optimiser.clip_norm is not None:
            nn.utils.clip_grad_norm_(branch.parameters(), config.optimiser.clip_norm)
        optimiser.step()
    if scenes.device.type == "cuda":
        torch.cuda.synchronize(scenes.device)
    return perf_counter() - began, process_time() - began_here


def _scenes_in_order(number: int, wanted: int, seed: int) -> np.ndarray:
    """Places of scenes, int64 (wanted,): all of them shuffled, again and again."""
    generator = np.random.default_rng(seed)
    epochs = [generator.permutation(number) for _ in range(-(-wanted // number))]
    return np.concatenate(epochs)[:wanted]


@torch.inference_mode()
def measure(branch: MaskBranch, scenes: Scenes, plan: Plan) -> dict[str, np.ndarray]:
    """IoU of each region's masks with its object's over the region, float64 (R,), NaN where there is none.

    `amodal` and `visible`; `occluded`: `amodal` of occluded objects; `hidden`: of occluded objects, what the amodal
    mask claims beyond the true visible one with the true invisible part; `coarse_amodal` and `coarse_occluded`: the
    first masks of a method that refines. Beside them `scene`, where each region lies.
    """
    branch.eval()
    parts = []
    for first in range(0, len(scenes), MEASURED_AT_ONCE):
        which = list(range(first, min(first + MEASURED_AT_ONCE, len(scenes))))
        features, regions, truth = scenes.batch(which, plan.boxes, training=False)
        asked = branch.on_demand(features, regions, torch.ones(len(regions), device=scenes.device))
        found = asked.masks(torch.arange(len(regions), device=scenes.device), coarse=True).over(regions.boxes, CELLS)
        occluded = _occlusion_rates(truth, regions) >= OCCLUDED
        parts.append(_ious(found, truth, regions, occluded) | {"scene": regions.images + first})
    return {name: torch.cat([part[name] for part in parts]).double().cpu().numpy() for name in parts[0]}


def _ious(found: RegionMasks, truth: BatchTruth, regions: Regions, occluded: Tensor) -> dict[str, Tensor]:
    nothing = regions.boxes.new_full((len(regions),), torch.nan)

    def iou(probabilities: Tensor | None, kind: str) -> Tensor:
        if probabilities is None:
            return nothing
        crops = truth.crop(regions, probabilities.shape[-1])
        return ious_of(probabilities > 0.5, crops)[kind]

    ious = {
        "amodal": iou(found.amodal, "amodal"),
        "occluded": iou(found.amodal, "amodal"),
        "hidden": iou(found.amodal, "hidden"),
        "visible": iou(found.visible, "visible"),
        "coarse_amodal": iou(found.coarse_amodal, "amodal"),
        "coarse_occluded": iou(found.coarse_amodal, "amodal"),
    }
    for name in ("occluded", "hidden", "coarse_occluded"):
        ious[name] = torch.where(occluded, ious[name], torch.nan)
    return ious


def ious_of(found: Tensor, crops: RegionTruth) -> dict[str, Tensor]:
    """IoU of masks, bool (R, S, S), taken for the whole object, for its invisible part, and for its visible part."""
    invisible = crops.amodal & ~crops.visible
    return {
        "amodal": masks.ious(found, crops.amodal),
        "hidden": masks.ious(found & ~crops.visible, invisible),
        "visible": masks.ious(found, crops.visible),
    }


def _occlusion_rates(truth: BatchTruth, regions: Regions) -> Tensor:
    """Of each region's object, by its pixels in the image."""
    assert regions.owners is not None
    rates = regions.boxes.new_zeros(len(regions))
    for image, target in enumerate(truth.targets):
        chosen = regions.images == image
        of_objects = masks.occlusion_rates(target["amodal_masks"], target["visible_masks"])
        rates[chosen] = of_objects[regions.owners[chosen]]
    return rates


def flops(branch: MaskBranch, scenes: Scenes, plan: Plan) -> tuple[float, float]:
    """Floating-point operations of a region in training, forward and backward, and at inference."""
    branch = copy.deepcopy(branch)  # what is counted leaves no trace
    which = list(range(min(plan.scenes_per_step, len(scenes))))
    features, regions, truth = scenes.batch(which, plan.boxes, training=True)
    branch.train()
    branch.losses(features, regions, truth)  # what a shape prior decodes once and keeps is no step's work
    with FlopCounterMode(display=False) as training:
        torch.stack(list(branch.losses(features, regions, truth).values())).sum().backward()
    branch.zero_grad(set_to_none=True)
    branch.eval()
    with torch.no_grad(), FlopCounterMode(display=False) as inference:
        branch.predict(features, regions)
    return training.get_total_flops() / len(regions), inference.get_total_flops() / len(regions)
