"""Images of any shape brought to the size that a model works at."""

import math

import torch
from torch import Tensor
from torchvision.models.detection.transform import GeneralizedRCNNTransform


class Resize(GeneralizedRCNNTransform):
    """torchvision's, and also for images so thin that their short side would shrink to nothing."""

    def resize(self, image: Tensor, target: dict[str, Tensor] | None = None) -> tuple[Tensor, dict[str, Tensor] | None]:
        """The image and its boxes at the working size; a side that would vanish is drawn out first."""
        if torch.jit.is_tracing():  # type: ignore[reportPrivateImportUsage] - a graph asks no such question
            return super().resize(image, target)
        sides = image.shape[-2:]
        times = math.ceil(max(sides) / self.max_size / min(sides))
        if times > 1:
            thin = 0 if sides[0] < sides[1] else 1  # 0: the height
            image = image.repeat_interleave(times, dim=thin - 2)
            if target is not None:
                factors = torch.ones(4).index_fill_(0, torch.tensor([1 - thin, 3 - thin]), times)
                target = target | {"boxes": target["boxes"] * factors.to(target["boxes"])}
        return super().resize(image, target)
