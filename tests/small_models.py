"""Models small enough for tests: random weights, a few channels; and scenes of rectangles."""

from collections.abc import Sequence
from dataclasses import replace

import torch

from amodal import masks
from amodal.instances import Target
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.config import BackboneConfig, DetectorConfig, MaskConfig, ModelConfig, VRSPConfig, VRSPRConfig
from amodal.models.zoo import build, needs_prior
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.shape_prior import ShapePrior

NUM_CLASSES = 3
# timm's network for tests has a hundredth of ResNet-18's weights, and a step takes a thirtieth of its time. Its group
# norms keep features, and all that follows, from fading with random weights.
TINY = ModelConfig(
    backbone=BackboneConfig("test_efficientnet_gn", "none", frozen_stages=0, fpn_channels=8),
    detector=DetectorConfig(
        min_size=(64,),
        anchor_sizes=(8, 16, 32, 64, 96),
        proposals_training=50,
        proposals_inference=20,
        regions_per_image=16,
        box_width=16,
        detections_per_image=10,
    ),
    mask=MaskConfig(width=4, num_convs=1),
    vrsp=VRSPConfig(num_shapes=2, reclassification_width=8),
    vrsp_r=VRSPRConfig(look_width=4, look_weights="none"),
)
"""For what is trained in a test."""
SMALL = replace(
    TINY,
    detector=replace(TINY.detector, max_size=96, proposals_inference=30, score_threshold=0.01),
    mask=MaskConfig(width=8),
    vrsp=replace(TINY.vrsp, num_shapes=4),
)
"""With all convolutions, and with random weights never without detections."""


def small_prior(shapes: Sequence[int] = (6,) * NUM_CLASSES) -> ShapePrior:
    """With so many shapes of each class."""
    return ShapePrior(MaskAutoencoder(3), CodeBook.from_classes([torch.randn(number, 128) for number in shapes]))


def small_model(config: ModelConfig, seed: int = 0, shapes: Sequence[int] = (6,) * NUM_CLASSES) -> AmodalRCNN:
    torch.manual_seed(seed)
    return build(config, NUM_CLASSES, small_prior(shapes) if needs_prior(config) else None)


def with_resnet(config: ModelConfig) -> ModelConfig:
    """The same on ResNet-18: torchvision's, with norms that are frozen."""
    return replace(config, backbone=replace(config.backbone, name="resnet18"))


def with_method(method: str, **vrsp) -> ModelConfig:
    return replace(SMALL, method=method, vrsp=replace(SMALL.vrsp, **vrsp))


def scene(num_objects: int = 3, height: int = 64, width: int = 80, seed: int = 0) -> tuple[torch.Tensor, Target]:
    """Noise with rectangles in depth order, the first in front."""
    generator = torch.Generator().manual_seed(seed)
    amodal = torch.zeros(num_objects, height, width, dtype=torch.bool)
    for layer in amodal:
        top, left = torch.randint(0, 30, (2,), generator=generator).tolist()
        layer[top : top + 24, left : left + 30] = True
    visible = amodal.clone()
    for i in range(1, num_objects):
        visible[i] &= ~amodal[:i].any(0)
    labels = torch.randint(1, NUM_CLASSES + 1, (num_objects,), generator=generator)
    target: Target = {
        "boxes": masks.boxes(amodal),
        "labels": labels,
        "amodal_masks": amodal,
        "visible_masks": visible,
    }
    return torch.rand(3, height, width, generator=generator), target
