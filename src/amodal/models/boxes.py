"""The box stage: proposals matched and sampled for training, classified and refined into candidates at inference."""

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torchvision.models.detection import _utils as detection
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.roi_heads import fastrcnn_loss
from torchvision.ops import box_iou, clip_boxes_to_image, remove_small_boxes

from amodal.models.config import DetectorConfig
from amodal.models.regions import RegionPooler, Regions
from amodal.models.rescoring import Candidates

POOLED_SIDE = 7
MATCH_IOU = 0.5
POSITIVE_SHARE = 0.25
SMALLEST_SIDE = 1e-2


class BoxStage(nn.Module):
    """Classes and boxes of proposals, as in Faster R-CNN (Ren et al. 2015) with torchvision's parts.

    Boxes and labels of targets are in the resized images' pixels.
    """

    def __init__(self, in_channels: int, num_classes: int, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        self.pool = RegionPooler(POOLED_SIDE, config.canonical_size)
        self.head = TwoMLPHead(in_channels * POOLED_SIDE**2, config.box_width)
        self.predictor = FastRCNNPredictor(config.box_width, num_classes + 1)
        self.coder = detection.BoxCoder((10.0, 10.0, 5.0, 5.0))
        self.matcher = detection.Matcher(MATCH_IOU, MATCH_IOU, allow_low_quality_matches=False)
        self.sampler = detection.BalancedPositiveNegativeSampler(config.regions_per_image, POSITIVE_SHARE)

    def losses(
        self, features: dict[str, Tensor], proposals: list[Tensor], targets: list[dict[str, Tensor]]
    ) -> tuple[Regions, dict[str, Tensor]]:
        """Samples proposals against the truth; the positive ones, and the losses of class and box.

        The box of an object that is not `exact` is that of its visible part, which is nearly the whole one's: what
        is cut off it is little beside a proposal's error.
        """
        samples = [
            self._sample(boxes, target, image)
            for image, (boxes, target) in enumerate(zip(proposals, targets, strict=True))
        ]
        boxes, labels, images, owners = (torch.cat(parts) for parts in zip(*samples, strict=True))
        sampled = Regions(boxes, labels, images, owners)
        logits, deltas = self.predictor(self.head(self.pool(features, sampled)))
        wanted = self._wanted_deltas(sampled, targets)
        loss_class, loss_box = fastrcnn_loss(logits.float(), deltas.float(), [sampled.labels], [wanted])
        return sampled[sampled.labels > 0], {"loss_classifier": loss_class, "loss_box_reg": loss_box}

    def candidates(
        self, features: dict[str, Tensor], proposals: list[Tensor], sizes: list[tuple[int, int]]
    ) -> list[Candidates]:
        """Every (proposal, class) above the score threshold, by image, best first, before suppression."""
        counts = [len(boxes) for boxes in proposals]
        boxes, scores = (values.split(counts) for values in self.classified(features, proposals))
        least = self.config.score_threshold
        return [self.above_threshold(*each, least) for each in zip(boxes, scores, sizes, strict=True)]

    def classified(
        self, features: dict[str, Tensor], proposals: list[Tensor]
    ) -> tuple[Float[Tensor, "P K 4"], Float[Tensor, "P K"]]:
        """The box of every (proposal, class), in resized pixels, and its probability."""
        logits, deltas = self.predictor(self.head(self.pool(features, all_regions(proposals))))
        decoded = self.coder.decode(deltas.float(), proposals)
        boxes = decoded.view(deltas.shape[0], deltas.shape[1] // 4, 4)[:, 1:]  # flat where none is proposed
        return boxes, logits.float().softmax(-1)[:, 1:]

    def _sample(self, proposals: Tensor, target: dict[str, Tensor], image: int) -> tuple[Tensor, ...]:
        """Boxes, labels (0 for background), image index and owner of one image's sample."""
        boxes = torch.cat([proposals, target["boxes"].to(proposals)])
        labels, owners = boxes.new_zeros(len(boxes), dtype=torch.int64), boxes.new_zeros(len(boxes), dtype=torch.int64)
        if len(target["boxes"]):
            matched = self.matcher(box_iou(target["boxes"].to(boxes), boxes))
            owners = matched.clamp(min=0)
            labels = torch.where(matched >= 0, target["labels"][owners], 0)
        (positive,), (negative,) = self.sampler([labels])
        keep = torch.where(positive | negative)[0]
        return boxes[keep], labels[keep], torch.full_like(keep, image), owners[keep]

    def _wanted_deltas(self, sampled: Regions, targets: list[dict[str, Tensor]]) -> Tensor:
        assert sampled.owners is not None
        wanted = sampled.boxes.clone()
        for image, target in enumerate(targets):
            chosen = torch.where((sampled.images == image) & (sampled.labels > 0))[0]
            wanted[chosen] = target["boxes"].to(wanted)[sampled.owners[chosen]]
        return self.coder.encode([wanted], [sampled.boxes])[0]

    def above_threshold(
        self, boxes: Float[Tensor, "P K 4"], scores: Float[Tensor, "P K"], size: tuple[int, int], least: float | Tensor
    ) -> Candidates:
        """Those of one image of `size` (height, width) that score more than `least`, cut to the image, best first."""
        rows, classes = torch.where(scores > least)
        kept_boxes, kept_scores = clip_boxes_to_image(boxes[rows, classes], size), scores[rows, classes]
        large = remove_small_boxes(kept_boxes, SMALLEST_SIDE)
        order = large[self.best_first(kept_scores[large])]
        return Candidates(kept_boxes[order], classes[order] + 1, kept_scores[order])

    def best_first(self, scores: Float[Tensor, " N"]) -> Int64[Tensor, " N"]:
        """The order of falling scores; equal ones stay as they are."""
        return scores.argsort(descending=True, stable=True)


def all_regions(boxes: list[Tensor], labels: list[Tensor] | None = None) -> Regions:
    """The boxes of all images as one batch of regions; labels 0 where none are given."""
    together = torch.cat(boxes)
    images = torch.cat([torch.full_like(own[:, 0], i, dtype=torch.int64) for i, own in enumerate(boxes)])
    return Regions(together, torch.zeros_like(images) if labels is None else torch.cat(labels), images)
