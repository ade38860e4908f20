"""The picture that comes with the package, to try a model on."""

from pathlib import Path


def sample() -> Path:
    """The path of a photograph that comes with the package: an astronaut behind a cup, 480 x 480 pixels.

    >>> amodal.load("photos").predict(amodal.sample())  # doctest: +SKIP
    """
    return Path(__file__).parent / "sample.jpg"
