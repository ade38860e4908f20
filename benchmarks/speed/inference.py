"""Inference: re-scoring before suppression, against Mask R-CNN and against masks for every candidate."""

import copy
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.ops import roi_align
from torchvision.ops.poolers import LevelMapper

from amodal.files import read_json
from amodal.inference.eager import TorchModel
from amodal.inference.predictor import Predictor
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import all_regions
from amodal.models.methods.vrsp import VRSP
from amodal.models.quick import quicken
from amodal.models.regions import STRIDES
from amodal.models.rescoring import Candidates, SuppressionLimits, suppress, suppress_rescored
from amodal.models.zoo import MASK_SIDE
from benchmarks import convolutions
from benchmarks.speed import full_size
from benchmarks.speed.harness import Curve, Measured, best, compare
from benchmarks.speed.rival import torchvision_mask_rcnn
from benchmarks.speed.small import SURE, candidates_of, packaged_demo, scenes

TITLE = "Inference"
RIVAL = "torchvision Mask R-CNN, same backbone, proposals and detector weights"


@torch.inference_mode()
def measure(quick: bool) -> Measured:
    loaded = packaged_demo(quick)
    model, images = loaded.model, scenes(1 if quick else 12)
    repetitions, few = (1, 1) if quick else (7, 3)
    rival = torchvision_mask_rcnn(model, loaded.config, len(loaded.categories))
    plain = copy.deepcopy(model)
    quicken(model)  # as `amodal.load` does
    facts = {"images": len(images), **looks(model, images, 0.0), "sure": looks(model, images, SURE)}
    facts["detections_of_rival"] = _mean([len(rival([image])[0]["scores"]) for image in images])

    def each(function: Any) -> Any:
        return lambda: [function(image) for image in images]

    whole = compare(each(lambda i: model([i])), each(lambda i: rival([i])), repetitions=repetitions)
    shown = against_shown(model, loaded.categories, rival, images, repetitions)
    facts["detections_of_rival_shown"] = shown.pop("detections")
    every = compare(each(lambda i: model([i])), each(lambda i: all_passes(plain, i)), repetitions=few)
    bound = compare(each(lambda i: model([i])), each(lambda i: unbounded(model, i)), repetitions=few)
    differing = sum(not same_detections(model, plain, image) for image in images)
    size = "160 pixels, VRSP of the demo recipe"
    rows = [
        whole.row(f"Inference, every detection from 0.05 on, {size}", RIVAL, 1.3, sense="times as long"),
        shown["timing"].row(f"Prediction, what scores at least {SURE}, {size}", RIVAL, 1.3, sense="times as long"),
        every.row(
            f"Bounded re-scoring, {size}",
            "all four passes for every candidate, as the authors do",
            3,
            images_with_other_detections=differing,
        ),
        bound.row(f"The bound alone, {size}", "the same code, all candidates looked at"),
    ]
    rows += full_size.measure(model, rival, quick, RIVAL)
    return Measured(rows, curves(model, rival, quick), facts=facts)


def against_shown(model: AmodalRCNN, categories: Any, rival: Any, images: list[Tensor], repetitions: int) -> Any:
    """`Predictor.predict` with its own threshold, and the rival with the same."""
    predictor = Predictor(TorchModel(model, categories))
    arrays = [np.ascontiguousarray((image * 255).byte().permute(1, 2, 0).numpy()) for image in images]
    before, rival.roi_heads.score_thresh = rival.roi_heads.score_thresh, SURE
    timing = compare(
        lambda: [predictor.predict(array, score_threshold=SURE) for array in arrays],
        lambda: [rival([image]) for image in images],
        repetitions=repetitions,
    )
    detections = _mean([len(rival([image])[0]["scores"]) for image in images])
    rival.roi_heads.score_thresh = before
    return {"timing": timing, "detections": detections}


