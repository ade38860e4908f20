"""Composed scenes as image files and annotations, in one process or several with the same outcome."""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Literal, Protocol

from tqdm import tqdm

from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.formats.json_stream import JsonDocument
from amodal.pictures import write_image
from amodal.synthesis.backgrounds import Backgrounds
from amodal.synthesis.composition import Scene, compose, encode_scene, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutouts import CutOutSource
from amodal.synthesis.pool import answers

ANNOTATIONS, IMAGES = "annotations.json", "images"
"""What a folder of scenes holds."""
SCENES_A_PROCESS = 100
"""Scenes below which another process costs more to start than it saves."""


Written = tuple[tuple[int, int], list[Annotation]]
"""A scene's (height, width), and its annotations."""


@dataclass(frozen=True)
class SceneSeries:
    """Scenes 0, 1, ... of a seed: everything that they follow from. Can be sent to another process.

    Attributes:
        source: Their objects.
        backgrounds: What lies behind them.
        config: How each is composed.
        seed: Of all scenes.
        category_ids: Id of each of the source's categories.
    """

    source: CutOutSource
    backgrounds: Backgrounds
    config: SceneConfig
    seed: int
    category_ids: tuple[int, ...]

    def scene(self, index: int) -> Scene:
        """Scene `index`: the same whenever and in whichever process it is asked for."""
        return compose(self.source, self.backgrounds, self.config, scene_rng(self.seed, index))


class Series(Protocol):
    """Scenes by number; can be sent to another process."""

    @property
    def category_ids(self) -> tuple[int, ...]:
        """Id of each category, by label."""
        ...

    def scene(self, index: int) -> Scene:
        """Scene `index`."""
        ...


def scene_names(count: int, image_format: Literal["jpg", "png"]) -> list[str]:
    """The names of so many scenes' files: 000000.jpg, ..."""
    digits = max(6, len(str(count - 1)))
    return [f"{index:0{digits}d}.{image_format}" for index in range(count)]


def write_scenes(
    series: Series,
    folder: Path,
    count: int,
    categories: Sequence[Category],
    *,
    image_format: Literal["jpg", "png"] = "jpg",
    workers: int = 1,
) -> AnnotationSet:
    """Writes scenes 0 to `count` - 1 as `folder`/000000.jpg, ... and gives their annotations.

    The files and annotations do not depend on `workers`, the number of processes.

    Raises:
        UserError: Not one object found a place in any scene, or a file of the source cannot be read.
    """
    names = scene_names(count, image_format)
    folder.mkdir(parents=True, exist_ok=True)
    places = [(index, folder / name) for index, name in enumerate(names)]
    work, few = partial(write_scene, series), min(workers, -(-count // SCENES_A_PROCESS))
    written = answers(work, places, few, doing="composes scenes")
    return replace(annotated(written, names, categories), image_folder=folder)


def annotated(written: Iterable[Written], names: Sequence[str], categories: Sequence[Category]) -> AnnotationSet:
    """The annotations of scenes as they are written, one after the other, with ids from 1.

    Raises:
        UserError: Not one object found a place in any scene.
    """
    images: list[ImageRecord] = []
    annotations: list[Annotation] = []
    with tqdm(total=len(names), desc="Composing scenes", unit="scene") as progress:
        for (height, width), found in written:
            images.append(ImageRecord(len(images) + 1, names[len(images)], height, width))
            annotations += [replace(found[i], id=len(annotations) + 1 + i) for i in range(len(found))]
            progress.update()
    if not annotations:
        raise UserError(
            "no object found a place in any scene", remedy="Lower min_visible_area or min_inside, or change scale"
        )
    return AnnotationSet(images, annotations, list(categories))


class SceneFolder:
    """A folder of scenes, written whole or not at all.

    Use it in a `with` statement: what is put into the folder that it gives moves there at the end, and the images of an
    earlier run make way, which its annotations list. Where the block fails, all stays as it was.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self._drafts = folder, folder / ".unfinished"

    def __enter__(self) -> Path:
        """An empty folder, with one for the images in it."""
        shutil.rmtree(self._drafts, ignore_errors=True)  # of a run that was killed
        (self._drafts / IMAGES).mkdir(parents=True)
        return self._drafts

    def __exit__(self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None) -> None:
        """Moves all, or removes it."""
        try:
            if kind is None:
                self._move()
        finally:
            shutil.rmtree(self._drafts, ignore_errors=True)

    def _move(self) -> None:
        old = earlier(self.folder)
        annotations, images = self.folder / ANNOTATIONS, self.folder / IMAGES
        annotations.unlink(missing_ok=True)  # they describe the images that are replaced now
        images.mkdir(exist_ok=True)
        for path in old:
            path.unlink(missing_ok=True)
        for path in (self._drafts / IMAGES).iterdir():
            path.replace(images / path.name)
        (self._drafts / ANNOTATIONS).replace(annotations)


def earlier(folder: Path) -> list[Path]:
    """The images of the scenes in a folder, if its annotations are ours: they number names and ids as we do."""
    try:
        listed = JsonDocument(folder / ANNOTATIONS).members["images"]
        names, ids = [image["file_name"] for image in listed], [image["id"] for image in listed]
        numbered = [scene_names(len(ids), "jpg"), scene_names(len(ids), "png")]
        ours = ids == list(range(1, len(ids) + 1)) and names in numbered
    except (UserError, KeyError, TypeError):  # there are none, or they are of another kind
        return []
    return [folder / IMAGES / name for name in names] if ours else []


def write_scene(series: Series, place: tuple[int, Path]) -> Written:
    """Composes a scene and writes its image; gives its size and its annotations, with ids from 1."""
    index, path = place
    scene = series.scene(index)
    write_image(path, scene.image, quality=92, subsampling=0)
    size = (scene.image.shape[0], scene.image.shape[1])
    return size, encode_scene(scene, index + 1, 1, series.category_ids)
