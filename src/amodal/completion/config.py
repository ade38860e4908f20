"""Settings of the completer and of its training."""

from dataclasses import dataclass, field

from amodal.synthesis.config import OcclusionConfig

KIND = "amodal completer"
"""What a completer's file says it is."""


@dataclass(frozen=True)
class CompleterConfig:
    """The network."""

    backbone: str = "tf_efficientnet_lite0"
    """A timm model with feature maps at strides 4, 8, 16 and 32."""
    widths: tuple[int, int, int, int] = (96, 64, 48, 32)
    """Channels of the decoder at strides 16, 8, 4 and 2."""
    prototypes: int = 64
    """Learnt shapes of the prior."""
    prototype_channels: int = 8
    """Maps of each learnt shape."""


@dataclass(frozen=True)
class CompleterTraining:
    """A training run of the completer on photographs with composed occlusion."""

    annotations: str
    """Photographs with masks of what is visible, in any format that is read."""
    images: str | None = None
    """Their folder, if it is not found near the annotations."""
    model: CompleterConfig = field(default_factory=CompleterConfig)
    weights: str = "efficientnet_lite0"
    """The backbone's first weights: `efficientnet_lite0` (inside an installed package), `imagenet`, `none`, a file."""
    start_from: str | None = None
    """A completer whose tensors are taken where they fit; None starts from the backbone's weights alone."""
    occlusion: OcclusionConfig = field(
        default_factory=lambda: OcclusionConfig(scale=(0.4, 1.5), occlusion_rate=(0.03, 0.75), untouched=0.1)
    )
    """How things are covered."""
    side: int = 256
    """Longer side of the photographs, in pixels."""
    drawn_share: float = 0.12
    """Share of scenes that are made of drawn objects alone, for other shapes than the photographs have."""
    steps: int = 9000
    """Steps of the whole run."""
    batch_size: int = 16
    """Crops of a step."""
    crops_per_scene: int = 2
    """Crops taken from each composed photograph."""
    lr: float = 1.5e-3
    """Highest learning rate (AdamW, one cycle)."""
    body_share: float = 1.0
    """Learning rate of the backbone's pretrained body as a share of the others'."""
    weight_decay: float = 1e-2
    """Of weights."""
    seed: int = 0
    """Of weights, scenes and crops."""
    save_every: int = 100
    """Steps between checkpoints."""
    workers: int = 1
    """Processes that compose scenes."""
