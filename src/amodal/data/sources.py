"""A data set opened from its settings."""

from functools import reduce
from pathlib import Path

from amodal.annotations import AnnotationSet
from amodal.data import formats
from amodal.data.config import FileSource, SceneSource
from amodal.data.dataset import AnnotatedImages
from amodal.data.merging import merge
from amodal.data.synthetic import ComposedScenes
from amodal.errors import UserError
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.cutouts import CutOutSource, open_cutouts


def open_source(source: FileSource | SceneSource) -> AnnotatedImages | ComposedScenes:
    """The samples that the settings describe. Raises UserError where something is missing, damaged or empty."""
    if isinstance(source, SceneSource):
        cutouts = _open_cutouts(source)
        backgrounds = open_backgrounds(source.backgrounds, source.split)
        return ComposedScenes(cutouts, backgrounds, source.scenes, count=source.count, seed=source.seed)
    annotation_set = read_all(source)
    return AnnotatedImages(annotation_set, keep_empty=source.keep_empty, keep_stuff=source.keep_stuff)


def _open_cutouts(source: SceneSource) -> CutOutSource:
    """The objects of an annotation file, of a folder, or drawn ones."""
    if formats.holds_annotations(Path(source.cutouts)):
        return AnnotatedCutOuts(formats.read(source.cutouts), source.split)
    return open_cutouts(source.cutouts, source.split)


def num_samples(source: FileSource | SceneSource, samples: AnnotatedImages | ComposedScenes) -> int | None:
    """How many samples there are before they repeat; None for scenes composed without end."""
    return None if isinstance(source, SceneSource) and source.count is None else len(samples)


def read_all(source: FileSource) -> AnnotationSet:
    """All files of a source as one annotation set.

    Raises:
        UserError: A file cannot be read, or two list different categories or lie over different image folders.
    """
    if not source.annotations:
        raise UserError("no annotation file is named", remedy="Name at least one")
    return reduce(merge, (formats.read(path, source.images) for path in source.annotations))
