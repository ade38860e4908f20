"""torchvision's Mask R-CNN with the parts, sizes and weights of one of our models: same work, their code."""

import copy
from typing import Any

import torch
from torch import Tensor
from torchvision.models.detection import MaskRCNN
from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.faster_rcnn import FastRCNNPredictor, TwoMLPHead
from torchvision.models.detection.mask_rcnn import MaskRCNNHeads, MaskRCNNPredictor
from torchvision.models.detection.rpn import RPNHead
from torchvision.ops import MultiScaleRoIAlign

from amodal.instances import Target
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import POOLED_SIDE, POSITIVE_SHARE
from amodal.models.config import ModelConfig
from amodal.models.mask_head import MaskHead
from amodal.models.methods.vrsp import VRSP
from amodal.models.methods.vrsp_r import VRSPR
from amodal.models.zoo import IMAGENET_MEAN, IMAGENET_STD, MASK_SIDE

LEVELS = ["0", "1", "2", "3"]


def torchvision_mask_rcnn(model: AmodalRCNN, config: ModelConfig, num_classes: int) -> MaskRCNN:
    """The rival of a VRSP or VRSP-R model, in its mode: its backbone, weights of detector and amodal head, copied."""
    detector, channels, width = config.detector, config.backbone.fpn_channels, config.mask.width
    anchors = AnchorGenerator(tuple((size,) for size in detector.anchor_sizes), ((0.5, 1.0, 2.0),) * 5)
    rival: Any = MaskRCNN(
        copy.deepcopy(model.backbone),
        min_size=detector.min_size,  # type: ignore[arg-type]
        max_size=detector.max_size,
        image_mean=IMAGENET_MEAN,
        image_std=IMAGENET_STD,
        rpn_anchor_generator=anchors,
        rpn_head=RPNHead(channels, anchors.num_anchors_per_location()[0]),
        rpn_pre_nms_top_n_train=detector.proposals_training,
        rpn_post_nms_top_n_train=detector.proposals_training,
        rpn_pre_nms_top_n_test=detector.proposals_inference,
        rpn_post_nms_top_n_test=detector.proposals_inference,
        box_roi_pool=MultiScaleRoIAlign(LEVELS, POOLED_SIDE, 2),
        box_head=TwoMLPHead(channels * POOLED_SIDE**2, detector.box_width),
        box_predictor=FastRCNNPredictor(detector.box_width, num_classes + 1),
        box_score_thresh=detector.score_threshold,
        box_nms_thresh=detector.nms_threshold,
        box_detections_per_img=detector.detections_per_image,
        box_batch_size_per_image=detector.regions_per_image,
        box_positive_fraction=POSITIVE_SHARE,
        mask_roi_pool=MultiScaleRoIAlign(LEVELS, MASK_SIDE, 2),
        mask_head=MaskRCNNHeads(channels, (width,) * config.mask.num_convs, 1),
        mask_predictor=MaskRCNNPredictor(width, width, num_classes + 1),
    )
    rival.rpn.head.load_state_dict(model.propose.head.state_dict())
    rival.roi_heads.box_head.load_state_dict(model.boxes.head.state_dict())
    rival.roi_heads.box_predictor.load_state_dict(model.boxes.predictor.state_dict())
    assert isinstance(model.branch, VRSP | VRSPR)
    _fill_mask_head(rival, model.branch.amodal_head)
    return rival.train(model.training)


@torch.no_grad()
def _fill_mask_head(rival: Any, head: MaskHead) -> None:
    theirs = list(rival.roi_heads.mask_head.parameters())
    for parameter, own in zip(theirs, head.convs.parameters(), strict=True):
        parameter.copy_(own)
    predictor = rival.roi_heads.mask_predictor
    predictor.conv5_mask.load_state_dict(head.deconv.state_dict())
    for parameter, own in zip(predictor.mask_fcn_logits.parameters(), head.predictor.parameters(), strict=True):
        parameter[1:].copy_(own)  # theirs has a mask of the background too


def their_targets(targets: list[Target]) -> list[dict[str, Tensor]]:
    """Amodal masks as torchvision takes masks."""
    return [{"boxes": t["boxes"], "labels": t["labels"], "masks": t["amodal_masks"].to(torch.uint8)} for t in targets]
