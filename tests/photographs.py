"""A small data set of photographs with masks, made up for tests."""

from pathlib import Path

import numpy as np
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.formats import coco

CATEGORIES = [Category(1, "disc"), Category(2, "square")]


def disc(size: tuple[int, int], x: float, y: float, radius: float) -> np.ndarray:
    """A disc, bool (H, W)."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def square(size: tuple[int, int], left: int, top: int, side: int) -> np.ndarray:
    """A square, bool (H, W)."""
    mask = np.zeros(size, dtype=bool)
    mask[top : top + side, left : left + side] = True
    return mask


def objects(size: tuple[int, int] = (90, 120)) -> list[tuple[int, np.ndarray]]:
    """Category and mask of five objects: alone, alone, at the border, and two that touch."""
    return [
        (1, disc(size, 25, 25, 18)),
        (2, square(size, 60, 4, 34)),
        (1, disc(size, 4, 75, 20)),
        (2, square(size, 60, 50, 30)),
        (1, disc(size, 105, 65, 15)),
    ]


def annotation(number: int, image: int, category: int, mask: np.ndarray, *, is_crowd: bool = False) -> Annotation:
    """An object whose masks are one."""
    own = rle.encode(mask[None])[0]
    return Annotation(number, image, category, own, own, is_crowd=is_crowd)


def write(folder: Path, images: int = 3) -> Path:
    """Photographs of noise with the `objects` in flat colours; the path of their annotations."""
    (folder / "images").mkdir(parents=True)
    rng = np.random.default_rng(0)
    records, annotations = [], []
    for image in range(1, images + 1):
        pixels = rng.integers(60, 120, (90, 120, 3), dtype=np.uint8)
        for category, mask in objects():
            pixels[mask] = (230, 40 * image, 60) if category == 1 else (40, 60 * image, 220)
            annotations.append(annotation(len(annotations) + 1, image, category, mask))
        records.append(ImageRecord(image, f"{image}.png", 90, 120))
        Image.fromarray(pixels).save(folder / "images" / f"{image}.png")
    path = folder / "instances.json"
    coco.write(AnnotationSet(records, annotations, CATEGORIES), path)
    return path
