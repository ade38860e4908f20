"""A whole model as ONNX: one graph from an image of any size to boxes, classes, scores and masks over the boxes.

PyTorch's tracer records tensor operations and forgets Python: loops over regions, lists of counts, early exits. The
parts of the model that rely on those are replaced here, each by one that computes the same without them, so that the
model itself need not know of the export.
"""

import copy
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor, nn
from torchvision.ops import nms, roi_align

from amodal.annotations import Category
from amodal.export.int8 import onnx_package
from amodal.export.padded_convolution import traceable_convolution
from amodal.files import replacing
from amodal.inference.onnx import DUPLICATES, INPUT, KIND, SCORE_THRESHOLD
from amodal.models.amodal_rcnn import AmodalRCNN, Encoded, sides
from amodal.models.boxes import BoxStage, all_regions
from amodal.models.branch import RegionMasks
from amodal.models.lite0 import Convolution
from amodal.models.regions import STRIDES, RegionPooler, Regions
from amodal.models.rescoring import Candidates
from amodal.prior.shape_prior import ShapePrior, averaged

if TYPE_CHECKING:
    import onnx

OPSET = 18
MOST_CANDIDATES = 1000
"""Masks for re-scoring are computed of so many candidates at most: a graph cannot stop early as the model does."""
FAR = 1e30


def export_onnx(model: AmodalRCNN, categories: Sequence[Category], path: str | Path) -> None:
    """Writes the model as ONNX, whole or not at all.

    The graph takes `image`, float32 (3, H, W), RGB in [0, 1], and gives `boxes` (N, 4) in its pixels, `labels` (N,),
    `scores` (N,), and `amodal` and `visible` (N, S, S), probabilities over the boxes, of what the model predicts.
    `score_threshold` is a second input that may be left out: no work is done for objects that score less.

    Args:
        model: In evaluation mode, on any device.
        categories: Kept in the file, for the predictor.
        path: The file to write.

    Raises:
        UserError: The `onnx` package is missing.
    """
    onnx = onnx_package()
    traceable = Traceable(model).eval()
    example = torch.rand(3, 211, 307)
    names = ["boxes", "labels", "scores", *traceable.mask_names(example)]
    with replacing(path) as temporary, warnings.catch_warnings():
        # The tracer warns of every Python number it freezes; the tests compare other sizes with PyTorch instead.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            traceable,
            (example, torch.tensor(0.0)),
            str(temporary),
            input_names=[INPUT, SCORE_THRESHOLD],
            output_names=names,
            dynamic_axes={INPUT: {1: "height", 2: "width"}, **{name: {0: "objects"} for name in names}},
            opset_version=OPSET,
            dynamo=False,
        )
        graph = onnx.load(temporary)
        _set_constants(graph, {"model.boxes.threshold": model.boxes.config.score_threshold, SCORE_THRESHOLD: 0.0})
        about = {"kind": KIND, "categories": json.dumps([asdict(category) for category in categories])}
        if (duplicates := model.boxes.config.duplicate_threshold) is not None:
            about[DUPLICATES] = str(duplicates)
        onnx.helper.set_model_props(graph, about)
        onnx.save(graph, temporary)


