"""Models from their settings: every part nested here, with its numbers in sight."""

from collections.abc import Callable
from dataclasses import replace

from torchvision.models.detection.anchor_utils import AnchorGenerator
from torchvision.models.detection.rpn import RegionProposalNetwork, RPNHead

from amodal.errors import UserError
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.backbones import build_backbone
from amodal.models.boxes import BoxStage
from amodal.models.branch import MaskBranch
from amodal.models.config import DetectorConfig, ModelConfig
from amodal.models.mask_head import MaskHead
from amodal.models.methods.aisformer import AISFormer
from amodal.models.methods.bcnet import BCNet
from amodal.models.methods.mask_rcnn import MaskRCNN
from amodal.models.methods.orcnn import ORCNN
from amodal.models.methods.sln import SIDE as SLN_SIDE
from amodal.models.methods.sln import SLN
from amodal.models.methods.two_heads import TwoHeads
from amodal.models.methods.vrsp import VRSP
from amodal.models.methods.vrsp_r import VRSPR
from amodal.models.reclassification import Reclassifier
from amodal.models.regions import RegionPooler
from amodal.models.resizing import Resize
from amodal.models.second_look import SecondLook
from amodal.prior.shape_prior import ShapePrior

IMAGENET_MEAN, IMAGENET_STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
MASK_SIDE = 14
"""Cells across a region's features for the mask heads; masks have twice as many."""


def build(
    config: ModelConfig, num_classes: int, prior: ShapePrior | None = None, *, pretrained: bool = True
) -> AmodalRCNN:
    """The model that the settings describe.

    Args:
        config: Method, sizes and switches.
        num_classes: K, without background.
        prior: The shape prior; VRSP needs one if a switch that uses it is on.
        pretrained: Load the backbone's weights; False when a checkpoint is about to fill them.

    Raises:
        UserError: The prior is missing, or knows another number of classes; or the backbone could not be downloaded.
    """
    backbone = build_backbone(config.backbone, pretrained=pretrained)
    detector = config.detector
    return AmodalRCNN(
        resize=Resize(detector.min_size, detector.max_size, IMAGENET_MEAN, IMAGENET_STD),  # type: ignore[arg-type]
        backbone=backbone,
        propose=_rpn(backbone.out_channels, detector),
        boxes=BoxStage(backbone.out_channels, num_classes, detector),
        branch=build_branch(config if pretrained else _without_weights(config), num_classes, prior),
        branch_weight=config.mask.loss_weight,
    )


def build_branch(config: ModelConfig, num_classes: int, prior: ShapePrior | None = None) -> MaskBranch:
    """The mask branch alone: what `build` stands on the detector."""
    return _BRANCHES[config.method](config, num_classes, prior)


def _without_weights(config: ModelConfig) -> ModelConfig:
    return replace(config, vrsp_r=replace(config.vrsp_r, look_weights="none"))


def needs_prior(config: ModelConfig) -> bool:
    """Whether `build` wants a shape prior."""
    if config.method == "vrsp_r":
        return config.vrsp.prior_refinement
    return config.method == "vrsp" and (config.vrsp.prior_refinement or config.vrsp.prior_rescoring)


def _rpn(channels: int, config: DetectorConfig) -> RegionProposalNetwork:
    anchors = AnchorGenerator(
        tuple((size,) for size in config.anchor_sizes), ((0.5, 1.0, 2.0),) * len(config.anchor_sizes)
    )
    kept = {"training": config.proposals_training, "testing": config.proposals_inference}
    return RegionProposalNetwork(
        anchors,
        RPNHead(channels, anchors.num_anchors_per_location()[0]),
        fg_iou_thresh=0.7,
        bg_iou_thresh=0.3,
        batch_size_per_image=256,
        positive_fraction=0.5,
        pre_nms_top_n=kept,
        post_nms_top_n=kept,
        nms_thresh=0.7,
    )


def _pool(config: ModelConfig) -> RegionPooler:
    return RegionPooler(MASK_SIDE, config.detector.canonical_size)


def _head(config: ModelConfig, num_classes: int) -> MaskHead:
    return MaskHead(config.backbone.fpn_channels, config.mask.width, config.mask.num_convs, num_classes)


def _mask_rcnn(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    return MaskRCNN(_pool(config), _head(config, num_classes), config.mask.truth)


def _two_heads(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    return TwoHeads(_pool(config), _head(config, num_classes), _head(config, num_classes))


def _orcnn(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    return ORCNN(_pool(config), _head(config, num_classes), _head(config, num_classes))


def _sln(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    pool = RegionPooler(SLN_SIDE, config.detector.canonical_size)
    return SLN(pool, config.backbone.fpn_channels, config.mask.width, config.sln)


def _aisformer(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    return AISFormer(_pool(config), config.backbone.fpn_channels, config.mask.width)


def _bcnet(config: ModelConfig, num_classes: int, _: ShapePrior | None) -> MaskBranch:
    return BCNet(_pool(config), config.backbone.fpn_channels, config.mask.width)


def _prior(config: ModelConfig, num_classes: int, prior: ShapePrior | None) -> ShapePrior | None:
    if not needs_prior(config):
        return None
    if prior is None:
        raise UserError("VRSP needs a shape prior", remedy="Make one with `amodal prior fit`, or switch off its use")
    if prior.num_classes != num_classes:
        raise UserError(
            f"the shape prior knows {prior.num_classes} classes, the data has {num_classes}",
            remedy="Fit it on this data set's categories",
        )
    return prior


def _vrsp_r(config: ModelConfig, num_classes: int, prior: ShapePrior | None) -> MaskBranch:
    own, known, look = config.vrsp_r, _prior(config, num_classes, prior), None
    if own.look_width:
        num_shapes = 0 if known is None else config.vrsp.num_shapes
        look = SecondLook(own.look_weights, own.look_width, num_shapes, num_classes)
    heads = _head(config, num_classes), _head(config, num_classes)
    return VRSPR(_pool(config), heads, look, known, (config.vrsp, own))


def _vrsp(config: ModelConfig, num_classes: int, prior: ShapePrior | None) -> MaskBranch:
    reclassifier: Reclassifier | None = None
    if config.vrsp.reclassification:
        flat = config.backbone.fpn_channels * MASK_SIDE**2
        reclassifier = Reclassifier(flat, config.vrsp.reclassification_width, num_classes)
    heads = _head(config, num_classes), _head(config, num_classes)
    return VRSP(_pool(config), heads, reclassifier, _prior(config, num_classes, prior), config.vrsp)


_BRANCHES: dict[str, Callable[[ModelConfig, int, ShapePrior | None], MaskBranch]] = {
    "mask_rcnn": _mask_rcnn,
    "orcnn": _orcnn,
    "sln": _sln,
    "two_heads": _two_heads,
    "aisformer": _aisformer,
    "bcnet": _bcnet,
    "vrsp": _vrsp,
    "vrsp_r": _vrsp_r,
}
