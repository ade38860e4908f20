"""The pictures that come with the package, to try a model on."""

from pathlib import Path


def sample() -> Path:
    """The path of a photograph that comes with the package: an astronaut behind a cup, 480 x 480 pixels.

    >>> amodal.load("photos").predict(amodal.sample())  # doctest: +SKIP
    """
    return pictures()[0]


def pictures() -> list[Path]:
    """All of them, the sample first: a cat behind a cup, and the cat alone."""
    folder = Path(__file__).parent
    return [folder / name for name in ("sample.jpg", "cat_behind_cup.jpg", "cat.jpg")]
