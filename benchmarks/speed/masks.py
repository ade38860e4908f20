"""Masks of regions put into their image and written as run lengths, as an evaluation does with every detection."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from pycocotools import mask as codec
from torch import Tensor
from torchvision.models.detection.roi_heads import paste_masks_in_image

from amodal import masks, rle
from amodal.boxed_masks import BoxedMasks
from benchmarks.speed.harness import Curve, Measured, Stage, best, compare

TITLE = "Masks into images and run lengths"
SIZE, OBJECTS, SIDE = (1440, 1920), 100, 28
RIVAL = "torchvision paste, pycocotools encode"


@dataclass(frozen=True)
class Regions:
    """Soft masks over boxes of an image.

    Attributes:
        probabilities: float32 (R, 28, 28).
        boxes: xyxy pixels, float32 (R, 4), within the image.
        size: Height and width of the image.
    """

    probabilities: Tensor
    boxes: Tensor
    size: tuple[int, int]

    @property
    def pixels(self) -> float:
        """Area of all boxes."""
        return float(((self.boxes[:, 2:] - self.boxes[:, :2]).prod(1)).sum())

    def encoded(self) -> list[rle.Rle]:
        """This package's way, as in `amodal evaluate`."""
        amodal, _ = self.boxed().encoded(self.size)
        assert amodal is not None
        return amodal

    def boxed(self) -> BoxedMasks:
        """As a model gives them."""
        number = len(self.boxes)
        boxes, masks = self.boxes.numpy(), self.probabilities.numpy()
        return BoxedMasks(boxes, np.ones(number, np.int64), np.ones(number, np.float32), masks, None)

    def pasted(self) -> np.ndarray:
        """Bool (R, H, W)."""
        amodal, _ = self.boxed().pasted(self.size)
        assert amodal is not None
        return amodal

    def encoded_as_usual(self) -> list[rle.Rle]:
        """As torchvision's reference scripts do it."""
        pasted = paste_masks_in_image(self.probabilities[:, None], self.boxes, self.size) > 0.5
        return [codec.encode(np.array(mask[0, :, :, None].numpy(), dtype=np.uint8, order="F"))[0] for mask in pasted]


def regions(count: int, size: tuple[int, int]) -> Regions:
    """Three-lobed blobs; sides of boxes from 1/24 to 1/2.4 of the image's shorter side, all scales alike."""
    rng = np.random.default_rng(0)
    middle = rng.uniform(0, (size[1], size[0]), (count, 2))
    sides = np.exp(rng.uniform(np.log(min(size) / 24), np.log(min(size) / 2.4), (count, 2)))
    corners = np.concatenate([middle - sides / 2, middle + sides / 2], axis=1).clip(0, [*size[::-1]] * 2)
    y, x = np.mgrid[:SIDE, :SIDE] - (SIDE - 1) / 2
    turns = rng.uniform(0, 2 * np.pi, (count, 1, 1))
    reach = np.hypot(x, y) / (SIDE / 2) * (1 + 0.2 * np.sin(3 * np.arctan2(y, x) + turns))
    probabilities = 1 / (1 + np.exp(12 * (reach - 0.85)))
    return Regions(torch.from_numpy(probabilities).float(), torch.from_numpy(corners).float(), size)


def differing_pixels(given: Regions) -> int:
    """Pixels where pasting in boxes differs from the definition evaluated in double precision over whole images."""
    count = 0
    height, width = given.size
    for mask, box, own in zip(given.probabilities.double(), given.boxes.double(), given.pasted(), strict=True):
        across, down = (weights(box[axis], box[axis + 2], length) for axis, length in ((0, width), (1, height)))
        count += int((own != (down @ mask @ across.T > 0.5).numpy()).sum())
    return count


def weights(low: Tensor, high: Tensor, length: int) -> Tensor:
    """Bilinear weights (length, 28) of a mask's cells at every pixel centre of an image's side; zeros beyond."""
    centres = torch.arange(length, dtype=low.dtype) + 0.5
    places = (centres - low) / (high - low) * SIDE - 0.5
    return (1 - (places[:, None] - torch.arange(SIDE)).abs()).clamp(min=0)


