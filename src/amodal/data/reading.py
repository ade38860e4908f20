"""The annotation files of a source as one data set. No torch here, which another process would wait for."""

from functools import reduce
from pathlib import Path

from amodal.addresses import absolute, changes, listed
from amodal.annotations import AnnotationSet
from amodal.archives import ENDING, are_archives
from amodal.data.config import FileSource
from amodal.data.merging import merge
from amodal.errors import UserError
from amodal.formats import annotation_files


def read_all(source: FileSource) -> AnnotationSet:
    """All files of a source as one annotation set.

    Raises:
        UserError: A file cannot be read, or two list different categories or lie over different image folders.
    """
    if not source.annotations:
        raise UserError("no annotation file is named", remedy="Name at least one")
    archives = [name for name in source.annotations if are_archives(name)]
    files = [annotation_files.read(name, source.images) for name in source.annotations if name not in archives]
    return reduce(merge, [*files, *([annotation_files.read_archives(archives)] if archives else [])])


def identity(source: FileSource) -> tuple[object, ...]:
    """What annotations follow from: their files, by size and time."""
    names = [name for name in (*source.annotations, source.images) if name is not None and are_archives(name)]
    files = [path for name in source.annotations if name not in names for path in _files(Path(name))]
    told = [(str(path.absolute()), (stat := path.stat()).st_size, stat.st_mtime_ns) for path in files]
    archives = [(archive, changes(archive)) for archive in listed(names, ENDING)]
    return (*told, *archives, source.images and absolute(source.images))


def _files(path: Path) -> list[Path]:
    """A file, or those in a folder of annotations."""
    return [path] if not path.is_dir() else sorted(one for one in path.rglob("*") if one.is_file())
