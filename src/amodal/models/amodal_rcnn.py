"""READ FIRST. Image -> features -> proposals -> boxes and classes -> the masks of one method."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork

from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.instances import Prediction, Target, as_known
from amodal.models.boxes import BoxStage, all_regions
from amodal.models.branch import MaskBranch, RegionMasks
from amodal.models.prompting import cropped, grown, named
from amodal.models.regions import IMAGE, BatchTruth, Regions
from amodal.models.rescoring import Candidates, SuppressionLimits, suppress, suppress_rescored
from amodal.models.resizing import Resize
from amodal.results.duplicates import lower_duplicates

Image = Float[Tensor, "3 _ _"] | UInt8[Tensor, "3 _ _"]
Answer = TypeVar("Answer")
STEP_CPU, STEP_GPU = 16, 128
"""Candidates whose masks are looked at in one go: few on a CPU, which is busy with them; many fill a GPU."""


@dataclass(frozen=True)
class Encoded:
    """One image after the backbone.

    Attributes:
        features: The pyramid's levels, each (1, C, h, w), and the resized image itself (`IMAGE`).
        size: Height and width of the resized image.
        scale: Resized over own size, (x, y).
    """

    features: dict[str, Tensor]
    size: tuple[int, int]
    scale: Float[Tensor, " 2"]


class AmodalRCNN(nn.Module):
    """Boxes, classes and two masks for every object: the visible part and the whole (amodal) shape.

    Built outside from ready parts (`amodal.models.zoo`); the methods differ only in their mask branch.
    """

    def __init__(
        self,
        resize: Resize,
        backbone: nn.Module,
        propose: RegionProposalNetwork,
        boxes: BoxStage,
        branch: MaskBranch,
        branch_weight: float = 1.0,
    ) -> None:
        super().__init__()
        self.resize, self.backbone, self.propose, self.boxes = resize, backbone, propose, boxes
        self.branch, self.branch_weight = branch, branch_weight

    def forward(self, images: list[Image], targets: list[Target] | None = None) -> dict[str, Tensor] | list[Prediction]:
        """Losses in training, predictions otherwise.

        Args:
            images: RGB in [0, 1], any sizes; uint8 does for predictions.
            targets: One for each image, in training.

        Returns:
            In training the losses by name, each a scalar to be summed. Otherwise what `detect` finds as a Prediction
            for each image, masks in the image's own pixels.
        """
        if not self.training:
            return [as_prediction(*each) for each in zip(self.detect(images), images, strict=True)]
        if targets is None:
            raise ValueError("training needs targets")
        batch, sized = self.resize(images, [_boxes_only(target) for target in targets])
        features = self.backbone(batch.tensors)
        proposals, losses = self.propose(batch, features, sized)
        regions, box_losses = self.boxes.losses(features, proposals, sized)
        truth = BatchTruth([as_known(target) for target in targets], _scales(images, batch))
        if not self.branch.learns_visible_alone and (exact := truth.exact(regions)) is not None:
            regions = regions[exact]
        mask_losses = self.branch.losses(features | {IMAGE: batch.tensors}, regions, truth)
        return losses | box_losses | {name: self.branch_weight * loss for name, loss in mask_losses.items()}

    def detect(self, images: list[Image], *, score_threshold: float = 0.0, coarse: bool = False) -> list[BoxedMasks]:
        """The objects of each image: candidates, suppression (with re-scoring where the branch has it), masks.

        What is found twice then loses score, where the settings ask for it. Each image is answered as if it were alone.

        Args:
            images: RGB, any sizes: floats in [0, 1], or uint8.
            score_threshold: Objects that score less are left out, and little work is done for them.
            coarse: Also give the coarse masks of a branch that refines them.
        """
        found = [
            as_boxed(*self.choose(encoded, candidates, score_threshold, coarse=coarse), encoded)
            for encoded, candidates in self._alike_at_once(images, self.candidates)
        ]
        iou = self.boxes.config.duplicate_threshold
        sizes = [(image.shape[-2], image.shape[-1]) for image in images]
        return [lower_duplicates(each, size, iou, score_threshold) for each, size in zip(found, sizes, strict=True)]

    def complete(self, images: list[Image], prompts: Sequence[Prompts], *, coarse: bool = False) -> list[BoxedMasks]:
        """Masks of objects that someone else has found, in their order: the mask branch, and no detector.

        Args:
            images: RGB, any sizes: floats in [0, 1], or uint8.
            prompts: One for each image.
            coarse: Also give the coarse masks of a branch that refines them; not where visible masks are given.

        Returns:
            Scores are the branch's own factors of 1, or of the class's probability where the model named the object.
        """
        encoded = self._alike_at_once(images, lambda alike: self.encode(alike)[2])
        return [self._complete(*each, coarse=coarse) for each in zip(encoded, prompts, strict=True)]

    def _alike_at_once(self, images: list[Image], answer: Callable[[list[Image]], list[Answer]]) -> list[Answer]:
        """What `answer` makes of the images, in their order, asked of such as are padded alike alone (`Resize`)."""
        found: dict[int, Answer] = {}
        for which in self.resize.alike(images):
            found.update(zip(which, answer([images[index] for index in which]), strict=True))
        return [found[index] for index in range(len(images))]

    def encode(self, images: list[Tensor]) -> tuple[ImageList, dict[str, Tensor], list[Encoded]]:
        """The resized batch, its features, and each image's share of them."""
        device = next(self.parameters()).device
        batch, _ = self.resize([image.to(device) for image in images])
        features = self.backbone(batch.tensors)
        everything = features | {IMAGE: batch.tensors}
        own = [{name: maps[i : i + 1] for name, maps in everything.items()} for i in range(len(images))]
        parts = zip(own, batch.image_sizes, _scales(images, batch), strict=True)
        return batch, features, [Encoded(*part) for part in parts]

    def candidates(self, images: list[Tensor]) -> list[tuple[Encoded, Candidates]]:
        """Each image with its boxes before suppression, in resized pixels, best first."""
        batch, features, encoded = self.encode(images)
        proposals, _ = self.propose(batch, features)
        return list(zip(encoded, self.boxes.candidates(features, proposals, batch.image_sizes), strict=True))

    def choose(
        self, image: Encoded, candidates: Candidates, score_threshold: float = 0.0, *, coarse: bool = False
    ) -> tuple[Regions, Tensor, RegionMasks]:
        """One image's detections, best first: regions, final scores, masks."""
        config = self.boxes.config
        regions = all_regions([candidates.boxes], [candidates.labels])
        lazy = self.branch.on_demand(image.features, regions, candidates.scores)
        bounded = Candidates(candidates.boxes, candidates.labels, lazy.bounds)
        limits = SuppressionLimits(config.nms_threshold, config.detections_per_image, score_threshold)
        step = STEP_CPU if candidates.boxes.device.type == "cpu" else STEP_GPU
        kept, scores = suppress_rescored(bounded, lazy.corrections, limits, step)
        found = lazy.masks(kept, coarse=coarse).within(image.size)
        if found.boxes is None:
            return regions[kept], scores, found
        scores = self.branch.rescored(candidates.scores[kept], found.factors)
        # Boxes that were fitted to their masks: what lay apart may now be the same object.
        left = suppress(Candidates(found.boxes, regions.labels[kept], scores), config.nms_threshold)
        left = left[scores[left] >= score_threshold]
        found = found.at(left)
        return replace(regions[kept[left]], boxes=found.boxes), scores[left], found

    def _complete(self, image: Encoded, prompts: Prompts, *, coarse: bool) -> BoxedMasks:
        features, scale = image.features, image.scale.repeat(2)
        boxes = torch.from_numpy(prompts.boxes).to(scale.device) * scale
        if prompts.labels is None:
            labels, scores = named(self.boxes, features, boxes)
        else:
            labels, scores = torch.from_numpy(prompts.labels).to(boxes.device), torch.ones_like(boxes[:, 0])
        if prompts.box_kind == "visible":
            boxes = grown(self.boxes, features, boxes, labels, image.size)
        regions = all_regions([boxes], [labels])
        if prompts.visible is not None:
            found = self.branch.complete(features, regions, cropped(prompts.visible, boxes / scale))
            return as_boxed(regions, self.branch.rescored(scores, found.factors), found, image)
        lazy, everything = self.branch.on_demand(features, regions, scores), torch.arange(len(regions)).to(labels)
        for correct in lazy.corrections:
            scores = correct(everything)
        found = lazy.masks(everything, coarse=coarse).over(regions.boxes)
        return as_boxed(regions, self.branch.rescored(scores, found.factors) if found.factors else scores, found, image)


