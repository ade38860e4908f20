"""Objects cut out of their images: pixels with a soft mask, and where they come from."""

import re
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import numpy as np
from PIL import Image

from amodal.errors import UserError
from amodal.pictures import IMAGE_SUFFIXES, read_rgba
from amodal.synthesis.config import Split, part_of

Value = TypeVar("Value")


@dataclass(frozen=True)
class CutOut:
    """An object without its background.

    Attributes:
        premultiplied: Its pixels, mode RGBa: colours multiplied by alpha, the form in which averaging them is right.
        category: Name of its category.
        name: Which object of that category it is; pictures of one object share it.
    """

    premultiplied: Image.Image
    category: str
    name: str = ""

    @staticmethod
    def of(pixels: np.ndarray, alpha: np.ndarray, category: str, name: str = "") -> "CutOut":
        """A cut-out from RGB pixels, uint8 (h, w, 3), and alpha, uint8 (h, w), from 0 outside to 255 inside."""
        return CutOut(Image.fromarray(np.dstack([pixels, alpha])).convert("RGBa"), category, name)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.premultiplied.height, self.premultiplied.width

    @property
    def pixels(self) -> np.ndarray:
        """RGB, uint8 (h, w, 3), not multiplied by alpha."""
        return np.asarray(self.premultiplied.convert("RGBA"))[..., :3]

    @property
    def alpha(self) -> np.ndarray:
        """Coverage, uint8 (h, w). The object's mask is alpha above one half."""
        return np.asarray(self.premultiplied.getchannel(3))


class CutOutSource(Protocol):
    """Where a composition takes its objects from.

    Attributes:
        categories: Their names, in the order of labels 1, 2, ... The same for every split.
    """

    categories: tuple[str, ...]

    def sample(self, rng: np.random.Generator) -> CutOut:
        """An object: its category uniform, then one of the category's objects, then one of its pictures."""
        ...


def tight(rgba: np.ndarray, category: str, name: str = "") -> CutOut | None:
    """The cut-out of uint8 (h, w, 4) pixels, cropped to what can be seen; None if that is nothing."""
    box = Image.fromarray(rgba[..., 3]).getbbox()
    if box is None or rgba[..., 3].max() < 128:
        return None
    left, top, right, bottom = box
    inside = rgba[top:bottom, left:right]
    return CutOut.of(inside[..., :3], inside[..., 3], category, name)


@dataclass
class Recent(Generic[Value]):
    """The values used last, up to a number of bytes, so that a file is decoded once and memory stays bounded.

    Sent to another process it arrives empty; `size_of` is a function of a module, which can be sent.
    """

    size_of: Callable[[Value], int]
    limit: int = 256 << 20
    _values: OrderedDict[Hashable, Value] = field(default_factory=OrderedDict, repr=False)
    _bytes: int = 0

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The value of `key`, made if it is not kept."""
        if key in self._values:
            self._values.move_to_end(key)
            return self._values[key]
        value = self._values[key] = make()
        self._bytes += self.size_of(value)
        while self._bytes > self.limit and len(self._values) > 1:
            self._bytes -= self.size_of(self._values.popitem(last=False)[1])
        return value

    def __reduce__(self) -> tuple[type["Recent[Value]"], tuple[Callable[[Value], int], int]]:
        return type(self), (self.size_of, self.limit)


def num_bytes_of(cut_out: CutOut) -> int:
    """Memory that a cut-out takes."""
    return num_bytes_of_image(cut_out.premultiplied)


def num_bytes_of_image(image: Image.Image) -> int:
    """Memory that a colour image takes."""
    return 4 * image.width * image.height


class FolderCutOuts:
    """Pictures with transparency in `<folder>/<category>/<object>/*.png` (or WebP, ...).

    The split is by object: in each category the first `train_share` of the object folders, in natural order (car2
    before car11), train. A picture that lies in the category's folder itself is an object of its own.
    """

    def __init__(self, folder: str | Path, split: Split = "all", train_share: float = 0.75) -> None:
        folder = Path(folder)
        if not folder.is_dir():
            raise UserError("no such folder of cut-outs", file=folder, remedy="Give a folder <category>/<object>/*.png")
        objects = {path.name: _objects(path) for path in natural(folder.iterdir()) if path.is_dir()}
        objects = {category: found for category, found in objects.items() if found}
        if not objects:
            raise UserError(
                "no cut-outs in this folder", file=folder, remedy="They are looked for as <category>/<object>/*.png"
            )
        self.folder, self.categories = folder, tuple(objects)
        self.objects = {
            label: chosen
            for label, found in enumerate(objects.values())
            if (chosen := part_of(found, split, train_share))
        }
        if not self.objects:
            raise UserError(f"no objects for split {split!r}", file=folder, remedy="Each category needs two objects")
        self._labels = list(self.objects)
        self._recent = Recent[CutOut](num_bytes_of)
        self._read(self._labels[0], self.objects[self._labels[0]][0][0])  # a folder of plain photographs fails here

    def sample(self, rng: np.random.Generator) -> CutOut:
        """A picture of an object, read when it is first needed."""
        label = choose(self._labels, rng)
        path = choose(choose(self.objects[label], rng), rng)
        return self._recent.get(path, lambda: self._read(label, path))

    def _read(self, label: int, path: Path) -> CutOut:
        name = path.parent.name if path.parent.parent.parent == self.folder else path.stem
        cut_out = tight(read_rgba(path), self.categories[label], name)
        if cut_out is None:
            raise UserError("is wholly transparent", file=path, remedy="Remove it")
        return cut_out


def choose(items: Sequence[Value], rng: np.random.Generator) -> Value:
    """One of the items, each as likely."""
    return items[int(rng.integers(len(items)))]


def natural(paths: Iterable[Path]) -> list[Path]:
    """Paths sorted by name with numbers as numbers; hidden ones left out."""
    shown = [path for path in paths if not path.name.startswith(".")]
    return sorted(
        shown, key=lambda path: [(not t.isdecimal(), int(t) if t.isdecimal() else t) for t in _parts(path.name)]
    )


def _parts(name: str) -> list[str]:
    return [part for part in re.split(r"(\d+)", name) if part]


def _objects(category: Path) -> list[list[Path]]:
    """The pictures of each object of a category's folder, objects and pictures in natural order."""
    objects = []
    for path in natural(category.iterdir()):
        pictures = natural(path.iterdir()) if path.is_dir() else [path]
        pictures = [picture for picture in pictures if picture.suffix.lower() in IMAGE_SUFFIXES]
        if pictures:
            objects.append(pictures)
    return objects
