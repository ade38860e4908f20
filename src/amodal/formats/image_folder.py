"""Where the images of an annotation file lie, and the files of formats that have one for each of them."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path, PurePath
from typing import Any

from amodal.annotations import ImageRecord
from amodal.errors import UserError
from amodal.files import is_file, place_of
from amodal.formats.records import inside
from amodal.pictures import IMAGE_SUFFIXES

# As the archives of D2SA, KITTI (KINS) and COCO (COCOA) unpack, beside the annotations or one folder up.
_TRAINING = ("train2014", "train2017")
_TESTING = ("val2014", "val2017", "test2014")
_KITTI_TRAINING, _KITTI_TESTING = "training/image_2", "testing/image_2"
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
    splits = _TRAINING + _TESTING if "train" in path.name else _TESTING + _TRAINING
    splits = (*_of_kitti(path.name), *splits)
    for folder in (parent / below for parent in (path.parent, path.parent.parent) for below in (*_ANY, *splits)):
        if any(is_file(place_of(folder, name)) for name in names):
            return folder
    return None


def _of_kitti(name: str) -> tuple[str, ...]:
    """KITTI's folders that a file may mean. Both number their images alike, so that only its name tells them apart."""
    if "train" in name:
        return (_KITTI_TRAINING,)
    stated = "val" in name or "test" in name
    return (_KITTI_TESTING,) if stated else (_KITTI_TESTING, _KITTI_TRAINING)


def by_stem(folder: Path | None) -> Callable[[PurePath], str | None]:
    """Finds `a/b.JPG` in a folder by `a/b`, for formats that name pictures without their endings; None without one.

    Endings are pictures', in upper or lower case. Each folder is listed once.
    """

    @cache
    def listed(parent: PurePath) -> dict[str, str]:
        try:
            names = os.listdir(folder / parent) if folder is not None else []  # noqa: PTH208 - names are wanted
        except OSError:
            return {}
        pictures = [name for name in names if PurePath(name).suffix.lower() in IMAGE_SUFFIXES]
        # Of several with one stem, the usual ending: later ones take the place of those before them.
        pictures.sort(key=lambda name: (-IMAGE_SUFFIXES.index(PurePath(name).suffix.lower()), name))
        return {PurePath(name).stem: name for name in pictures}

    def find_one(stem: PurePath) -> str | None:
        name = listed(stem.parent).get(stem.name)
        return None if name is None else (stem.parent / name).as_posix()

    return find_one


def link(place: Path, images: Path | None) -> None:
    """A link at `place` to the image folder, where that is known: formats name images below it.

    A folder that is there stays; a link that leads elsewhere is another data set's, and is replaced.
    """
    if images is None:
        return
    if place.is_symlink() and place.resolve() != images.resolve():
        place.unlink()
    if not os.path.lexists(place):
        place.symlink_to(images.resolve(), target_is_directory=True)


def one_each(images: Sequence[ImageRecord], folder: Path, suffix: str) -> list[Path]:
    """The files of a format that has one for each image, called by the image's name with another ending.

    Raises:
        UserError: Two images would have the same file, as those of `a.jpg` and `a.png`.
    """
    owners: dict[Path, str] = {}
    for image in images:
        place = folder / inside(image.file_name).with_suffix(suffix)
        if place in owners:
            problem = f"would be the file of two images, {owners[place]} and {image.file_name}"
            raise UserError(problem, file=place, remedy="Rename one of them, or take a format of one file for all")
        owners[place] = image.file_name
    return list(owners)
