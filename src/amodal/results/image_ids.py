"""Which image of the truth a detection means: by id, else by its file's name or stem, as detectors' tools write it."""

from collections.abc import Callable, Iterable
from dataclasses import replace
from functools import cache
from pathlib import PurePosixPath
from typing import Any
from unicodedata import normalize

from amodal.annotations import TEXT_ID, ImageRecord

Find = Callable[[Any], int | None]
"""From what a results file states as an image to the image's id; None where there is no such image."""


def finders(images: Iterable[ImageRecord]) -> tuple[Find, Find]:
    """Two ways to read a whole file's image ids: numbers are ids; numbers are file names without their zeros.

    In both, a text is the text id of an image, else its file's name, the name without its folder or without its
    ending, else a number. A name that several images share tells none of them.
    """
    images = list(images)
    ids = {image.id for image in images}
    by_text, by_stem = cache(lambda: _texts(images)), cache(lambda: _numbers(images))  # for who asks by name

    def of_text(text: str) -> int | None:
        found = by_text().get(text)
        if found is None and text.isdecimal() and len(text) < 19:
            return int(text) if int(text) in ids else None
        return found

    def by_id(stated: Any) -> int | None:
        if isinstance(stated, str):
            return of_text(stated)
        return int(stated) if isinstance(stated, int | float) and stated in ids else None

    def by_name(stated: Any) -> int | None:
        return of_text(stated) if isinstance(stated, str) else by_stem().get(stated) if type(stated) is int else None

    return by_id, by_name


def by_path(images: Iterable[ImageRecord]) -> Callable[[str], int | None]:
    """From a picture's path to the image's id, by as much of its end as one image alone has.

    The ending may differ, and so may how accents and folders are written (`amodal.files.place_of`).
    """
    known = _texts([replace(image, file_name=_usual(image.file_name)) for image in images])

    def find(path: str) -> int | None:
        parts = _usual(path).split("/")
        ends = ["/".join(parts[start:]) for start in range(len(parts))]
        shorter = [PurePosixPath(end).with_suffix("").as_posix() for end in ends if PurePosixPath(end).name]
        return next((known[text] for text in (*ends, *shorter) if text in known), None)

    return find


def _usual(path: str) -> str:
    return normalize("NFC", path).replace("\\", "/")


def _texts(images: list[ImageRecord]) -> dict[str, int]:
    """Every text that tells one image: what is listed first wins."""
    ways: tuple[Callable[[ImageRecord], str], ...] = (
        lambda image: str((image.extra or {}).get(TEXT_ID, "")),
        lambda image: image.file_name,
        lambda image: PurePosixPath(image.file_name).name,
        _stem,
    )
    found: dict[str, int] = {}
    for way in reversed(ways):
        found |= _unique((way(image), image.id) for image in images)
    return {text: identity for text, identity in found.items() if text}


def _numbers(images: list[ImageRecord]) -> dict[int, int]:
    """Every number that tells one image: its file's name without zeros in front."""
    return _unique((int(stem), image.id) for image in images if (stem := _stem(image)).isdecimal() and len(stem) < 19)


def _stem(image: ImageRecord) -> str:
    return PurePosixPath(image.file_name).stem


def _unique(pairs: Iterable[tuple[Any, int]]) -> dict[Any, int]:
    """The pairs whose first is no other's."""
    found: dict[Any, int] = {}
    several = set()
    for key, identity in pairs:
        if found.setdefault(key, identity) != identity:
            several.add(key)
    return {key: identity for key, identity in found.items() if key not in several}
