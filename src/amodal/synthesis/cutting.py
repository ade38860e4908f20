"""Cut-outs made from photographs: which ones, what each gives, how the files are called. No file is written here."""

import io
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from amodal.annotations import Annotation
from amodal.errors import UserError
from amodal.pictures import find_images, read_image
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.product_shots import CutOutConfig, cut_out

UNNAMED = "object"
"""The category of photographs that lie in no folder of one."""
SEEN_SIDE = 240
"""Longer side of the small pictures that come along, to be looked at."""


@dataclass(frozen=True)
class Shot:
    """A photograph, or one annotated object in it.

    Attributes:
        photograph: The file.
        folder: Where its cut-outs go, below the output: `category` or `category/object`.
        stem: What they are called there.
        annotation: The object, where one is annotated.
    """

    photograph: Path
    folder: str
    stem: str
    annotation: Annotation | None = None

    @property
    def category(self) -> str:
        """The first part of the folder."""
        return self.folder.split("/")[0]


@dataclass(frozen=True)
class Cut:
    """What came of a photograph.

    Attributes:
        shot: The photograph.
        files: Its cut-outs as PNG files.
        problem: Why there is none.
        seen: The photograph, or the part of it with the object, small; None if it could not be read.
    """

    shot: Shot
    files: tuple[bytes, ...] = ()
    problem: str = ""
    seen: UInt8[np.ndarray, "h w 3"] | None = None


class Cutter(Protocol):
    """Cuts out what a photograph shows. Can be sent to another process."""

    def __call__(self, shot: Shot) -> Cut:
        """The cut-outs, or the problem."""
        ...


@dataclass(frozen=True)
class PlainCutter:
    """Cuts what stands before a plain background."""

    config: CutOutConfig

    def __call__(self, shot: Shot) -> Cut:
        """The cut-outs, or the problem."""
        seen = None
        try:
            pixels = read_image(shot.photograph)
            seen = _small(pixels)
            return Cut(shot, tuple(_png(one) for one in cut_out(pixels, self.config)), seen=seen)
        except UserError as error:
            return Cut(shot, problem=_told(error), seen=seen)


@dataclass(frozen=True)
class AnnotatedCutter:
    """Cuts annotated objects along their masks."""

    source: AnnotatedCutOuts

    def __call__(self, shot: Shot) -> Cut:
        """The cut-out, or the problem."""
        assert shot.annotation is not None
        try:
            found = self.source.read(shot.annotation)
        except UserError as error:
            return Cut(shot, problem=_told(error))
        rgba = np.dstack([found.pixels, found.alpha])
        return Cut(shot, (_png(rgba),), seen=_small(found.pixels))


def shots_of_photographs(sources: Iterable[Path], category: str | None, apart: Path) -> list[Shot]:
    """The photographs in files and folders.

    A folder may hold `<category>/<object>/*`, `<category>/*` or photographs alone. A photograph that lies in no folder
    of an object is an object of its own.

    Args:
        sources: Files and folders.
        category: The category of all; None takes it from the folders.
        apart: What lies in this folder is passed over: cut-outs of an earlier run are no photographs.

    Raises:
        UserError: There is none, or a file that is no picture is named.
    """
    found: list[tuple[Path, tuple[str, ...]]] = []
    for source in sources:
        images = [path for path in find_images([source]) if apart.resolve() not in path.resolve().parents]
        found += [(path, path.relative_to(source).parts[:-1] if source.is_dir() else ()) for path in images]
    if not found:
        raise UserError(f"no photographs outside {apart}", remedy="Give files, or a folder of photographs")
    return list(_named((path, _folder(parts, category), path.stem, None) for path, parts in found))


def shots_of_annotations(source: AnnotatedCutOuts) -> list[Shot]:
    """The annotated objects that are whole, each as an object of its own."""
    return list(
        _named(
            (path, file_name(category), f"{path.stem}-{annotation.id}", annotation)
            for category, path, annotation in source.whole_ones()
        )
    )


def file_name(text: str) -> str:
    """A name of a file or folder, of any system, as near to the text as can be."""
    return re.sub(r'[\x00-\x1f<>:"/\\|?*]', "-", text).strip(" .") or UNNAMED


def _folder(parts: tuple[str, ...], category: str | None) -> str:
    """Where cut-outs of a photograph go that lies in folders of these names."""
    above = (category, *parts) if category is not None else parts or (UNNAMED,)
    return "/".join([file_name(above[0]), *([file_name("-".join(above[1:]))] if above[1:] else [])])


def _named(wanted: Iterable[tuple[Path, str, str, Annotation | None]]) -> Iterator[Shot]:
    """With names of which no two are alike, even where capitals do not count."""
    taken: set[str] = set()
    for path, folder, stem, annotation in wanted:
        name, copy = file_name(stem), 2
        while f"{folder}/{name}".casefold() in taken:
            name, copy = f"{file_name(stem)}-{copy}", copy + 1
        taken.add(f"{folder}/{name}".casefold())
        yield Shot(path, folder, name, annotation)


def _png(rgba: np.ndarray) -> bytes:
    encoded = io.BytesIO()
    Image.fromarray(rgba).save(encoded, "PNG")
    return encoded.getvalue()


def _small(pixels: np.ndarray) -> np.ndarray:
    picture = Image.fromarray(pixels)
    picture.thumbnail((SEEN_SIDE, SEEN_SIDE))
    return np.asarray(picture)


def _told(error: UserError) -> str:
    """The problem without the file, which stands beside it, and the way out."""
    return f"{error.problem}. {error.remedy}" if error.remedy else error.problem
