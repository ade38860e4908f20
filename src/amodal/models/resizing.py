"""Images of any shape brought to the size that a model works at."""

import math
from collections.abc import Sequence

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform

LARGE = 8
"""An image of so many times the pixels that are left of it is not made floats of before: most are never looked at."""


class Resize(GeneralizedRCNNTransform):
    """torchvision's, and also for images so thin that their short side would shrink to nothing.

    Outside training images may be uint8, and colours are normalised after the image is resized, where there are fewer
    of them: for the same numbers but for rounding.
    """

    def normalize(self, image: Tensor) -> Tensor:
        """The image, normalised where `resize` does not do it."""
        return super().normalize(image) if self.training else image

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """The image and its boxes at the working size; a side that would vanish is drawn out first."""
        if not torch.jit.is_tracing():  # type: ignore[reportPrivateImportUsage] - a graph asks no such question
            image, target = self._thickened(image, target)
            if image.dtype == torch.uint8:
                size = self._size(*image.shape[-2:])
                if image[0].numel() > LARGE * math.prod(size):
                    return super().normalize(shrunk(image, size)), target
                image = image.float() / 255
        image, target = super().resize(image, target)
        return (image if self.training else super().normalize(image)), target

    def alike(self, images: Sequence[Tensor]) -> list[list[int]]:
        """Indices of images that come to one size with the padding of each alone, outside training.

        Only such images may share a batch where answers matter: the pyramid sees the padding, so that one image's
        would change another's answer.
        """
        groups: dict[tuple[int, ...], list[int]] = {}
        for index, image in enumerate(images):
            sides = tuple(-(-side // self.size_divisible) for side in self._size(*self._thick(*image.shape[-2:])))
            groups.setdefault(sides, []).append(index)
        return list(groups.values())

    def _size(self, height: int, width: int) -> tuple[int, int]:
        """Height and width after resizing, outside training."""
        shortest: int = self.min_size[-1]  # type: ignore[index]  # torchvision says that it is one number
        scale = min(shortest / min(height, width), self.max_size / max(height, width))
        return int(height * scale), int(width * scale)

    def _thickened(self, image: Tensor, target: dict[str, Tensor] | None) -> tuple[Tensor, dict[str, Tensor] | None]:
        sides = image.shape[-2:]
        times = self._times(*sides)
        if times > 1:
            thin = 0 if sides[0] < sides[1] else 1  # 0: the height
            image = image.repeat_interleave(times, dim=thin - 2)
            if target is not None:
                factors = torch.ones(4).index_fill_(0, torch.tensor([1 - thin, 3 - thin]), times)
                target = target | {"boxes": target["boxes"] * factors.to(target["boxes"])}
        return image, target

    def _times(self, height: int, width: int) -> int:
        """How often the short side is drawn out."""
        return math.ceil(max(height, width) / self.max_size / min(height, width))

    def _thick(self, height: int, width: int) -> tuple[int, int]:
        """Height and width, drawn out."""
        times = self._times(height, width)
        return (height * times, width) if height < width else (height, width * times)


def shrunk(image: UInt8[Tensor, "3 H W"], size: tuple[int, int]) -> Float[Tensor, "3 h w"]:
    """A large image at another size in [0, 1], as `F.interpolate` (bilinear) makes it, from the pixels it looks at."""
    (rows, down), (columns, across) = (
        _neighbours(*lengths, image.device) for lengths in zip(image.shape[1:], size, strict=True)
    )
    seen = image[:, rows.flatten()][:, :, columns.flatten()].float()
    lines = (seen.unflatten(2, columns.shape) * across).sum(2)
    return (lines.unflatten(1, rows.shape) * down[:, :, None]).sum(1) / 255


def _neighbours(
    length: int, number: int, device: torch.device
) -> tuple[Int64[Tensor, "2 {number}"], Float[Tensor, "2 {number}"]]:
    """Along one axis: the two pixels that each of `number` samples lies between, and their weights."""
    places = ((torch.arange(number, device=device) + 0.5) * (length / number) - 0.5).clamp(min=0)
    first = places.long()
    share = places - first
    return torch.stack([first, (first + 1).clamp(max=length - 1)]), torch.stack([1 - share, share])
