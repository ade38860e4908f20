"""What lies behind every object of a scene."""

from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image

from amodal.errors import UserError
from amodal.pictures import find_images, read_image
from amodal.synthesis.config import Split, part_of
from amodal.synthesis.cutouts import Recent, choose, num_bytes_of_image


class Backgrounds(Protocol):
    """Where a composition takes its background from."""

    def sample(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A background, uint8 (H, W, 3), of a size (H, W)."""
        ...


class PlainBackgrounds:
    """One colour over the whole image."""

    def sample(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A background of one random colour."""
        return np.broadcast_to(rng.integers(40, 216, 3, dtype=np.uint8), (*size, 3)).copy()


class FolderBackgrounds:
    """Random parts of the photographs of a folder; the first `train_share` of them in sorted order train."""

    def __init__(self, folder: str | Path, split: Split = "all", train_share: float = 0.75) -> None:
        if not Path(folder).is_dir():
            raise UserError("no such folder of backgrounds", file=folder, remedy="Give a folder of images")
        self.paths = part_of(find_images([Path(folder)]), split, train_share)
        if not self.paths:
            raise UserError(f"no images for split {split!r}", file=folder, remedy="The folder needs two images")
        self._recent = Recent[Image.Image](num_bytes_of_image)

    def sample(self, size: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
        """A part of a photograph of the same shape as `size`, at least half as long, sometimes mirrored."""
        path = choose(self.paths, rng)
        image = self._recent.get(path, lambda: Image.fromarray(read_image(path)))
        height, width = size
        fit = min(image.width / width, image.height / height)
        crop_width, crop_height = (fit * rng.uniform(0.5, 1) * side for side in (width, height))
        left, top = rng.uniform(0, image.width - crop_width), rng.uniform(0, image.height - crop_height)
        box = (left, top, left + crop_width, top + crop_height)
        part = image.resize((width, height), Image.Resampling.BILINEAR, box=box)
        return np.asarray(part.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if rng.random() < 0.5 else part)


def open_backgrounds(where: str, split: Split = "all", train_share: float = 0.75) -> Backgrounds:
    """Backgrounds by what a user writes: `drawn`, `plain` or a folder. Raises UserError for anything else."""
    if where == "plain":
        return PlainBackgrounds()
    if where == "drawn":
        from amodal.synthesis.surfaces import DrawnBackgrounds

        return DrawnBackgrounds()
    return FolderBackgrounds(where, split, train_share)
