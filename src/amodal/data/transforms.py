"""Random changes to a training sample: torchvision's transforms, on the image and both masks alike."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from amodal import masks
from amodal.data.config import AugmentConfig
from amodal.data.dataset import Sample
from amodal.instances import Target, select

PADDING: dict[type | str, int | float | Sequence[int] | Sequence[float] | None] = {
    tv_tensors.Image: 124,
    tv_tensors.Mask: 0,
}
"""What a picture zoomed out is framed with: the mean grey of photographs, and no object."""


def transforms(config: AugmentConfig, size: tuple[int, int]) -> v2.Transform:
    """The transforms of one image of size (H, W)."""
    steps: list[v2.Transform] = [v2.RandomHorizontalFlip(config.flip)]
    if config.zoom is not None:
        steps += [v2.ScaleJitter(size, config.zoom), v2.RandomCrop(size, pad_if_needed=True, fill=PADDING)]
    if config.colour > 0:
        steps.append(v2.ColorJitter(config.colour, config.colour, config.colour))
    return v2.Compose(steps)


def augment(sample: Sample, config: AugmentConfig, seed: int) -> Sample:
    """The sample changed at random, the same for the same seed; no other random state is touched.

    Boxes are measured anew around the changed amodal masks, and objects that a crop left nothing of are dropped. An
    object cut by the border of the image is amodal up to that border, as in the field's data sets.
    """
    target = sample["target"]
    height, width = sample["image"].shape[-2:]
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        image, amodal, visible = transforms(config, (height, width))(
            tv_tensors.Image(sample["image"]),
            tv_tensors.Mask(target["amodal_masks"]),
            tv_tensors.Mask(target["visible_masks"]),
        )
    changed = target.copy()
    changed["amodal_masks"], changed["visible_masks"] = _plain(amodal), _plain(visible)
    changed["boxes"] = masks.boxes(changed["amodal_masks"])
    return {"image": _plain(image), "target": _without_empty(changed), "image_id": sample["image_id"]}


def _plain(tensor: Tensor) -> Tensor:
    return tensor.as_subclass(Tensor).contiguous()


def _without_empty(target: Target) -> Target:
    keep = masks.areas(target["amodal_masks"]) > 0
    return target if bool(keep.all()) else select(target, keep)
