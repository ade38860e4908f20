"""Which weights learn alike: decayed or not, pretrained or not."""

from typing import Any

from torch import nn

BODIES = ("backbone.body.", "body.")
"""What the names of pretrained weights begin with, in a detector and in a completer."""


def weight_groups(model: nn.Module, weight_decay: float, body_share: float = 1.0) -> list[dict[str, Any]]:
    """The trainable weights in an optimiser's groups; vectors (biases, scales of normalisation) are not decayed.

    Args:
        model: What is trained.
        weight_decay: Of weights.
        body_share: Learning rate of the backbone's pretrained body as a share of the others'; `share` of its groups.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    is_body = [body_share < 1 and name.startswith(BODIES) for name, _ in named]
    groups = []
    for body, share in ((False, 1.0), (True, body_share))[: 1 + any(is_body)]:
        weights = [weight for (_, weight), inside in zip(named, is_body, strict=True) if inside == body]
        decayed = [weight for weight in weights if weight.ndim > 1]
        vectors = [weight for weight in weights if weight.ndim <= 1]
        groups += [
            {"params": decayed, "weight_decay": weight_decay, "share": share},
            {"params": vectors, "weight_decay": 0.0, "share": share},
        ]
    return groups
