"""What a model is built from, as data. No torch, so that commands and recipes can be read without it."""

from dataclasses import dataclass, field
from typing import Literal

Method = Literal["vrsp", "mask_rcnn", "two_heads", "orcnn", "sln", "aisformer", "bcnet", "vrsp_r"]


@dataclass(frozen=True)
class BackboneConfig:
    """The feature extractor under the FPN."""

    name: str = "resnet50"
    """`resnet18`, `resnet50` or `resnet101` (torchvision), or any timm model that gives feature maps."""
    weights: str = "imagenet"
    """`imagenet` (downloaded by torchvision or timm), `efficientnet_lite0` (inside an installed package, no
    download), `none`, or a file of weights."""
    frozen_stages: int = 2
    """How many stages, counted from the image, keep their weights: 2 is the stem and the first stage."""
    fpn_channels: int = 256
    """Channels of every FPN level."""


@dataclass(frozen=True)
class DetectorConfig:
    """Proposals and boxes; torchvision's Mask R-CNN numbers unless said otherwise."""

    min_size: tuple[int, ...] = (800,)
    """Images are resized to a short side of one of these (at random in training, the last at inference)..."""
    max_size: int = 1333
    """...unless the long side would pass this one."""
    anchor_sizes: tuple[int, ...] = (32, 64, 128, 256, 512)
    """One anchor size for each FPN level, in resized pixels."""
    canonical_size: int = 224
    """Side of a region, in resized pixels, whose features are pooled from level 4 of the pyramid; half of it is pooled
    from level 3, and so on. 224 is seven times the standard anchors' smallest size."""
    proposals_training: int = 2000
    """Proposals kept after the RPN's NMS in training."""
    proposals_inference: int = 1000
    """Proposals kept after the RPN's NMS at inference."""
    regions_per_image: int = 512
    """Regions sampled for the box loss of each image; at most a quarter are positive and go to the mask branch."""
    box_width: int = 1024
    """Width of the box head's two fully connected layers."""
    score_threshold: float = 0.05
    """Class scores below this are no candidates."""
    nms_threshold: float = 0.5
    """Candidates of one class overlapping a better one by more than this IoU are dropped."""
    duplicate_threshold: float | None = None
    """Detections whose visible masks overlap a better one's by more than this IoU, of whatever class, lose score: the
    same thing is not found as a dog and as a cat (`amodal.results.duplicates`). None leaves them, as published methods
    do."""
    detections_per_image: int = 100
    """At most this many objects are reported for an image."""


@dataclass(frozen=True)
class MaskConfig:
    """Mask heads: 14x14 region features to 28x28 logits."""

    width: int = 256
    """Channels of every convolution."""
    num_convs: int = 4
    """3x3 convolutions before the deconvolution: 4, or 8 for Mask R-CNN (C8)."""
    truth: Literal["amodal", "visible"] = "amodal"
    """Which mask Mask R-CNN learns. The other methods learn both."""
    loss_weight: float = 1.0
    """Weight of the mask branch's losses beside the detector's. A branch of many passes outweighs a detector that
    shares its backbone: less than 1 lets boxes and classes learn sooner."""


@dataclass(frozen=True)
class VRSPConfig:
    """The paper's method and its switches (paper, Tables 2 and 3; equations 1 to 6)."""

    semantics: Literal["paper", "reference"] = "paper"
    """Follow the paper's text, or the authors' code, wherever the two differ."""
    attention: Literal["self", "visible", "cross", "ours"] = "ours"
    """Table 3: which coarse or refined mask attends to which (rows a, b, c, d)."""
    visible_attention: bool = True
    """Table 2: the refined amodal mask sees the features of the visible region only."""
    reclassification: bool = True
    """Table 2: classify again from the visible region's features."""
    reclassification_rescoring: bool = True
    """Whether the second opinion on the class corrects the score; without, it is a regularizer of training alone, as
    in the authors' settings for KINS."""
    prior_refinement: bool = True
    """Table 2: the nearest shapes of the prior are fused into the amodal head's input."""
    prior_rescoring: bool = True
    """Table 2: masks far from any known shape lose score before NMS."""
    feature_matching: bool = True
    """Table 2: the coarse and refined passes of a head are pulled to like features."""
    guided_pass: bool = True
    """Train a third pass through the heads, guided by the true masks, as the authors' code always does; the paper does
    not tell of it. It costs nothing at inference."""
    matching_target: Literal["refined", "detached", "guided"] | None = None
    """What feature matching pulls the coarse pass towards: the refined pass (the paper), the same without its gradient,
    or the guided pass without its gradient (the authors' code). None: as `semantics` has it."""
    matching_reaches_trunk: bool = True
    """Whether feature matching trains the backbone too, or the mask heads alone."""
    num_shapes: int = 16
    """Shapes looked up for each region (the paper's k)."""
    alpha: float = 2.0
    """Re-scoring's tolerance in `reference` semantics: 2, or 3 for KINS."""
    reclassification_weight: float = 0.25
    """Weight of the re-classification loss (lambda_rc in equation 2)."""
    reclassification_width: int = 1024
    """Width of the re-classification's two fully connected layers."""


@dataclass(frozen=True)
class VRSPRConfig:
    """What this project's own method adds to VRSP."""

    growth: float = 0.2
    """How much wider and higher than its box a region is, as a share: 0.2 is a tenth on every side."""
    overlap_weight: float = 0.25
    """Weight of the masks' overlap (Dice) beside the cells' cross-entropy; 0 leaves it out."""
    look_width: int = 64
    """Channels of the decoder that draws the masks from a region's cut-out; 0 leaves the second look out."""
    look_threshold: float = 0.1
    """Detections that the detector scores less keep their coarse masks: they are many, and hardly ever right."""
    class_weight: float = 0.03
    """Weight of the second look's own classification, which corrects the score; 0 leaves the score alone."""
    mask_rescoring: bool = True
    """The score is multiplied by how sure both masks are of the cells that they claim."""
    look_weights: str = "efficientnet_lite0"
    """Weights of the body that reads the cut-outs: `efficientnet_lite0` (inside an installed package), `none`, or a
    file of EfficientNet-Lite0's weights."""


@dataclass(frozen=True)
class SLNConfig:
    """Semantics-aware layering network."""

    levels: int = 3
    """Depth levels of an object: 1 is visible, 1 + n lies beneath n others, the last holds all deeper ones."""
    context_channels: int = 16
    """Channels that the image-wide overlap map adds to each region's features."""
    union: Literal["sum", "any", "logsumexp"] = "sum"
    """How the amodal mask follows from the levels: the sum of their logits (the authors' code), the probability that a
    cell is on any of them, or the logarithm of the logits' summed exponentials."""


@dataclass(frozen=True)
class ModelConfig:
    """A whole model. The number of classes comes from the data set's categories."""

    method: Method = "vrsp"
    """Which mask branch stands on the detector."""
    backbone: BackboneConfig = field(default_factory=BackboneConfig)
    detector: DetectorConfig = field(default_factory=DetectorConfig)
    mask: MaskConfig = field(default_factory=MaskConfig)
    vrsp: VRSPConfig = field(default_factory=VRSPConfig)
    sln: SLNConfig = field(default_factory=SLNConfig)
    vrsp_r: VRSPRConfig = field(default_factory=VRSPRConfig)