class Traceable(nn.Module):
    """An `AmodalRCNN` for one image at a time, free of what tracing cannot record. The given model is not changed."""

    def __init__(self, model: AmodalRCNN) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu()
        for part in list(self.model.modules()):
            for name, child in part.named_children():
                if type(child) in REPLACED:
                    setattr(part, name, REPLACED[type(child)](child))

    def forward(self, image: Float[Tensor, "3 H W"], score_threshold: Float[Tensor, ""]) -> tuple[Tensor, ...]:
        """Boxes, labels, scores, and the masks that `mask_names` names."""
        ((encoded, candidates),) = self.model.candidates([image])
        regions, scores, masks = self.choose(encoded, candidates, score_threshold)
        found = [mask for mask in (masks.amodal, masks.visible) if mask is not None]
        return (regions.boxes / encoded.scale.repeat(2), regions.labels, scores, *found)

    @torch.inference_mode()
    def mask_names(self, image: Float[Tensor, "3 H W"]) -> list[str]:
        """Which masks the model predicts, in the order of `forward`."""
        ((encoded, candidates),) = self.model.candidates([image])
        masks = self.choose(encoded, candidates, torch.tensor(0.0))[2]
        return [name for name in ("amodal", "visible") if getattr(masks, name) is not None]

    def choose(
        self, encoded: Encoded, candidates: Candidates, score_threshold: Tensor
    ) -> tuple[Regions, Tensor, RegionMasks]:
        """As `AmodalRCNN.choose`, but that masks are computed at once, where it stops when no more can matter."""
        branch, config, features = self.model.branch, self.model.boxes.config, encoded.features
        bounds = branch.rescored(candidates.scores, ())  # what a score can become at most
        chosen = candidates.at(torch.where(bounds >= score_threshold)[0])
        if branch.rescores:
            chosen = Candidates(*(part[:MOST_CANDIDATES] for part in (chosen.boxes, chosen.labels, chosen.scores)))
        else:
            chosen = chosen.at(suppressed(chosen, encoded.size, config.nms_threshold)[: config.detections_per_image])
        regions, scores = all_regions([chosen.boxes], [chosen.labels]), chosen.scores
        padded = one_more(regions, scores, branch.looks_from)
        masks = branch.predict(features, padded).at(torch.where(scores >= 0)[0])  # all but that one
        masks = masks.within(encoded.size)
        if branch.rescores:
            scores = branch.rescored(scores, masks.factors)
            kept = suppressed(Candidates(chosen.boxes, chosen.labels, scores), encoded.size, config.nms_threshold)
            kept = kept[scores[kept] >= score_threshold][: config.detections_per_image]
            regions, scores, masks = regions[kept], scores[kept], masks.at(kept)
        if masks.boxes is None:
            return regions, scores, masks
        scores = branch.rescored(scores, masks.factors)
        fitted = Candidates(masks.boxes, regions.labels, scores)
        kept = suppressed(fitted, encoded.size, config.nms_threshold)
        kept = kept[scores[kept] >= score_threshold]
        return replace(regions[kept], boxes=masks.boxes[kept]), scores[kept], masks.at(kept)


