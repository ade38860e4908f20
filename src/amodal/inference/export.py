"""A whole model as ONNX: one graph from an image of any size to boxes, classes, scores and masks over the boxes.

PyTorch's tracer records tensor operations and forgets Python: loops over regions, lists of counts, early exits. The
parts of the model that rely on those are replaced here, each by one that computes the same without them, so that the
model itself need not know of the export.
"""

import contextlib
import copy
import io
import json
import warnings
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.ops import nms, remove_small_boxes, roi_align

from amodal.annotations import Category
from amodal.errors import UserError
from amodal.files import replacing
from amodal.inference.onnx import INPUT, KIND
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import SMALLEST_SIDE
from amodal.models.regions import STRIDES, RegionMasks, RegionPooler, Regions
from amodal.models.vrsp import VRSP
from amodal.prior.shape_prior import ShapePrior

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

    Args:
        model: In evaluation mode, on any device.
        categories: Kept in the file, for the predictor.
        path: The file to write.

    Raises:
        UserError: The `onnx` package is missing.
    """
    try:
        import onnx
    except ImportError as error:
        raise UserError("onnx is not installed", remedy="pip install 'amodal[onnx]'") from error
    traceable = Traceable(model).eval()
    example = torch.rand(3, 211, 307)
    names = ["boxes", "labels", "scores", *traceable.mask_names(example)]
    with replacing(path) as temporary, warnings.catch_warnings():
        # The tracer warns of every Python number it freezes; the tests compare other sizes with PyTorch instead.
        warnings.simplefilter("ignore")
        torch.onnx.export(
            traceable,
            (example,),
            str(temporary),
            input_names=[INPUT],
            output_names=names,
            dynamic_axes={INPUT: {1: "height", 2: "width"}, **{name: {0: "objects"} for name in names}},
            opset_version=OPSET,
            dynamo=False,
        )
        graph = onnx.load(temporary)
        _set_threshold(graph, model.boxes.config.score_threshold)
        about = {"kind": KIND, "categories": json.dumps([asdict(category) for category in categories])}
        onnx.helper.set_model_props(graph, about)
        onnx.save(graph, temporary)


def to_int8(source: str | Path, target: str | Path) -> None:
    """Writes an exported model with weights of 8 bits: about a third of the size, and a little less exact.

    Activations are quantised while it runs, so that no calibration images are needed. Raises UserError if ONNX
    Runtime is missing.
    """
    try:
        from onnxruntime import quantization
    except ImportError as error:
        raise UserError("onnxruntime is not installed", remedy="pip install 'amodal[onnx]'") from error
    with replacing(target) as temporary, contextlib.redirect_stdout(io.StringIO()):  # it prints shapes it cannot infer
        quantization.quantize_dynamic(str(source), str(temporary), weight_type=quantization.QuantType.QUInt8)


class Traceable(nn.Module):
    """An `AmodalRCNN` for one image at a time, free of what tracing cannot record. The given model is not changed."""

    def __init__(self, model: AmodalRCNN) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).cpu()
        # Everything passes while tracing, so that no step is recorded for no objects; `_set_threshold` mends it.
        self.register_buffer("threshold", torch.tensor(-1.0))
        self.model.boxes.pool = TraceablePooler(self.model.boxes.pool)  # type: ignore[assignment]
        branch = self.model.branch
        branch.pool = TraceablePooler(branch.pool)  # type: ignore[attr-defined]
        if isinstance(branch, VRSP) and branch.prior is not None:
            branch.prior = TraceablePrior(branch.prior, branch.config.num_shapes)  # type: ignore[assignment]

    threshold: Tensor

    def forward(self, image: Float[Tensor, "3 H W"]) -> tuple[Tensor, ...]:
        """Boxes, labels, scores, and the masks that `mask_names` names."""
        regions, scores, masks, scale = self.detect(image)
        found = [mask for mask in (masks.amodal, masks.visible) if mask is not None]
        return (regions.boxes / scale, regions.labels, scores, *found)

    @torch.inference_mode()
    def mask_names(self, image: Float[Tensor, "3 H W"]) -> list[str]:
        """Which masks the model predicts, in the order of `forward`."""
        masks = self.detect(image)[2]
        return [name for name in ("amodal", "visible") if getattr(masks, name) is not None]

    def detect(self, image: Tensor) -> tuple[Regions, Tensor, RegionMasks, Tensor]:
        """As `AmodalRCNN.detect` and `choose` for one image: regions, scores, masks, resized over own size as xyxy."""
        model, config = self.model, self.model.boxes.config
        batch, _ = model.resize([image])
        features = model.backbone(batch.tensors)
        proposals, _ = model.propose(batch, features)
        size = _size(batch.image_sizes[0])
        regions, scores = self.candidates(features, proposals[0], size)
        if model.branch.rescores:
            regions, scores = regions[slice(MOST_CANDIDATES)], scores[:MOST_CANDIDATES]
            masks = model.branch.predict(features, regions)
            scores = model.branch.rescored(scores, masks.factors)
            kept = suppressed(regions, scores, size, config.nms_threshold)[: config.detections_per_image]
            amodal, visible = (None if mask is None else mask[kept] for mask in (masks.amodal, masks.visible))
            masks = RegionMasks(amodal, visible)
            regions, scores = regions[kept], scores[kept]
        else:
            kept = suppressed(regions, scores, size, config.nms_threshold)[: config.detections_per_image]
            regions, scores = regions[kept], scores[kept]
            masks = model.branch.predict(features, regions)
        return regions, scores, masks, (size / _size(image.shape[-2:])).flip(0).repeat(2)

    def candidates(
        self, features: dict[str, Tensor], proposals: Float[Tensor, "P 4"], size: Float[Tensor, "2"]
    ) -> tuple[Regions, Float[Tensor, " N"]]:
        """As `BoxStage.candidates` for one image of `size` (height, width): best first."""
        stage = self.model.boxes
        nowhere = torch.zeros_like(proposals[:, 0], dtype=torch.int64)
        logits, deltas = stage.predictor(stage.head(stage.pool(features, Regions(proposals, nowhere, nowhere))))
        scores = logits.softmax(-1)[:, 1:]
        boxes = stage.coder.decode(deltas, [proposals])[:, 1:]
        rows, classes = torch.where(scores > self.threshold)
        limits = size.flip(0).repeat(2)
        found, values = torch.minimum(boxes[rows, classes].clamp(min=0), limits), scores[rows, classes]
        large = remove_small_boxes(found, SMALLEST_SIDE)
        order = large[values[large].argsort(descending=True)]
        labels = classes[order] + 1
        return Regions(found[order], labels, torch.zeros_like(labels)), values[order]


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
    """`ShapePrior`, all classes' codes compared at once, and decoded when they are found."""

    def __init__(self, prior: ShapePrior, most: int) -> None:
        super().__init__()
        self.autoencoder = prior.autoencoder
        codes, counts = prior.codebook.codes, prior.codebook.counts
        real = torch.arange(codes.shape[1])[None] < counts[:, None]
        owners = torch.where(real, torch.arange(len(codes))[:, None], -1).flatten()
        spare = max(0, most - len(owners))  # as many codes as are asked for, if only to find them wanting
        self.register_buffer("codes", nn.functional.pad(codes.flatten(0, 1), (0, 0, 0, spare)))
        self.register_buffer("owners", nn.functional.pad(owners, (0, spare), value=-1))

    codes: Tensor
    owners: Tensor

    def lookup(
        self, query: Float[Tensor, "R 28 28"], classes: Int64[Tensor, " R"], k: int
    ) -> Float[Tensor, "R {k} 28 28"]:
        """As `ShapePrior.lookup`."""
        embeddings = self.autoencoder.encode(query[:, None])
        ranking = self.codes.square().sum(1) - 2 * embeddings @ self.codes.T
        ranking = torch.where(self.owners == classes[:, None], ranking, torch.full_like(ranking, FAR))
        ranked, indices = ranking.topk(k, largest=False)
        shapes = self.autoencoder.decode(self.codes[indices].flatten(0, 1)).reshape(-1, k, *query.shape[1:])
        own = self.autoencoder.decode(embeddings)
        return torch.where((ranked < FAR / 2)[:, :, None, None], shapes, own)

    def distance(self, masks: Tensor, classes: Int64[Tensor, " R"]) -> Float[Tensor, " R"]:
        """As `ShapePrior.distance`, of bool masks."""
        nearest = self.lookup(masks.float(), classes, 1)[:, 0] > 0.5
        return (masks ^ nearest).float().mean((1, 2))


def suppressed(
    regions: Regions, scores: Float[Tensor, " N"], size: Float[Tensor, "2"], iou: float
) -> Int64[Tensor, " M"]:
    """Class-wise suppression, best first: classes are moved apart by more than the image.

    torchvision's `batched_nms` asks whether there are boxes at all, which tracing would settle for good.
    """
    apart = (regions.labels * (size.max() + 1))[:, None]
    return nms(regions.boxes + apart, scores, iou)


def _set_threshold(graph: "onnx.ModelProto", threshold: float) -> None:
    """Puts the real score threshold in the place of the one that the graph was traced with."""
    from onnx.numpy_helper import from_array

    (tensor,) = (each for each in graph.graph.initializer if each.name == "threshold")
    tensor.CopyFrom(from_array(np.array(threshold, dtype=np.float32), tensor.name))


def _size(shape: Sequence[int | Tensor]) -> Float[Tensor, "2"]:
    """(height, width) as a tensor that stays part of the graph while tracing."""
    return torch.stack([torch.as_tensor(length).float() for length in shape])
