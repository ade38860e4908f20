"""Scenes as a frozen detector sees them: its feature pyramids and boxes, kept on disk.

Mask branches are trained and measured on them in a minute, since the backbone has done its work once for all.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from jaxtyping import Float, Int64
from safetensors.torch import load_file, save_file
from torch import Tensor
from torchvision.models.detection.image_list import ImageList
from torchvision.ops import box_iou
from tqdm import tqdm

from amodal.data.dataset import SampleSet
from amodal.errors import UserError
from amodal.files import replacing
from amodal.instances import Target, move
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.models.boxes import MATCH_IOU
from amodal.models.regions import IMAGE, STRIDES, BatchTruth, Regions
from amodal.models.rescoring import suppress

Boxes = Literal["true", "own"]
"""Whose boxes and classes the mask branches get: the truth's, or those that the detector found and that match it."""
LEVELS = (*(str(level) for level in range(len(STRIDES))), IMAGE)
FIELDS = ("boxes", "labels", "amodal_masks", "visible_masks", "depth_order")


@dataclass(frozen=True)
class MatchedBoxes:
    """One scene's detections that match a true object.

    Attributes:
        boxes: xyxy in the resized image's pixels.
        labels: As predicted, from 1.
        owners: The true object of each.
    """

    boxes: Float[Tensor, "N 4"]
    labels: Int64[Tensor, " N"]
    owners: Int64[Tensor, " N"]


@dataclass(frozen=True)
class Scenes:
    """Scenes of one size.

    Attributes:
        levels: Pyramid levels by name, and the resized images (`IMAGE`), float16 (scenes, C, h, w).
        targets: The truth, with its depth order.
        found: What the detector found.
        scale: Resized over own size, (x, y).
    """

    levels: dict[str, Tensor]
    targets: list[Target]
    found: list[MatchedBoxes]
    scale: Float[Tensor, " 2"]

    def __len__(self) -> int:
        return len(self.targets)

    def batch(self, which: list[int], boxes: Boxes, *, training: bool) -> tuple[dict[str, Tensor], Regions, BatchTruth]:
        """What a mask branch takes: features, regions and truth of these scenes.

        Args:
            which: Scenes by their place.
            boxes: The truth's or the detector's own.
            training: Classes are the truth's in training, as a detector's branch learns, whatever was predicted.
        """
        features = {level: maps[which].float() for level, maps in self.levels.items()}
        return features, self.regions(which, boxes, training=training), self.truth(which)

    def regions(self, which: list[int], boxes: Boxes, *, training: bool) -> Regions:
        """The regions of a batch."""
        parts = [self._regions(index, boxes, training=training) for index in which]
        return Regions(
            torch.cat([part.boxes for part in parts]),
            torch.cat([part.labels for part in parts]),
            torch.cat([torch.full_like(part.labels, place) for place, part in enumerate(parts)]),
            torch.cat([part.owners for part in parts]),
        )

    def truth(self, which: list[int]) -> BatchTruth:
        """The truth of a batch."""
        return BatchTruth([self.targets[i] for i in which], self.scale.repeat(len(which), 1))

    @property
    def device(self) -> torch.device:
        """Where all of it is."""
        return self.scale.device

    def to(self, device: torch.device) -> "Scenes":
        """All of it on a device."""
        found = [MatchedBoxes(*(part.to(device) for part in (f.boxes, f.labels, f.owners))) for f in self.found]
        levels = {level: maps.to(device) for level, maps in self.levels.items()}
        return Scenes(levels, [move(target, device) for target in self.targets], found, self.scale.to(device))

    def _regions(self, index: int, boxes: Boxes, *, training: bool) -> MatchedBoxes:
        target, found = self.targets[index], self.found[index]
        if boxes == "true":
            every = torch.arange(len(target["labels"]), device=self.device)
            return MatchedBoxes(target["boxes"] * self.scale.repeat(2), target["labels"], every)
        labels = target["labels"][found.owners] if training else found.labels
        return MatchedBoxes(found.boxes, labels, found.owners)

    def save(self, path: Path) -> None:
        """Writes one safetensors file, whole or not at all."""
        # With the channels last, as pooling on a CPU wants them.
        tensors = {f"level{name}": maps.permute(0, 2, 3, 1).contiguous() for name, maps in self.levels.items()}
        tensors["scale"] = self.scale
        tensors["counts"] = torch.tensor([[len(t["labels"]), len(f.labels)] for t, f in self.pairs()])
        for name in FIELDS:
            tensors[name] = torch.cat([target[name] for target in self.targets])  # type: ignore[literal-required]
        for name in ("boxes", "labels", "owners"):
            tensors[f"found_{name}"] = torch.cat([getattr(found, name) for found in self.found])
        with replacing(path) as temporary:
            save_file(tensors, temporary)

    def pairs(self) -> list[tuple[Target, MatchedBoxes]]:
        """Truth and findings, scene by scene."""
        return list(zip(self.targets, self.found, strict=True))

    @classmethod
    def load(cls, path: Path) -> "Scenes":
        """Reads what `save` wrote."""
        tensors = load_file(path)
        numbers, numbers_found = tensors["counts"].T.tolist()
        split = {name: tensors[name].split(numbers) for name in FIELDS}
        targets: list[Target] = [
            {name: split[name][index] for name in FIELDS}  # type: ignore[misc]
            for index in range(len(numbers))
        ]
        parts = [tensors[f"found_{name}"].split(numbers_found) for name in ("boxes", "labels", "owners")]
        found = [MatchedBoxes(*each) for each in zip(*parts, strict=True)]
        levels = {level: tensors[f"level{level}"].permute(0, 3, 1, 2) for level in LEVELS}
        return cls(levels, targets, found, tensors["scale"])