class TraceableBoxes(BoxStage):
    """`BoxStage` for one image, whose candidates are not counted; its threshold is a constant of the graph."""

    def __init__(self, stage: BoxStage) -> None:
        nn.Module.__init__(self)
        self.config, self.pool, self.head = stage.config, REPLACED[RegionPooler](stage.pool), stage.head
        self.predictor, self.coder = stage.predictor, stage.coder
        # Everything passes while tracing, so that no step is recorded for no objects; `_set_constants` mends it.
        self.register_buffer("threshold", torch.tensor(-1.0))

    threshold: Tensor

    def candidates(
        self, features: dict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Candidates]:
        """As `BoxStage.candidates`."""
        return [self.above_threshold(*self.classified(features, proposals), sizes[0], self.threshold)]

    def best_first(self, scores: Float[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """As `BoxStage.best_first`, but that ONNX has no sort that keeps equal ones as they are."""
        return scores.argsort(descending=True)


class TraceablePooler(nn.Module):
    """`RegionPooler`, its rows put in order by sorting instead of by writing into a buffer of known length."""

    def __init__(self, pooler: RegionPooler) -> None:
        super().__init__()
        self.side, self.sampling_ratio, self.level_of = pooler.side, pooler.sampling_ratio, pooler.level_of

    def forward(self, features: dict[str, Tensor], regions: Regions) -> Float[Tensor, "R C S S"]:
        """Features of every region, in the order of the regions."""
        boxes = torch.cat([regions.images[:, None].to(regions.boxes), regions.boxes], 1)
        assigned = self.level_of([regions.boxes])
        chosen = [torch.where(assigned == index)[0] for index in range(len(STRIDES))]
        crops = [
            roi_align(features[str(index)], boxes[chosen[index]], self.side, 1 / stride, self.sampling_ratio, True)
            for index, stride in enumerate(STRIDES)
        ]
        return torch.cat(crops)[torch.cat(chosen).argsort()]


class TraceablePrior(nn.Module):
    """`ShapePrior`, all classes' codes compared at once, their shapes decoded beforehand.

    The graph holds two tables: the shapes as the mask branch sees them, averaged over 2 x 2 cells, and as the distance
    does, a bit for each cell.
    """

    def __init__(self, prior: ShapePrior) -> None:
        super().__init__()
        self.autoencoder = prior.autoencoder
        classes = range(prior.num_classes)
        shapes = torch.cat([prior.shapes(index).cpu() for index in classes])
        owners = torch.cat([torch.full((int(prior.codebook.counts[index]),), index) for index in classes])
        codes = torch.cat([prior.codebook.codes[index, : prior.codebook.counts[index]].cpu() for index in classes])
        self.register_buffer("directions", -2 * codes.T)
        self.register_buffer("lengths", codes.square().sum(1))
        self.register_buffer("owners", owners)
        self.register_buffer("known", averaged(shapes))
        self.register_buffer("bits", torch.from_numpy(np.packbits(shapes.flatten(1).numpy() > 0.5, axis=1)))
        self.register_buffer("places", 2 ** torch.arange(7, -1, -1, dtype=torch.int32))
        self.fewest = int(prior.codebook.counts.min())

    directions: Tensor
    lengths: Tensor
    owners: Tensor
    known: Tensor
    bits: Tensor
    places: Tensor

    def nearest(
        self, embeddings: Float[Tensor, "R D"], classes: Int64[Tensor, " R"], k: int
    ) -> tuple[Int64[Tensor, "R {k}"], Bool[Tensor, "R {k} 1 1"]]:
        """Places of the k nearest codes of each region's class in the tables, and whether there are that many."""
        ranking = embeddings @ self.directions + self.lengths + (self.owners != classes[:, None]).float() * FAR
        most = len(self.owners)
        if k > most:  # as many codes as are asked for, if only to find them wanting
            ranking = nn.functional.pad(ranking, (0, k - most), value=FAR)
        ranked, indices = ranking.topk(k, largest=False)
        indices = indices.clamp(max=most - 1) if k > most else indices
        return indices, (ranked < FAR / 2)[:, :, None, None]

    def averages(
        self, query: Float[Tensor, "R 28 28"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R {k} 14 14"]:
        """As `ShapePrior.averages`."""
        embeddings = self.autoencoder.encode(query[:, None])
        indices, is_known = self.nearest(embeddings, classes, k)
        shapes = self.known[indices]
        if self.fewest >= k:
            return shapes
        return torch.where(is_known, shapes, averaged(self.autoencoder.decode(embeddings)))

    def distance(self, masks: Bool[Tensor, "R 28 28"], classes: Int64[Tensor, " R"]) -> Float[Tensor, " R"]:
        """As `ShapePrior.distance`."""
        embeddings = self.autoencoder.encode(masks[:, None].float())
        indices, is_known = self.nearest(embeddings, classes, 1)
        bits = self.bits[indices[:, 0]].to(torch.int32)[:, :, None] & self.places
        nearest = (bits != 0).reshape(masks.shape)
        if self.fewest == 0:
            own, is_there = self.autoencoder.decode(embeddings)[:, 0] > 0.5, is_known[:, 0]
            nearest = (nearest & is_there) | (own & ~is_there)  # ONNX Runtime cannot choose between bools
        return (masks ^ nearest).float().mean((1, 2))


REPLACED: dict[type[nn.Module], Callable[..., nn.Module]] = {
    BoxStage: TraceableBoxes,
    Convolution: traceable_convolution,
    RegionPooler: TraceablePooler,
    ShapePrior: TraceablePrior,
}
"""Parts that rely on what tracing forgets, wherever in a model they stand, and what computes the same."""


def one_more(regions: Regions, scores: Float[Tensor, " R"], looks_from: float) -> Regions:
    """The regions, scored, and one of a pixel at their end. It scores 0, or 1 where no other reaches `looks_from`.

    With it no part of a branch ever sees no region, of which ONNX Runtime cannot tell what shape its maps have: a model
    would fail on pictures in which nothing is found, or nothing looked at twice.
    """
    best = torch.cat([scores, scores.new_zeros(1)]).amax(0, keepdim=True)
    own = (best < looks_from).to(scores.dtype)
    extra = all_regions([scores.new_tensor([[0.0, 0.0, 1.0, 1.0]])], [regions.labels.new_ones(1)])
    images, boxes, labels = (
        torch.cat([getattr(regions, name), getattr(extra, name)]) for name in ("images", "boxes", "labels")
    )
    return replace(regions, images=images, boxes=boxes, labels=labels, scores=torch.cat([scores, own]))


def suppressed(candidates: Candidates, size: tuple[int, int], iou: float) -> Int64[Tensor, " M"]:
    """As `rescoring.suppress` in an image of `size`, best first: classes are moved apart by more than the image.

    torchvision's `batched_nms` asks whether there are boxes at all, which tracing would settle for good.
    """
    apart = (candidates.labels * (sides(size).max() + 1))[:, None]
    return nms(candidates.boxes + apart, candidates.scores, iou)


def _set_constants(graph: "onnx.ModelProto", values: dict[str, float]) -> None:
    """Puts numbers in the place of those that the graph was traced with; for an input, what it is if left out."""
    from onnx.numpy_helper import from_array

    for name, value in values.items():
        kept = [each for each in graph.graph.initializer if each.name != name]
        del graph.graph.initializer[:]
        graph.graph.initializer.extend([*kept, from_array(np.array(value, dtype=np.float32), name)])
