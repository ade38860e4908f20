"""Where the images of an annotation file lie: annotation files name them, but not their folder."""

import os
from pathlib import Path
from typing import Any

from amodal.files import is_file

# As the archives of D2SA, KITTI (KINS) and COCO (COCOA) unpack, beside the annotations or one folder up.
_TRAINING = ("training/image_2", "train2014", "train2017")
_TESTING = ("testing/image_2", "val2014", "val2017", "test2014")
_ANY = ("images", "", "d2s_amodal_images_v1/images")


def find(path: Path, images: list[Any], given: Path | None = None) -> Path | None:
    """The image folder of the annotation file at `path`.

    Args:
        path: The annotation file.
        images: Its raw image entries; the first few names are looked for.
        given: The folder the user named.

    Returns:
        `given`, or the first likely folder that holds one of the images, or None.
    """
    if given is not None:
        return given
    names = [i["file_name"] for i in images[:20] if isinstance(i, dict) and isinstance(i.get("file_name"), str)]
    # KITTI numbers its training and its testing images alike: the file's name tells which are meant.
    splits = _TRAINING + _TESTING if "train" in path.name else _TESTING + _TRAINING
    for folder in (parent / inside for parent in (path.parent, path.parent.parent) for inside in (*_ANY, *splits)):
        if any(is_file(folder / name) for name in names):
            return folder
    return None


def link(place: Path, images: Path | None) -> None:
    """A link at `place` to the image folder, where that is known and nothing is there: formats name images below it."""
    if images is not None and not os.path.lexists(place):
        place.symlink_to(images.resolve(), target_is_directory=True)