def as_boxed(regions: Regions, scores: Tensor, found: RegionMasks, image: Encoded) -> BoxedMasks:
    """One image's objects in its own pixels, off the device."""

    def array(values: Tensor) -> np.ndarray:
        return values.detach().float().cpu().numpy()

    masks = (found.amodal, found.visible, found.coarse_amodal, found.coarse_visible)
    boxes, labels = array(regions.boxes / image.scale.repeat(2)), regions.labels.cpu().numpy()
    return BoxedMasks(boxes, labels, array(scores), *(None if mask is None else array(mask) for mask in masks))


def as_prediction(found: BoxedMasks, image: Tensor) -> Prediction:
    """The objects as torchvision's models answer, on the image's device."""
    amodal, visible = found.pasted((image.shape[-2], image.shape[-1]))
    fields = {"boxes": found.boxes, "labels": found.labels, "scores": found.scores}
    masks = {"amodal_masks": amodal, "visible_masks": visible, "amodal_probabilities": found.amodal}
    fields |= {name: value for name, value in masks.items() if value is not None}
    return {name: torch.from_numpy(value).to(image.device) for name, value in fields.items()}  # type: ignore[return-value]


def _boxes_only(target: Target) -> dict[str, Tensor]:
    """What the detector needs; masks stay in the image's own pixels and are cropped from there."""
    return {"boxes": target["boxes"], "labels": target["labels"]}


def _scales(images: list[Tensor], batch: ImageList) -> Float[Tensor, "B 2"]:
    """Resized over own size of each image, (x, y)."""
    pairs = zip(batch.image_sizes, images, strict=True)
    ratios = [sides(resized) / sides(image.shape[-2:]) for resized, image in pairs]
    return torch.stack(ratios).to(batch.tensors.device)


def sides(size: Sequence[int | Tensor]) -> Float[Tensor, "2"]:
    """(width, height) of a size (height, width), as a tensor that stays part of the graph where one is traced."""
    height, width = (torch.as_tensor(length).float() for length in size)
    return torch.stack([width, height])
