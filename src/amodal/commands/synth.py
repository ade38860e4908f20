"""`amodal synth`: scenes with known truth, as image files and annotations."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.arguments import COUNT, FROM_ZERO
from amodal.commands.declared import READS, WRITES_IN
from amodal.synthesis.config import OcclusionConfig, SceneConfig, Split

if TYPE_CHECKING:
    from amodal.annotations import AnnotationSet, Category
    from amodal.synthesis.cutouts import CutOutSource
    from amodal.synthesis.scene_files import Series

DEFAULT_SCENES, DEFAULT_OCCLUSION = SceneConfig(), OcclusionConfig()


@dataclass(frozen=True)
class SceneParts:
    """What scenes are made from."""

    cutouts: Annotated[str, READS] = "drawn"
    """`drawn` (built in), a folder `<category>/<object>/*.png` with transparency, or an annotation file, whose
    unoccluded objects are cut out."""
    backgrounds: Annotated[str, READS] = "drawn"
    """`drawn`, `plain`, or a folder of photographs."""
    photographs: Annotated[Path | None, READS] = None
    """Annotations of photographs, in place of backgrounds: their objects keep their place, and cut-outs of other
    photographs are laid over them, as `--occlusion.*` says."""
    images: Annotated[Path | None, READS] = None
    """Image folder of the annotations, if it is not found near them."""
    side: Annotated[int, COUNT] = 384
    """Longer side of a photograph, in pixels."""
    split: Split = "all"
    """Which objects and backgrounds: the first three quarters of each train, the others validate."""


@dataclass(frozen=True)
class SceneOutput:
    """What is written."""

    out: Annotated[Path, WRITES_IN]
    """Folder for `annotations.json` (D2SA's format) and `images/`."""
    count: Annotated[int, COUNT] = 100
    """Number of scenes."""
    seed: Annotated[int, FROM_ZERO] = 0
    """Scene n of a seed is always the same."""
    image_format: Literal["jpg", "png"] = "jpg"
    """`png` keeps every pixel as composed."""
    overwrite: bool = False
    """Replace the scenes that are there, all of them."""


def synth(
    output: Annotated[SceneOutput, tyro.conf.arg(name="")],
    parts: Annotated[SceneParts, tyro.conf.arg(name="")] = SceneParts(),
    scenes: Annotated[SceneConfig, tyro.conf.arg(name="")] = DEFAULT_SCENES,
    occlusion: OcclusionConfig = DEFAULT_OCCLUSION,
    workers: Annotated[int | None, COUNT] = None,
    ray: str | None = None,
) -> None:
    """Compose scenes from cut-outs: images, with every object's amodal and visible mask known exactly.

    With `--photographs`, objects that are not whole in their photograph (they touch its border or another object) are
    written as crowds: nobody knows their amodal masks.

    Args:
        output: What is written.
        parts: What scenes are made from.
        scenes: How scenes are composed.
        occlusion: How photographs are covered.
        workers: Processes that share the work; they do not change the outcome. One a core unless said.
        ray: Work on a Ray cluster, to the same outcome: local (this machine), auto (the one it belongs to) or
            HOST:PORT. All its machines have the folder under the same path; what is done is kept until all is.
    """
    from amodal.folder_lock import locked
    from amodal.formats import coco
    from amodal.outputs import claim
    from amodal.synthesis.scene_files import ANNOTATIONS, IMAGES, SceneFolder, scene_names, write_scenes

    annotations, images = output.out / ANNOTATIONS, output.out / IMAGES
    with locked(output.out):
        there = images.iterdir() if images.is_dir() else ()
        claim([annotations, *(images / name for name in scene_names(output.count, output.image_format)), *there])
        if parts.photographs is not None:
            series, categories = _open_photographs(parts.photographs, parts, occlusion, output.seed)
        else:
            series, categories = _open_scenes(parts, scenes, output.seed)
        with SceneFolder(output.out) as drafts:
            if ray is not None:
                settings = {"parts": repr((parts, scenes, occlusion)), "output": repr(output)}
                written = _in_shards(series, drafts, categories, settings, output, ray)
            else:
                written = write_scenes(
                    series,
                    drafts / IMAGES,
                    output.count,
                    categories,
                    image_format=output.image_format,
                    workers=workers or os.cpu_count() or 1,
                )
            coco.write(replace(written, image_folder=images), drafts / ANNOTATIONS)
    print(f"{annotations}: {len(written.images)} images, {len(written.annotations)} objects")


def _in_shards(
    series: "Series",
    drafts: Path,
    categories: "list[Category]",
    settings: dict[str, str],
    output: SceneOutput,
    address: str,
) -> "AnnotationSet":
    """Composes on a cluster, and moves the images to a folder in `drafts`."""
    from amodal.scale.composition import compose
    from amodal.scale.shards import ShardFolder
    from amodal.scale.work import Cluster
    from amodal.synthesis.scene_files import IMAGES, scene_names

    shards, names = ShardFolder(output.out / ".shards"), scene_names(output.count, output.image_format)
    written = compose(series, names, categories, settings, shards=shards, cluster=Cluster(address))
    for name in names:
        (shards.folder / "images" / name).replace(drafts / IMAGES / name)
    shards.remove()
    return written


def _open_photographs(
    photographs: Path, parts: SceneParts, occlusion: OcclusionConfig, seed: int
) -> "tuple[Series, list[Category]]":
    """Covered photographs, and their categories with the annotations' ids."""
    from amodal.formats import annotation_files
    from amodal.synthesis.annotated import AnnotatedCutOuts
    from amodal.synthesis.covering import CoveredSeries
    from amodal.synthesis.photographs import Photographs

    annotation_set = annotation_files.read(photographs, parts.images)
    categories = sorted(annotation_set.categories, key=lambda category: category.id)
    occluders = AnnotatedCutOuts(annotation_set, uniform="objects")
    ids = tuple(category.id for category in categories)
    return CoveredSeries(Photographs(annotation_set, side=parts.side), occluders, occlusion, seed, ids), categories


def _open_scenes(parts: SceneParts, scenes: SceneConfig, seed: int) -> "tuple[Series, list[Category]]":
    """Scenes of cut-outs over backgrounds, and their categories."""
    from amodal.synthesis.backgrounds import open_backgrounds
    from amodal.synthesis.scene_files import SceneSeries

    source, categories = _open_cutouts(parts)
    ids = tuple(category.id for category in categories)
    return SceneSeries(source, open_backgrounds(parts.backgrounds, parts.split), scenes, seed, ids), categories


def _open_cutouts(parts: SceneParts) -> "tuple[CutOutSource, list[Category]]":
    """The cut-outs, and their categories: an annotation file keeps its ids, others count from 1."""
    from amodal.annotations import Category
    from amodal.formats import annotation_files
    from amodal.synthesis.annotated import AnnotatedCutOuts
    from amodal.synthesis.cutout_sources import open_cutouts

    if annotation_files.holds_annotations(Path(parts.cutouts)):
        annotation_set = annotation_files.read(parts.cutouts, parts.images)
        categories = sorted(annotation_set.categories, key=lambda category: category.id)
        return AnnotatedCutOuts(annotation_set, parts.split), categories
    source = open_cutouts(parts.cutouts, parts.split)
    return source, [Category(i, name) for i, name in enumerate(source.categories, start=1)]
