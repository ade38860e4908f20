"""Annotated images, cut into parts that take their annotations along."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from amodal import __version__
from amodal.addresses import changes
from amodal.annotations import AnnotationSet
from amodal.scale.sources import FEWEST_PARTS, MOST_ROWS


def of_images(given: AnnotationSet, batch: int) -> list[AnnotationSet]:
    """The data set in parts, whose images follow each other as they do in it.

    Args:
        given: The data set.
        batch: Images that a model sees at a time: parts are so cut that it sees the same ones together.
    """
    size = max(1, min(MOST_ROWS, -(-len(given.images) // FEWEST_PARTS)))
    size = -(-size // batch) * batch
    folder = None if given.image_folder is None else given.image_folder.absolute()
    bare = replace(given, image_folder=folder, document={}, category_fields={})
    parts = [given.images[low : low + size] for low in range(0, len(given.images), size)]
    return [
        replace(bare, images=images, annotations=[a for image in images for a in given.by_image.get(image.id, [])])
        for images in parts
    ]


def identity(given: AnnotationSet, model: str) -> dict[str, Any]:
    """What tells whether shards that are there were made of the same data with the same model."""
    files = [Path(one) for one in (given.source, model) if one is not None]
    written: list[list[Any]] = [[str(path.absolute()), path.stat().st_mtime_ns] for path in files if path.exists()]
    archives = sorted({image.stored.archive for image in given.images if image.stored})
    written += [[archive, changes(archive)] for archive in archives]  # lists, as JSON gives them back
    return {"version": __version__, "files": written, "objects": len(given.annotations)}


def everywhere(model: str) -> str:
    """A model's name as every process understands it, whatever folder it works in."""
    return str(Path(model).absolute()) if Path(model).exists() else model
