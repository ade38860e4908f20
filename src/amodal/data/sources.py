"""A data set opened from its settings."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from amodal.data.config import FileSource, PhotographSource, SceneSource, Source
from amodal.data.dataset import AnnotatedImages, MappedImages
from amodal.data.mapped import shared
from amodal.data.reading import identity, read_all
from amodal.data.synthetic import ComposedScenes
from amodal.formats import annotation_files
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import open_backgrounds
from amodal.synthesis.covering import CoveredSeries
from amodal.synthesis.cutout_sources import open_cutouts
from amodal.synthesis.cutouts import CutOutSource
from amodal.synthesis.photographs import Photographs
from amodal.synthesis.scene_files import SceneSeries

Samples = AnnotatedImages | MappedImages | ComposedScenes


def open_source(source: Source) -> Samples:
    """The samples that the settings describe. Raises UserError where something is missing, damaged or empty."""
    if isinstance(source, PhotographSource):
        annotation_set = annotation_files.read(source.photographs, source.images)
        photographs = Photographs(
            annotation_set, source.categories, source.side, merged=source.merged, up_to_border=True
        ).repeated(source.repeat_threshold)
        occluders = AnnotatedCutOuts(annotation_set, uniform="objects")
        ids = _ids(photographs.categories)
        covered = CoveredSeries(photographs, occluders, source.occlusion, source.seed, ids, source.group)
        return ComposedScenes(covered, photographs.categories, count=source.count)
    if isinstance(source, SceneSource):
        cutouts = _open_cutouts(source)
        backgrounds = open_backgrounds(source.backgrounds, source.split)
        series = SceneSeries(cutouts, backgrounds, source.scenes, source.seed, _ids(cutouts.categories))
        return ComposedScenes(series, cutouts.categories, count=source.count)
    kept = {"keep_empty": source.keep_empty, "keep_stuff": source.keep_stuff}
    if source.cache is not None:
        return MappedImages(shared(partial(read_all, source), identity(source), Path(source.cache), **kept))
    return AnnotatedImages(read_all(source), **kept)


def _ids(names: Sequence[str]) -> tuple[int, ...]:
    """The ids of composed scenes' categories: 1, 2, ..."""
    return tuple(range(1, len(names) + 1))


def _open_cutouts(source: SceneSource) -> CutOutSource:
    """The objects of an annotation file, of a folder, or drawn ones."""
    if annotation_files.holds_annotations(Path(source.cutouts)):
        return AnnotatedCutOuts(annotation_files.read(source.cutouts), source.split)
    return open_cutouts(source.cutouts, source.split)


def is_endless(source: Source) -> bool:
    """Whether the source composes a new scene every time."""
    return not isinstance(source, FileSource) and source.count is None


def num_samples(source: Source, samples: Samples) -> int | None:
    """How many samples there are before they repeat; None for scenes composed without end."""
    return None if is_endless(source) else len(samples)