def plainly_pooled(features: dict[str, Tensor], boxes: Tensor) -> Tensor:
    """Region features of one image by torchvision's own operator."""
    levels = LevelMapper(k_min=2, k_max=5)([boxes])
    pooled = boxes.new_empty(len(boxes), features["0"].shape[1], MASK_SIDE, MASK_SIDE)
    for index, stride in enumerate(STRIDES):
        chosen = levels == index
        maps = features[str(index)].contiguous()
        pooled[chosen] = roi_align(maps, [boxes[chosen]], MASK_SIDE, 1 / stride, 2, aligned=True)
    return pooled


def all_passes(model: AmodalRCNN, image: Tensor) -> tuple[Candidates, Tensor, Tensor]:
    """Every candidate through all passes, then suppression, in PyTorch's usual manner. Detections and masks.

    torchvision pools; regions go through the heads all at once, channels first; logits are of all classes.

    Args:
        model: As its checkpoint has it: one that was made ready to answer would lay channels last, and take three
            fifths of the time.
        image: Float (3, H, W).
    """
    branch = model.branch
    assert isinstance(branch, VRSP)
    features, candidates, _ = candidates_of(model, image)
    regions = all_regions([candidates.boxes], [candidates.labels])
    pooled = plainly_pooled(features, regions.boxes)
    passes = branch.passes(pooled, regions.labels)
    amodal, visible = (p.own_class(regions.labels) for p in (passes.refined_amodal, passes.refined_visible))
    factors = (
        branch.reclassification_factor(pooled, visible, regions.labels),
        branch.prior_factor(amodal, regions.labels),
    )
    return _detections(model, candidates, branch.rescored(candidates.scores, factors), amodal, visible)


def unbounded(model: AmodalRCNN, image: Tensor) -> tuple[Candidates, Tensor, Tensor]:
    """The same by the code that inference uses."""
    features, candidates, _ = candidates_of(model, image)
    found = model.branch.predict(features, all_regions([candidates.boxes], [candidates.labels]))
    assert found.amodal is not None
    assert found.visible is not None
    return _detections(
        model, candidates, model.branch.rescored(candidates.scores, found.factors), found.amodal, found.visible
    )


def _detections(
    model: AmodalRCNN, candidates: Candidates, scores: Tensor, amodal: Tensor, visible: Tensor
) -> tuple[Candidates, Tensor, Tensor]:
    config = model.boxes.config
    final = Candidates(candidates.boxes, candidates.labels, scores)
    kept = suppress(final, config.nms_threshold)[: config.detections_per_image]
    return final.at(kept), amodal[kept], visible[kept]


def same_detections(model: AmodalRCNN, plain: AmodalRCNN, image: Tensor) -> bool:
    """Whether the bound, and a model made ready, change nothing: boxes, labels, scores and masks."""
    expected, amodal, visible = all_passes(plain, image)
    ((encoded, candidates),) = model.candidates([image])
    regions, scores, masks = model.choose(encoded, candidates)
    if len(regions) != len(expected.labels):
        return False
    assert masks.amodal is not None
    assert masks.visible is not None
    pairs = [(regions.boxes, expected.boxes), (regions.labels, expected.labels), (scores, expected.scores)]
    pairs += [(masks.amodal, amodal.sigmoid()), (masks.visible, visible.sigmoid())]
    return all(torch.allclose(own, other, rtol=1e-3, atol=1e-3) for own, other in pairs)


def looks(model: AmodalRCNN, images: list[Tensor], least: float) -> dict[str, Any]:
    """How many candidates an image has on average, how many reach each stage of the bound, and the detections."""
    config, counts = model.boxes.config, []
    for image in images:
        features, candidates, _ = candidates_of(model, image)
        lazy = model.branch.on_demand(features, all_regions([candidates.boxes], [candidates.labels]), candidates.scores)
        asked = [0] * len(lazy.corrections)

        def counted(stage: int, which: Tensor, lazy: Any = lazy, asked: list[int] = asked) -> Tensor:
            asked[stage] += len(which)
            return lazy.corrections[stage](which)

        corrections = [lambda which, s=stage, c=counted: c(s, which) for stage in range(len(asked))]
        wanted = SuppressionLimits(config.nms_threshold, config.detections_per_image, least)
        bounded = Candidates(candidates.boxes, candidates.labels, lazy.bounds)
        kept, _ = suppress_rescored(bounded, corrections, wanted)
        counts.append([len(candidates.scores), *asked, len(kept)])
    names = ("candidates", "looked_at_for_their_class", "looked_at_for_their_shape", "detections")
    return dict(zip(names, np.mean(counts, 0).round(1).tolist(), strict=True))


