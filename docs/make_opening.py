"""Draws README's first picture, and the model zoo's failures: photographs free of copyright, as `photos` sees them.

    python docs/make_opening.py            # --model coco where its weights can be downloaded

The photographs come with scikit-image; `docs/make_sample.py` lays the cup over them. Look at the picture before it is
committed: it is what a model says, mistakes too.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tyro
from make_sample import cat, sample
from PIL import Image
from skimage import data

import amodal
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet

IMAGES = Path(__file__).parent / "images"
TARGETS = {"predictions.jpg": ("cat", "cat behind a cup"), "failures.jpg": ("astronaut", "behind a cup")}
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


def photographs() -> dict[str, Image.Image]:
    """An astronaut, alone and behind a cup, and a cat, alone and behind a cup."""
    astronaut = Image.fromarray(data.astronaut())
    cats = {"cat": cat(covered=False), "cat behind a cup": cat(covered=True)}
    return {"astronaut": astronaut, "behind a cup": sample(), **cats}


def opening(model: str, score: float, names: tuple[str, ...]) -> Image.Image:
    """Each photograph above what the model says of it."""
    predictor = amodal.load(model)
    chosen = {name: photographs()[name] for name in names}
    tiles = [Tile(picture, name) for name, picture in chosen.items()]
    for picture in chosen.values():
        pixels = np.asarray(picture)
        tiles.append(Tile(predictor.predict(pixels, score_threshold=score).draw(pixels, Style(scale=2))))
    return contact_sheet(tiles, columns=len(names), side=420)


def main(settings: Settings) -> None:
    """Writes the pictures."""
    for file, names in TARGETS.items():
        opening(settings.model, settings.score, names).save(settings.out / file, quality=85, optimize=True)
        print(f"{settings.out / file}: {(settings.out / file).stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
