"""Product shots cut out, against what is true of them: real objects put before studio backgrounds that are composed.

    python -m benchmarks.cutouts --data FOLDER

FOLDER holds `eth80/<category>/<object>/*.webp`. An object is laid over a background of one colour with light that falls
off, a soft shadow, the noise of a camera and JPEG's. Writes `results/cutouts.json`: a row a background, with the share
of pictures that were cut out rather than refused, and the IoU of those masks with the true ones.
"""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tyro
from PIL import Image
from scipy import ndimage

from amodal.errors import UserError
from amodal.files import write_json
from amodal.paper.about import about
from amodal.pictures import read_rgba
from amodal.synthesis.config import CutOutConfig
from amodal.synthesis.product_shots import cut_out

BACKGROUNDS = {
    "white": (246, 246, 244),
    "grey": (205, 206, 208),
    "blue": (60, 80, 160),
    "black": (20, 20, 22),
    "green": (90, 170, 90),
    "cream": (235, 225, 200),
}


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    data: Path
    """Folder that holds eth80/."""
    count: int = 12
    """Pictures of each background."""
    seed: int = 2
    """Of all of them. (With seeds 0 and 1 the thresholds were chosen.)"""
    out: Path = Path(__file__).parent / "results" / "cutouts.json"
    """The result."""


def main(settings: Settings) -> None:
    files = sorted((settings.data / "eth80").glob("*/*/*.webp"))
    rng = np.random.default_rng(settings.seed)
    rows = [row(name, rng.choice(np.array(files), settings.count, replace=False), rng) for name in BACKGROUNDS]
    origin = about("python -m benchmarks.cutouts --data FOLDER", seed=settings.seed, count=settings.count)
    write_json(settings.out, {"about": origin, "rows": rows}, indent=1)


def row(background: str, files: np.ndarray, rng: np.random.Generator) -> dict[str, Any]:
    """What comes of some objects before one background."""
    found = []
    for path in files:
        shot, truth = studio(read_rgba(path), BACKGROUNDS[background], rng)
        try:
            (rgba,) = cut_out(shot, CutOutConfig(min_area=100))
        except UserError:
            continue
        found.append(iou(rgba[..., 3] >= 128, truth))
    quartiles = np.percentile(found, [25, 50, 75]).round(4).tolist() if found else []
    below = sum(value < 0.9 for value in found)
    return {"background": background, "cut_out": len(found), "of": len(files), "iou": quartiles, "iou_below_0.9": below}


def studio(rgba: np.ndarray, colour: tuple[int, int, int], rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A product shot, uint8 (H, W, 3), of an object twice as large as it comes, and its true mask, bool (H, W)."""
    large = Image.fromarray(rgba).convert("RGBa")
    large = large.resize((2 * large.width, 2 * large.height), Image.Resampling.BICUBIC).convert("RGBA")
    space = int(max(large.size) * rng.uniform(0.15, 0.4))
    pixels = np.pad(np.asarray(large), ((space, space), (space, space), (0, 0))).astype(float)
    alpha = pixels[..., 3:] / 255
    y, x = np.meshgrid(*(np.linspace(-1, 1, length) for length in alpha.shape[:2]), indexing="ij")
    light = 1 - rng.uniform(0, 0.1) * (x**2 + y**2) + rng.uniform(-0.06, 0.06) * x + rng.uniform(-0.08, 0.08) * y
    moved = np.roll(alpha[..., 0], (round(0.15 * space), round(0.2 * space)), (0, 1))
    light *= 1 - rng.uniform(0.1, 0.45) * ndimage.gaussian_filter(moved, 0.25 * space)
    picture = pixels[..., :3] * alpha + np.array(colour) * light[..., None] * (1 - alpha)
    noisy = (picture + rng.normal(0, 2, picture.shape)).clip(0, 255).astype(np.uint8)
    stored = io.BytesIO()
    Image.fromarray(noisy).save(stored, "JPEG", quality=88)
    return np.asarray(Image.open(stored).convert("RGB")), alpha[..., 0] > 0.5


def iou(found: np.ndarray, truth: np.ndarray) -> float:
    """Of a cropped mask with the true one, wherever it fits best: a cut-out does not tell where it stood."""
    rows, columns = ndimage.find_objects(truth.astype(int))[0]
    whole = np.pad(truth, 40)
    best = 0.0
    for top in range(rows.start - 6, rows.start + 7):
        for left in range(columns.start - 6, columns.start + 7):
            window = whole[top + 40 : top + 40 + found.shape[0], left + 40 : left + 40 + found.shape[1]]
            if window.shape == found.shape:
                common = int((window & found).sum())
                best = max(best, common / (int(truth.sum()) + int(found.sum()) - common))
    return best


if __name__ == "__main__":
    main(tyro.cli(Settings))
