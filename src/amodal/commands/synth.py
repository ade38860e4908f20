"""`amodal synth`: scenes with known truth, as image files and annotations."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.commands.declared import COUNT, FROM_ZERO, READS, WRITES_IN
from amodal.synthesis.config import SceneConfig, Split

if TYPE_CHECKING:
    from amodal.annotations import Category
    from amodal.synthesis.cutouts import CutOutSource

DEFAULT_SCENES = SceneConfig()


@dataclass(frozen=True)
class SceneParts:
    """What scenes are made from."""

    cutouts: Annotated[str, READS] = "drawn"
    """`drawn` (built in), a folder `<category>/<object>/*.png` with transparency, or an annotation file, whose
    unoccluded objects are cut out."""
    backgrounds: Annotated[str, READS] = "drawn"
    """`drawn`, `plain`, or a folder of photographs."""
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
    """Replace the scenes that are there."""


def synth(
    output: Annotated[SceneOutput, tyro.conf.arg(name="")],
    parts: Annotated[SceneParts, tyro.conf.arg(name="")] = SceneParts(),
    scenes: Annotated[SceneConfig, tyro.conf.arg(name="")] = DEFAULT_SCENES,
    workers: Annotated[int | None, COUNT] = None,
) -> None:
    """Compose scenes from cut-outs: images, with every object's amodal and visible mask known exactly.

    Args:
        output: What is written.
        parts: What scenes are made from.
        scenes: How scenes are composed.
        workers: Processes that share the work; they do not change the outcome. One a core unless said.
    """
    from amodal.data import coco
    from amodal.outputs import claim
    from amodal.synthesis.backgrounds import open_backgrounds
    from amodal.synthesis.scene_files import SceneSeries, all_or_none, scene_names, write_scenes

    annotations, images = output.out / "annotations.json", output.out / "images"
    there = images.iterdir() if images.is_dir() else ()
    claim([annotations, *(images / name for name in scene_names(output.count, output.image_format)), *there])
    source, categories = _open_cutouts(parts)
    ids = tuple(category.id for category in categories)
    series = SceneSeries(source, open_backgrounds(parts.backgrounds, parts.split), scenes, output.seed, ids)
    with all_or_none(images) as drafts:
        written = write_scenes(
            series,
            drafts,
            output.count,
            categories,
            image_format=output.image_format,
            workers=workers or os.cpu_count() or 1,
        )
        annotations.unlink(missing_ok=True)  # they describe the images that are replaced now
    coco.write(replace(written, image_folder=images), annotations)
    print(f"{annotations}: {len(written.images)} images, {len(written.annotations)} objects")


def _open_cutouts(parts: SceneParts) -> "tuple[CutOutSource, list[Category]]":
    """The cut-outs, and their categories: an annotation file keeps its ids, others count from 1."""
    from amodal.annotations import Category
    from amodal.data import formats
    from amodal.synthesis.annotated import AnnotatedCutOuts
    from amodal.synthesis.cutouts import open_cutouts

    if formats.holds_annotations(Path(parts.cutouts)):
        annotation_set = formats.read(parts.cutouts)
        categories = sorted(annotation_set.categories, key=lambda category: category.id)
        return AnnotatedCutOuts(annotation_set, parts.split), categories
    source = open_cutouts(parts.cutouts, parts.split)
    return source, [Category(i, name) for i, name in enumerate(source.categories, start=1)]
