"""`amodal complete`: ordinary annotations in, amodal annotations out."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.arguments import SHARE
from amodal.commands.convert import Format, require_place
from amodal.commands.declared import READS, WRITES_EITHER

if TYPE_CHECKING:
    from amodal.annotations import AnnotationSet


@dataclass(frozen=True)
class How:
    """How objects are completed."""

    images: Annotated[Path | None, READS] = None
    """Image folder, if it is not found near the annotations."""
    predictions: Annotated[Path | None, READS] = None
    """COCO results of any detector with visible masks, to complete in place of what is annotated."""
    any_category: bool = False
    """Also complete objects of categories that the model does not know, as whichever scores highest; they keep their
    own category."""
    occluders: Literal["anything", "given"] = "anything"
    """What may hide an object: anything in its image, or only what is annotated there. The latter is sharper where
    everything in the images is annotated."""
    untouched: Literal["auto", "stay", "complete"] = "auto"
    """Annotated objects that no other one touches: auto completes them with a completer, which tells itself whether an
    object is occluded, and leaves them with a detector, which does not. (Detections, with --predictions, are all
    completed.)"""
    least_change: Annotated[float, SHARE] = 0.05
    """Invisible parts of annotated objects that are smaller than this share of what is visible are dropped."""
    device: str | None = None
    """cpu, cuda or cuda:1; a GPU where there is one by default."""
    ray: str | None = None
    """Work on a Ray cluster, to the same outcome: local (this machine), auto (the one it belongs to) or HOST:PORT. What
    is done is kept in OUT.shards until all is."""


def complete(
    annotations: Annotated[Path, tyro.conf.Positional, READS],
    checkpoint: Annotated[str, tyro.conf.Positional, READS] = "completer",
    *,
    out: Annotated[Path, WRITES_EITHER],
    to: Format | Literal["results"] | None = None,
    overwrite: bool = False,
    how: Annotated[How, tyro.conf.arg(name="")] = How(),
) -> None:
    """Completes annotated objects: masks of what is visible in, the same with the whole objects out.

    Reads COCO's instances, labelme's and YOLO's polygons and every other known format. What is written can be
    corrected by hand: `--to labelme` draws each object whole and as far as it is visible, paired by group id. Objects
    may be of any category: the completer in the package asks for none.

    With --predictions it completes what a detector has found: scores, categories and order stay.

    Args:
        annotations: Annotation file or folder; with --predictions, the images that these are about: annotations, whose
            objects are then left out, or a folder of images, named by their ids or taken in order.
        checkpoint: A checkpoint, an exported completer, the name of a model in the package, or hf://USER/MODEL.
        out: File to write, or a folder for labelme, fiftyone and yolo.
        to: Format to write; d2sa by default, and COCO results with --predictions.
        overwrite: Replace files that are there.
        how: How objects are completed.
    """
    from amodal.errors import UserError

    if how.predictions is not None:
        if how.ray is not None:
            raise UserError("--ray completes annotations, not --predictions", remedy="Leave one of them out")
        _complete_predictions(annotations, checkpoint, out, to or "results", how)
        return
    from amodal.formats import annotation_files
    from amodal.inference.careful import Care
    from amodal.inference.completion import complete_annotations
    from amodal.inference.predictor import load

    to = to or "d2sa"
    if to == "results":
        raise UserError("annotations have no scores", remedy="--to results is for --predictions")
    require_place(out, annotations, to)
    given = annotation_files.read(annotations, how.images)
    annotation_files.claim(given, out, to)
    care = Care(how.untouched, how.least_change)
    if how.ray is not None:
        _complete_shards(given, checkpoint, out, to, how)
        return
    predictor = load(checkpoint, how.device)
    completed = complete_annotations(
        given, predictor, any_category=how.any_category, occluders=how.occluders, care=care
    )
    _write(completed, out, to)


def _complete_shards(given: "AnnotationSet", model: str, out: Path, to: Format, how: How) -> None:
    """Completes on a cluster; the shards are let go when the outcome is written."""
    from amodal.inference.careful import Care
    from amodal.scale.completion import Completion, complete
    from amodal.scale.shards import ShardFolder
    from amodal.scale.work import Cluster

    task = Completion(model, how.any_category, how.occluders, Care(how.untouched, how.least_change))
    shards = ShardFolder(Path(f"{out}.shards"))
    _write(complete(task, given, shards, cluster=Cluster(how.ray or "local", how.device)), out, to)
    shards.remove()


def _complete_predictions(source: Path, checkpoint: str, out: Path, to: Format | Literal["results"], how: How) -> None:
    from amodal.formats import annotation_files
    from amodal.inference.complete_results import as_annotations, complete_results, images_of
    from amodal.inference.predictor import load
    from amodal.outputs import claim
    from amodal.results import result_files

    assert how.predictions is not None
    if to == "results":
        claim([out])
    else:
        require_place(out, source, to)
    images = images_of(source, how.predictions, how.images)
    if to != "results":
        annotation_files.claim(images, out, to)
    completed = complete_results(images, how.predictions, load(checkpoint, how.device), how.occluders)
    if to == "results":
        result_files.write(completed, out)
        print(f"{out}: {len(completed):,} objects in {len(images.images):,} images, COCO results")
    else:
        _write(as_annotations(images, completed), out, to)


def _write(completed: "AnnotationSet", out: Path, to: Format) -> None:
    from amodal.formats import annotation_files

    annotation_files.WRITERS[to](completed, out)
    for line in (*annotation_files.lost(completed, to), *annotation_files.others(completed, out, to)):
        print(line)
    grown = sum(a.amodal != a.visible for a in completed.annotations)
    print(f"{grown:,} objects are partly hidden, the others stay as they are")
    print(f"{out}: {len(completed.annotations):,} objects in {len(completed.images):,} images, {to}")