def curves(model: AmodalRCNN, rival: MaskRCNN, quick: bool) -> list[Curve]:
    """Seconds of an image by its size, with the detector's own size following it."""
    sides, repetitions = ([64, 96], 1) if quick else ([96, 160, 256, 384, 512], 3)
    resize, transform = cast(Any, model.resize), cast(Any, rival.transform)
    before = resize.min_size
    ours, theirs = [], []
    for side in sides:
        images = scenes(1 if quick else 3, side)
        resize.min_size = transform.min_size = (side,)
        ours.append(best(lambda images=images: [model([i]) for i in images], repetitions) / len(images))
        theirs.append(best(lambda images=images: [rival([i]) for i in images], repetitions) / len(images))
    resize.min_size = transform.min_size = before
    return [Curve("inference", "pixels of a side", [float(s) for s in sides], ours, theirs, "torchvision Mask R-CNN")]


def _mean(values: list[int]) -> float:
    return round(float(np.mean(values)), 1)


def describe(measured: Measured) -> str:
    whole, shown, every, bound, large, large_shown = measured.rows
    facts, sure = measured.facts, measured.facts["sure"]
    other = every.details["images_with_other_detections"]
    return f"""Suppression by corrected scores needs masks before suppression. Class scores bound the corrected ones;
the second opinion on the class bounds them closer, before the last pass is made. An image of the demo has
{facts["candidates"]:.0f} candidates on average. {facts["looked_at_for_their_class"]:.0f} of them take two passes,
{facts["looked_at_for_their_shape"]:.0f} the third one, {facts["detections"]:.0f} become detections: boxes, classes,
scores and masks as if all had been looked at (images where they differ: {other} of {facts["images"]}). Where only what
scores at least {SURE} is wanted, as by `amodal predict`, it is {sure["looked_at_for_their_class"]:.0f} and
{sure["looked_at_for_their_shape"]:.0f} for {sure["detections"]:.1f} objects.

* An image takes {whole.details["seconds"] / facts["images"] * 1e3:.0f} ms with every detection,
  {shown.details["seconds"] / facts["images"] * 1e3:.0f} ms with those shown; torchvision's Mask R-CNN
  {whole.details["rival_seconds"] / facts["images"] * 1e3:.0f} ms ({facts["detections_of_rival"]:.0f} detections) and
  {shown.details["rival_seconds"] / facts["images"] * 1e3:.0f} ms.
* With the paper's ResNet-50 at 800 pixels the mask heads are a smaller part of the work. No trained one is at hand: one
  with random weights does the work for the decisions of the demo's model (`benchmarks/speed/full_size.py`).
  {large.details["detections"]:.0f} detections take {large.ratio:.2f} x the time of torchvision's Mask R-CNN, and the
  {large_shown.details["detections"]:.1f} that are shown {large_shown.ratio:.2f} x.
* {every.ratio:.1f} x faster than all four passes for every candidate, of which {bound.ratio:.1f} x is the bound; the
  rest is code that holds 32 regions at a time in the processor's caches, channels last, computes the mask of the own
  class alone, and has the weights of large matrix products laid out for oneDNN once. RoIAlign is one weighted sum of
  rows, {"`embedding_bag`"}.
* {convolutions.told(read_json(convolutions.RESULT))}
* The order of looking leaves little to save. Who is looked at scores more, as far as is known of it, than all undecided
  ones that overlap it: nothing else could settle it. Only what fills a step up to 16 could be spared. What is left is
  arithmetic: a pass of a mask head is near the processor's floor (below)."""
