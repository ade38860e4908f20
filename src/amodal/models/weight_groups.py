"""Which weights learn alike: decayed or not, pretrained or not."""

from typing import Any

from torch import nn

BODIES = ("backbone.body.", "branch.look.body.", "body.")
"""What the names of pretrained weights begin with, in a detector and in a completer."""


def weight_groups(model: nn.Module, weight_decay: float, body_share: float = 1.0) -> list[dict[str, Any]]:
    """The trainable weights in an optimiser's groups; vectors (biases, scales of normalisation) are not decayed.

    Args:
        model: What is trained.
        weight_decay: Of weights.
        body_share: Learning rate of the backbone's pretrained body as a share of the others'; `share` of its groups.
    """
    named = [(name, weight) for name, weight in model.named_parameters() if weight.requires_grad]
    bodies = BODIES if body_share < 1 else ()
    body = [weight for name, weight in named if name.startswith(bodies)]
    rest = [weight for name, weight in named if not name.startswith(bodies)]
    return [
        {
            "params": [weight for weight in weights if (weight.ndim > 1) == is_decayed],
            "weight_decay": weight_decay if is_decayed else 0.0,
            "share": share,
        }
        for weights, share in ((rest, 1.0), (body, body_share))
        if weights
        for is_decayed in (True, False)
    ]
