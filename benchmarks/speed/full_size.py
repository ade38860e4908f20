"""The paper's full preset at inference, timed without a trained one: its work for the decisions of the demo's model.

A ResNet-50 with random weights finds nothing, and how long inference takes hangs on what is found. So the demo's model
looks at each scene first, and its candidates, scores and factors are put in place of the large model's own, which
computes them all the same. The rival gets as many detections as it would make with the demo's weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.roi_heads import maskrcnn_inference

from amodal.instances import Prediction
from amodal.models.amodal_rcnn import STEP_CPU, AmodalRCNN, Encoded, as_boxed, as_prediction
from amodal.models.boxes import all_regions
from amodal.models.config import BackboneConfig, DetectorConfig, MaskConfig, ModelConfig
from amodal.models.quick import quicken
from amodal.models.rescoring import Candidates, SuppressionLimits, suppress_rescored
from benchmarks.speed.harness import Row, compare
from benchmarks.speed.rival import torchvision_mask_rcnn
from benchmarks.speed.small import FEW, SURE, candidates_of, scenes, untrained


@dataclass(frozen=True)
class Decisions:
    """What the demo's model thinks of one image, boxes in that image's own pixels.

    Attributes:
        candidates: Above the score threshold.
        bounds: Their scores after each stage of correction, (stages, N).
        rival: Boxes and labels of the detections that Mask R-CNN makes with the demo's weights.
    """

    candidates: Candidates
    bounds: Tensor
    rival: tuple[Tensor, Tensor]


def measure(demo: AmodalRCNN, rival: MaskRCNN, quick: bool, told_rival: str) -> list[Row]:
    """Every detection, and those that are shown, at the size of the paper's recipe for D2SA.

    Args:
        demo: The model that decides.
        rival: torchvision's with its weights.
        quick: Tiny, which measures nothing.
        told_rival: How the page names the rival.
    """
    side, count = (96, 1) if quick else (800, 4)
    config = ModelConfig(detector=DetectorConfig(min_size=(side,)))
    if quick:
        few = replace(config.detector, proposals_inference=FEW)
        config = replace(config, detector=few, backbone=BackboneConfig("resnet18"), mask=MaskConfig(16))
    images = scenes(count, side)
    large, large_rival = with_rival(config)
    quicken(large)  # as `amodal.load` does
    before = rival.roi_heads.score_thresh
    rows = []
    for least, what in (
        (0.0, "Inference, every detection from 0.05 on"),
        (SURE, f"Prediction, what scores at least {SURE}"),
    ):
        rival.roi_heads.score_thresh = max(least, before)
        told = [decide(demo, rival, image) for image in images]
        pairs = list(zip(images, told, strict=True))
        found = [len(predict(large, image, known, least)["scores"]) for image, known in pairs]
        timing = compare(
            lambda pairs=pairs, least=least: [predict(large, image, known, least) for image, known in pairs],
            lambda pairs=pairs: [rival_predicts(large_rival, image, known) for image, known in pairs],
            repetitions=1 if quick else 3,
        )
        name = f"{what}, {side} pixels, ResNet-50 preset, decisions of the demo's model"
        counts = {"images": count, "detections": float(np.mean(found))}
        counts["rival_detections"] = float(np.mean([len(known.rival[1]) for known in told]))
        rows.append(timing.row(name, told_rival, 1.3, sense="times as long", **counts))
    rival.roi_heads.score_thresh = before
    return rows


def decide(model: AmodalRCNN, rival: MaskRCNN, image: Tensor) -> Decisions:
    """By the demo's model, and by the rival with its weights."""
    features, found, scale = candidates_of(model, image)
    lazy = model.branch.on_demand(features, all_regions([found.boxes], [found.labels]), found.scores)
    everything = torch.arange(len(found.scores))
    bounds = torch.stack([correct(everything) for correct in lazy.corrections])
    (theirs,) = rival([image])
    return Decisions(replace(found, boxes=found.boxes / scale), bounds, (theirs["boxes"], theirs["labels"]))


def with_rival(config: ModelConfig) -> tuple[AmodalRCNN, MaskRCNN]:
    """A VRSP with random weights, and its rival."""
    model = untrained(config).eval()
    rival: Any = torchvision_mask_rcnn(model, config, model.boxes.predictor.cls_score.out_features - 1)
    rival.roi_heads.score_thresh = 1.0  # its own detections are not wanted
    return model, rival


def predict(model: AmodalRCNN, image: Tensor, told: Decisions, least: float) -> Prediction:
    """`AmodalRCNN.forward` of one image with the decisions that it is told."""
    features, _, scale = candidates_of(model, image)
    candidates = replace(told.candidates, boxes=told.candidates.boxes * scale)
    lazy = model.branch.on_demand(features, all_regions([candidates.boxes], [candidates.labels]), candidates.scores)

    def told_after(stage: int) -> Callable[[Tensor], Tensor]:
        def correct(which: Tensor) -> Tensor:
            lazy.corrections[stage](which)
            return told.bounds[stage, which]

        return correct

    wanted = SuppressionLimits(model.boxes.config.nms_threshold, model.boxes.config.detections_per_image, least)
    corrections = [told_after(stage) for stage in range(len(lazy.corrections))]
    kept, scores = suppress_rescored(candidates, corrections, wanted, STEP_CPU)
    regions = all_regions([candidates.boxes], [candidates.labels])[kept]
    encoded = Encoded(features, (0, 0), torch.tensor([scale, scale]))
    return as_prediction(as_boxed(regions, scores, lazy.masks(kept, coarse=False), encoded), image)


def rival_predicts(rival: MaskRCNN, image: Tensor, told: Decisions) -> Any:
    """Torchvision's forward of one image with the decisions that it is told."""
    model: Any = rival
    batch, _ = model.transform([image])
    features = model.backbone(batch.tensors)
    proposals, _ = model.rpn(batch, features)
    model.roi_heads(features, proposals, batch.image_sizes)
    scale = batch.image_sizes[0][1] / image.shape[-1]
    boxes, labels = told.rival
    chosen = [boxes * scale]
    pooled = model.roi_heads.mask_roi_pool(features, chosen, batch.image_sizes)
    logits = model.roi_heads.mask_predictor(model.roi_heads.mask_head(pooled))
    (masks,) = maskrcnn_inference(logits, [labels])
    found = [{"boxes": chosen[0], "labels": labels, "masks": masks}]
    return model.transform.postprocess(found, batch.image_sizes, [(image.shape[-2], image.shape[-1])])
