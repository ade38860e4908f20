"""The pictures that come with the package, to try a model on."""

from pathlib import Path


def sample() -> Path:
    """The path of a photograph that comes with the package: a cat behind a cup, 400 x 300 pixels.

    >>> amodal.load("photos").predict(amodal.sample())  # doctest: +SKIP
    """
    return pictures()[0]


def pictures() -> list[Path]:
    """All of them: the sample, the cat alone, and an astronaut behind the cup."""
    folder = Path(__file__).parent
    return [folder / name for name in ("sample.jpg", "cat.jpg", "astronaut_behind_cup.jpg")]