@torch.inference_mode()
def look(model: AmodalRCNN, samples: SampleSet, count: int) -> Scenes:
    """The first `count` samples as the detector sees them, on its device.

    Raises:
        UserError: Images differ in size, or the depth order is not known.
    """
    size = samples[0]["image"].shape[-2:]
    levels: dict[str, list[Tensor]] = {level: [] for level in LEVELS}
    targets, found = [], []
    scale = torch.ones(2, device=next(model.parameters()).device)
    for index in tqdm(range(count), desc="scenes", unit="scene"):
        sample = samples[index]
        if sample["image"].shape[-2:] != size or "depth_order" not in sample["target"]:
            raise UserError("needs images of one size with a known depth order", remedy="Name a recipe of scenes")
        target = move(sample["target"], scale.device)
        batch, _ = model.resize([sample["image"].to(scale.device).float() / 255])
        height, width = batch.image_sizes[0]
        scale = scale.new_tensor([width / size[1], height / size[0]])
        features = model.backbone(batch.tensors)
        for level in LEVELS:
            levels[level].append((batch.tensors if level == IMAGE else features[level]).half())
        targets.append(target)
        found.append(_found(model, batch, features, target["boxes"] * scale.repeat(2)))
    return Scenes({level: torch.cat(maps) for level, maps in levels.items()}, targets, found, scale)


def _found(
    model: AmodalRCNN, batch: ImageList, features: dict[str, Tensor], boxes: Float[Tensor, "N 4"]
) -> MatchedBoxes:
    """The best detection of each of the true boxes, where there is one that matches."""
    proposals, _ = model.propose(batch, features, None)
    (candidates,) = model.boxes.candidates(features, proposals, batch.image_sizes)
    kept = candidates.at(suppress(candidates, model.boxes.config.nms_threshold))
    overlaps, owners = box_iou(kept.boxes, boxes).max(1)
    near = torch.where(overlaps >= MATCH_IOU)[0].tolist()
    best = list({int(owners[index]): index for index in reversed(near)}.values())  # the first of each owner is left
    return MatchedBoxes(kept.boxes[best], kept.labels[best], owners[best])
