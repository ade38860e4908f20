"""The auto-encoder under the shape prior: a mask of 28x28 to a short embedding, and back."""

from collections.abc import Mapping
from typing import Self

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from amodal.errors import UserError
from amodal.tensor_files import require_fit

MASK_SIDE = 28
EMBEDDING_SIDES = {2: 7, 3: 4}
"""Side of the encoder's last map, by its number of convolutions."""


class MaskAutoencoder(nn.Module):
    """Strided convolutions down to an embedding, bilinear upsampling and convolutions back to a mask.

    Source: "Amodal Segmentation Based on Visible Region Segmentation and Shape Prior" (AAAI 2021), section
    "Shape Prior"; layer for layer the authors' released networks.

    Args:
        num_convs: Convolutions each way: 3 (embeddings of 16 x `channels`; D2SA and COCOA-cls in the paper) or
            2 (49 x `channels`; KINS).
        channels: Channels of every hidden map.
    """

    def __init__(self, num_convs: int = 3, channels: int = 8) -> None:
        super().__init__()
        if num_convs not in EMBEDDING_SIDES:
            raise UserError(f"a mask auto-encoder has 2 or 3 convolutions each way, not {num_convs}")
        side = EMBEDDING_SIDES[num_convs]
        inputs = [1, *[channels] * (num_convs - 1)]
        self.shape = (channels, side, side)
        self.encoder = nn.ModuleList(nn.Conv2d(width, channels, 3, stride=2, padding=1) for width in inputs)
        # Sides double on the way up: 7, 14, 28; but 4, 8, 16, where a convolution without padding makes 14.
        paddings = [0 if num_convs == 3 and index == 1 else 1 for index in range(num_convs)]
        self.decoder = nn.ModuleList(nn.Conv2d(channels, channels, 3, padding=padding) for padding in paddings)
        self.output = nn.Conv2d(channels, 1, 3, padding=1)
        for convolution in (*self.encoder, *self.decoder):
            assert isinstance(convolution, nn.Conv2d) and convolution.bias is not None
            nn.init.kaiming_normal_(convolution.weight, nonlinearity="relu")
            nn.init.zeros_(convolution.bias)

    @classmethod
    def from_tensors(cls, tensors: Mapping[str, Tensor]) -> Self:
        """The auto-encoder whose state these tensors are; its depth and width are read from them.

        Raises:
            UserError: They are not the state of a mask auto-encoder.
        """
        depth = sum(name.startswith("encoder.") and name.endswith(".weight") for name in tensors)
        if depth not in EMBEDDING_SIDES:
            raise UserError(f"these tensors hold {depth} encoder convolutions: no mask auto-encoder")
        channels = _channels(tensors.get("encoder.0.weight"))
        try:
            require_fit(lambda: cls(depth, channels), tensors)
            autoencoder = cls(depth, channels)
            autoencoder.load_state_dict(tensors)
        except (UserError, RuntimeError) as error:
            reason = error.problem if isinstance(error, UserError) else " ".join(str(error).split())
            raise UserError(f"no mask auto-encoder ({reason})") from error
        return autoencoder

    @property
    def embedding_size(self) -> int:
        """D: numbers in an embedding."""
        channels, height, width = self.shape
        return channels * height * width

    def encode(self, masks: Float[Tensor, "R 1 28 28"]) -> Float[Tensor, "R D"]:
        """Embeddings, none negative. Masks are in [0, 1] in training; the authors also embed raw logits."""
        hidden = masks
        for convolution in self.encoder:
            hidden = functional.relu(convolution(hidden))
        return hidden.flatten(1)

    def decode(self, embeddings: Float[Tensor, "R D"]) -> Float[Tensor, "R 1 28 28"]:
        """Masks as probabilities."""
        hidden = embeddings.unflatten(1, self.shape)
        for convolution in self.decoder:
            hidden = functional.interpolate(hidden, scale_factor=2, mode="bilinear", align_corners=True)
            hidden = functional.relu(convolution(hidden))
        return self.output(hidden).sigmoid()

    def forward(self, masks: Float[Tensor, "R 1 28 28"]) -> Float[Tensor, "R 1 28 28"]:
        """Reconstructions of `masks`, as probabilities."""
        return self.decode(self.encode(masks))


def _channels(weight: Tensor | None) -> int:
    """The width that the encoder's first convolution has; 1 where there is none."""
    return max(len(weight), 1) if weight is not None and weight.dim() else 1
