"""How a shape prior is fitted, as settings."""

from dataclasses import dataclass
from typing import Literal

from amodal.errors import UserError


@dataclass(frozen=True)
class PriorConfig:
    """Auto-encoder and code book (paper: "Shape Prior"; 3 convolutions for D2SA and COCOA-cls, 2 for KINS)."""

    num_convs: Literal[2, 3] = 3
    """Convolutions of the auto-encoder each way: 3 give embeddings of 128 numbers, 2 of 392."""
    shapes_per_class: int = 1024
    """Shapes in the code book for each class: K-Means centres of the embeddings, or all of them if there are fewer."""
    masks_per_class: int = 4096
    """Masks of a class that its shapes are drawn from, a random choice if there are more. Each counts 8 times, turned
    and flipped."""
    steps: int = 2000
    """Training steps of the auto-encoder."""
    batch_size: int = 64
    """Masks in a training step."""
    learning_rate: float = 0.02
    """Highest learning rate of the auto-encoder's training (Adam, cosine)."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that cannot be."""
        for name in ("shapes_per_class", "masks_per_class", "steps", "batch_size", "learning_rate"):
            if getattr(self, name) <= 0:
                raise UserError("must be more than 0", record=f"prior {name}", remedy="Change the prior's settings")
