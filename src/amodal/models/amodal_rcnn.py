"""READ FIRST. Image -> features -> proposals -> boxes and classes -> the masks of one method."""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.models.detection.image_list import ImageList
from torchvision.models.detection.rpn import RegionProposalNetwork
from torchvision.models.detection.transform import GeneralizedRCNNTransform

from amodal import masks
from amodal.instances import Prediction, Target
from amodal.models.boxes import BoxStage, all_regions
from amodal.models.config import DetectorConfig
from amodal.models.regions import BatchTruth, MaskBranch, RegionMasks, Regions
from amodal.models.rescoring import Candidates, Wanted, suppress_rescored

MASK_FIELDS = ("amodal", "visible", "coarse_amodal", "coarse_visible")
STEP_CPU, STEP_GPU = 16, 128
"""Candidates whose masks are looked at in one go: few on a CPU, which is busy with them; many fill a GPU."""


class AmodalRCNN(nn.Module):
    """Boxes, classes and two masks for every object: the visible part and the whole (amodal) shape.

    Built outside from ready parts (`amodal.models.zoo`); the methods differ only in their mask branch.
    """

    def __init__(
        self,
        resize: GeneralizedRCNNTransform,
        backbone: nn.Module,
        propose: RegionProposalNetwork,
        boxes: BoxStage,
        branch: MaskBranch,
    ) -> None:
        super().__init__()
        self.resize, self.backbone, self.propose, self.boxes = resize, backbone, propose, boxes
        self.branch = branch
        self.coarse = False
        """Whether predictions hold the coarse masks too, of a method that has them."""

    def forward(
        self, images: list[Float[Tensor, "3 _ _"]], targets: list[Target] | None = None
    ) -> dict[str, Tensor] | list[Prediction]:
        """Losses in training, predictions otherwise.

        Args:
            images: RGB in [0, 1], any sizes.
            targets: One for each image, in training.

        Returns:
            In training the losses by name, each a scalar to be summed. Otherwise a Prediction for each image, boxes
            and masks in the image's own pixels, best score first.
        """
        batch, sized = self.resize(images, None if targets is None else [_boxes_only(t) for t in targets])
        features = self.backbone(batch.tensors)
        proposals, losses = self.propose(batch, features, sized)
        if not self.training:
            return self.detect(images, batch, features, proposals)
        if targets is None:
            raise ValueError("training needs targets")
        regions, box_losses = self.boxes.losses(features, proposals, sized)
        truth = BatchTruth(targets, _scales(images, batch))
        return losses | box_losses | self.branch.losses(features, regions, truth)

    def detect(
        self, images: list[Tensor], batch: ImageList, features: dict[str, Tensor], proposals: list[Tensor]
    ) -> list[Prediction]:
        """Candidates, suppression (with re-scoring where the branch has it), masks, back to the images' pixels."""
        candidates = self.boxes.candidates(features, proposals, batch.image_sizes)
        predictions = []
        for index, (image, scale) in enumerate(zip(images, _scales(images, batch), strict=True)):
            own = {level: maps[index : index + 1] for level, maps in features.items()}
            regions, scores, found = self.choose(own, candidates[index])
            predictions.append(paste(regions, scores, found, scale, (image.shape[-2], image.shape[-1])))
        return predictions

    def choose(
        self, features: dict[str, Tensor], candidates: Candidates, least: float = 0.0
    ) -> tuple[Regions, Tensor, RegionMasks]:
        """One image's detections that score at least `least`: regions, final scores, masks."""
        config: DetectorConfig = self.boxes.config
        regions = all_regions([candidates.boxes], [candidates.labels])
        look = self.branch.look(features, regions, candidates.scores)
        bounded = Candidates(candidates.boxes, candidates.labels, look.bounds)
        wanted = Wanted(config.nms_threshold, config.detections_per_image, least)
        step = STEP_CPU if candidates.boxes.device.type == "cpu" else STEP_GPU
        kept, scores = suppress_rescored(bounded, look.corrections, wanted, step)
        return regions[kept], scores, look.masks(kept, coarse=self.coarse)

    def complete(self, images: list[Tensor], boxes: list[Tensor], labels: list[Tensor]) -> list[Prediction]:
        """Masks of objects that someone else has found: the mask branch alone, no detector.

        Args:
            images: RGB in [0, 1].
            boxes: Amodal boxes of each image, (N, 4) xyxy in its own pixels.
            labels: Their classes, (N,) from 1.

        Returns:
            A Prediction for each image in the order of its boxes, scores as the branch's own factors have them.
        """
        batch, _ = self.resize(images)
        features = self.backbone(batch.tensors)
        predictions = []
        for index, (image, scale) in enumerate(zip(images, _scales(images, batch), strict=True)):
            own = {level: maps[index : index + 1] for level, maps in features.items()}
            regions = all_regions([boxes[index] * scale.repeat(2)], [labels[index]])
            everything = torch.arange(len(regions), device=image.device)
            look = self.branch.look(own, regions, torch.ones(len(regions), device=image.device))
            scores = look.bounds
            for correct in look.corrections:
                scores = correct(everything)
            found = look.masks(everything, coarse=self.coarse)
            predictions.append(paste(regions, scores, found, scale, (image.shape[-2], image.shape[-1])))
        return predictions


def paste(
    regions: Regions, scores: Tensor, found: RegionMasks, scale: Float[Tensor, " 2"], size: tuple[int, int]
) -> Prediction:
    """Detections of one image in its own pixels; visible masks are kept within the amodal ones."""
    boxes = regions.boxes / scale.repeat(2)
    pasted: dict[str, Tensor] = {}
    for name in MASK_FIELDS:  # amodal masks before the visible ones that they hold
        probabilities = getattr(found, name)
        if probabilities is not None:
            within = pasted.get(f"{name.replace('visible', 'amodal')}_masks")
            pasted[f"{name}_masks"] = masks.paste(probabilities.float(), boxes, size, within=within)
            if name.endswith("amodal"):
                pasted[f"{name}_probabilities"] = probabilities
    return {"boxes": boxes, "labels": regions.labels, "scores": scores, **pasted}  # type: ignore[typeddict-item]


def _boxes_only(target: Target) -> dict[str, Tensor]:
    """What the detector needs; masks stay in the image's own pixels and are cropped from there."""
    known = {"boxes": target["boxes"], "labels": target["labels"]}
    return known | {"exact": target["exact"]} if "exact" in target else known


def _scales(images: list[Tensor], batch: ImageList) -> Float[Tensor, "B 2"]:
    """Resized over own size of each image, (x, y)."""
    pairs = zip(batch.image_sizes, images, strict=True)
    ratios = [[size[1] / image.shape[-1], size[0] / image.shape[-2]] for size, image in pairs]
    return torch.tensor(ratios, device=batch.tensors.device)
