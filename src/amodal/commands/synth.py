"""`amodal synth`: scenes with known truth, as image files and annotations."""

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.synthesis.config import SceneConfig, Split

if TYPE_CHECKING:
    from amodal.annotations import Category
    from amodal.synthesis.cutouts import CutOutSource

DEFAULT_SCENES = SceneConfig()


@dataclass(frozen=True)
class SceneParts:
    """What scenes are made from."""

    cutouts: str = "drawn"
    """`drawn` (built in), a folder `<category>/<object>/*.png` with transparency, or an annotation file, whose
    unoccluded objects are cut out."""
    backgrounds: str = "drawn"
    """`drawn`, `plain`, or a folder of photographs."""
    split: Split = "all"
    """Which objects and backgrounds: the first three quarters of each train, the others validate."""


@dataclass(frozen=True)
class SceneOutput:
    """What is written."""

    out: Path
    """Folder for `annotations.json` (D2SA's format) and `images/`."""
    count: int = 100
    """Number of scenes."""
    seed: int = 0
    """Scene n of a seed is always the same."""
    image_format: Literal["jpg", "png"] = "jpg"
    """`png` keeps every pixel as composed."""
    overwrite: bool = False
    """Replace the scenes that are there."""


def synth(
    output: Annotated[SceneOutput, tyro.conf.arg(name="")],
    parts: Annotated[SceneParts, tyro.conf.arg(name="")] = SceneParts(),
    scenes: Annotated[SceneConfig, tyro.conf.arg(name="")] = DEFAULT_SCENES,
    workers: int | None = None,
) -> None:
    """Compose scenes from cut-outs: images, with every object's amodal and visible mask known exactly.

    Args:
        output: What is written.
        parts: What scenes are made from.
        scenes: How scenes are composed.
        workers: Processes that share the work; they do not change the outcome. One a core unless said.
    """
    from amodal.data import coco
    from amodal.errors import UserError
    from amodal.synthesis.backgrounds import open_backgrounds
    from amodal.synthesis.scene_files import SceneSeries, all_or_none, write_scenes

    annotations = output.out / "annotations.json"
    if output.count < 1 or output.seed < 0:
        raise UserError(f"count {output.count}, seed {output.seed}: count starts at 1, seed at 0")
    if annotations.exists() and not output.overwrite:
        raise UserError("is there already", file=annotations, remedy="Choose another --out, or add --overwrite")
    source, categories = _open_cutouts(parts)
    ids = tuple(category.id for category in categories)
    series = SceneSeries(source, open_backgrounds(parts.backgrounds, parts.split), scenes, output.seed, ids)
    images = output.out / "images"
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