def measure(quick: bool) -> Measured:
    size, count, repetitions = ((48, 64), 4, 2) if quick else (SIZE, OBJECTS, 5)
    given = regions(count, size)
    timing = compare(given.encoded, given.encoded_as_usual, repetitions=repetitions)
    pasted = given.pasted()
    theirs = paste_masks_in_image(given.probabilities[:, None], given.boxes, size)[:, 0] > 0.5
    in_columns = [np.array(mask[:, :, None], dtype=np.uint8, order="F") for mask in pasted]

    def encoded_by_codec() -> list[rle.Rle]:
        return [codec.encode(mask)[0] for mask in in_columns]

    encoding = compare(lambda: rle.encode(pasted), encoded_by_codec, repetitions=repetitions)
    equal = {"differing_pixels": differing_pixels(given), "same_run_lengths": rle.encode(pasted) == encoded_by_codec()}
    overlap = float(masks.ious(theirs, torch.from_numpy(pasted)).mean())
    name = f"{size[1]} x {size[0]} pixels, {count} objects"
    rows = [
        timing.row(f"Masks pasted and run-length encoded, {name}", RIVAL, 5, **equal, iou_with_rival=overlap),
        encoding.row(f"Run lengths alone, of whole masks, {name}", "pycocotools encode, of masks in its order"),
    ]
    pasting, placed = best(given.pasted), list(given.boxed().placed(size))

    def encode() -> list[rle.Rle]:
        return [rle.from_crop(one.amodal, one.left, one.top, size) for one in placed if one.amodal is not None]

    read = 4.0 * given.probabilities.numel()
    stages = [
        Stage("paste", given.pixels * 2 * SIDE + read * SIDE / 2, read + given.pixels, pasting),
        Stage("run lengths", given.pixels, given.pixels, best(encode)),
    ]
    facts = {"mean_box_pixels": given.pixels / count, "size": list(size), "objects": count}
    return Measured(rows, curves(quick), stages, facts)


def curves(quick: bool) -> list[Curve]:
    """Over objects in an image of one size, and over sizes of an image with twenty objects."""
    counts = [1, 4] if quick else [1, 3, 10, 30, 100, 300]
    heights = [48, 96] if quick else [192, 384, 768, 1440, 2250]
    sizes = [(height, height * 4 // 3) for height in heights]
    by_count = [regions(count, sizes[0] if quick else SIZE) for count in counts]
    by_size = [regions(20, size) for size in sizes]
    return [
        curve("paste and encode", "objects", [float(c) for c in counts], by_count),
        curve("paste and encode", "image height, pixels", [float(h) for h in heights], by_size),
    ]


def curve(name: str, axis: str, values: list[float], given: list[Regions]) -> Curve:
    def seconds(run: Callable[[Regions], object], most: int) -> list[float]:
        return [best(lambda one=one: run(one), 2) for one in given if len(one.boxes) <= most]

    ours, theirs = seconds(Regions.encoded, 1000), seconds(Regions.encoded_as_usual, OBJECTS)
    return Curve(name, axis, values, ours, theirs, RIVAL)


def describe(measured: Measured) -> str:
    first, second = measured.rows
    equal, facts = first.details, measured.facts
    image = facts["size"][0] * facts["size"][1] / 1e6
    letter = "the codec's to the letter" if equal["same_run_lengths"] else "NOT the codec's"
    return f"""A mask is computed in its box alone: bilinear interpolation over an upright box is two small matrix
products. Its run lengths are then read off the box's columns. An image of {image:.1f} million pixels is not walked over
{facts["objects"]} times: a box has {facts["mean_box_pixels"]:,.0f} of them.

* {first.ratio:.1f} x faster than {first.rival}: {first.details["seconds"] * 1e3:.0f} ms against
  {first.details["rival_seconds"] * 1e3:,.0f} ms.
* Pixels of all masks that differ from the definition, evaluated in double precision over whole images:
  {equal["differing_pixels"]}. (torchvision rounds boxes to whole pixels first; mean IoU {equal["iou_with_rival"]:.3f}.)
* The run lengths are {letter}. Of whole masks whose boxes nobody knows they are found {second.ratio:.1f} x faster,
  though the codec is spared turning the masks to its order."""
