"""Draws README's first picture, and the model zoo's failures: photographs free of copyright, as `photos` sees them.

    python docs/make_opening.py            # --model coco where its weights can be downloaded

`docs/make_sample.py` makes the photographs; whoever runs README's first lines sees the cat behind a cup. Look at the
pictures before they are committed: they are what a model says, mistakes too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from make_sample import astronaut
from PIL import Image

import amodal
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.pixels import as_pixels
from amodal.samples import pictures

IMAGES = Path(__file__).parent / "images"
TARGETS = {"predictions.jpg": ("astronaut", "behind a cup"), "failures.jpg": ("cat", "cat behind a cup")}
"""Which photographs each picture shows."""


@dataclass(frozen=True)
class Settings:
    """What is drawn."""

    model: str = "photos"
    """The name of a model, or its file."""
    score: float = 0.5
    """Objects that score less are left out."""
    out: Path = IMAGES
    """Folder of the pictures."""


def photographs() -> dict[str, np.ndarray]:
    """A cat, alone and behind a cup, and an astronaut, alone and behind a cup: uint8 (H, W, 3) pixels."""
    behind, alone, covered = map(as_pixels, pictures())
    return {
        "cat": alone,
        "cat behind a cup": behind,
        "astronaut": np.asarray(astronaut(covered=False)),
        "behind a cup": covered,
    }


def opening(model: str, score: float, names: tuple[str, ...]) -> Image.Image:
    """Each photograph above what the model says of it."""
    predictor = amodal.load(model)
    chosen = {name: photographs()[name] for name in names}
    tiles = [Tile(Image.fromarray(pixels), name) for name, pixels in chosen.items()]
    for pixels in chosen.values():
        tiles.append(Tile(predictor.predict(pixels, score_threshold=score).draw(pixels, Style(scale=2))))
    return contact_sheet(tiles, columns=len(names), side=420)


def main(settings: Settings) -> None:
    """Writes the pictures."""
    for file, names in TARGETS.items():
        opening(settings.model, settings.score, names).save(settings.out / file, quality=85, optimize=True)
        print(f"{settings.out / file}: {(settings.out / file).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
