"""`amodal complete`: ordinary annotations in, amodal annotations out."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from amodal.commands.convert import Format, require_place
from amodal.commands.declared import READS, WRITES_EITHER


@dataclass(frozen=True)
class How:
    """How objects are completed."""

    images: Annotated[Path | None, READS] = None
    """Image folder, if it is not found near the annotations."""
    any_category: bool = False
    """Also complete objects of categories that the model does not know, as whichever scores highest; they keep their
    own category."""
    occluders: Literal["anything", "given"] = "anything"
    """What may hide an object: anything in its image, or only what is annotated there. The latter is sharper where
    everything in the images is annotated."""
    device: str | None = None
    """cpu, cuda or cuda:1; a GPU where there is one by default."""


def complete(
    annotations: Annotated[Path, tyro.conf.Positional, READS],
    checkpoint: Annotated[str, tyro.conf.Positional, READS],
    *,
    out: Annotated[Path, WRITES_EITHER],
    to: Format = "d2sa",
    overwrite: bool = False,
    how: Annotated[How, tyro.conf.arg(name="")] = How(),
) -> None:
    """Completes annotated objects: masks of what is seen in, the same with the whole objects out.

    Reads COCO's instances, labelme's and YOLO's polygons and every other known format. What is written can be
    corrected by hand: `--to labelme` draws each object whole and as far as it is seen, paired by group id.

    Args:
        annotations: Annotation file or folder.
        checkpoint: A checkpoint, the name of a model in the package, or hf://USER/MODEL.
        out: File to write, or a folder for labelme and yolo.
        to: Format to write.
        overwrite: Replace files that are there.
        how: How objects are completed.
    """
    from amodal.data import formats
    from amodal.inference.completion import complete_annotations
    from amodal.inference.predictor import load

    require_place(out, annotations, to)
    given = formats.read(annotations, how.images)
    predictor = load(checkpoint, how.device)
    completed = complete_annotations(given, predictor, any_category=how.any_category, occluders=how.occluders)
    formats.WRITERS[to](completed, out)
    for line in formats.lost(completed, to):
        print(line)
    print(f"{out}: {len(completed.annotations):,} objects in {len(completed.images):,} images, {to}")
