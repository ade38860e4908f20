"""Every annotation format of the field: recognised from the file, read into an AnnotationSet."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence, Set
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from amodal import outputs
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.formats import coco, cocoa, cvat, fiftyone, kins, label_studio, labelme, losses, records, webdataset, yolo
from amodal.formats.category_tree import without_parent
from amodal.formats.choices import AS_STATED, Choices
from amodal.formats.contents import Contents
from amodal.formats.json_stream import gc_paused
from amodal.formats.problems import KINDS, Problem, Report
from amodal.formats.recognition import contents, holds_annotations, of_archives

__all__ = ["FOLDERS", "WRITERS", "Writer", "assemble", "contents", "holds_annotations", "lost", "read", "read_archives"]


def read(path: str | Path, images: str | Path | None = None, choices: Choices = AS_STATED) -> AnnotationSet:
    """Reads annotations of any format that this package knows.

    Masks are kept to the pixel, visible masks are cut to their amodal masks, ids are kept; `repairs` of the result
    counts what was mended.

    Args:
        path: An annotation file, or a folder of labelme's or YOLO's files, or WebDataset's shards by their path or
            address.
        images: The image folder, or archives with the images. Otherwise it is looked for near the file.
        choices: How to take what may be meant in two ways.

    Raises:
        UserError: The file is missing, of no known format, or holds a record that cannot be used.
    """
    return _read(partial(contents, path, images), path, choices)


def read_archives(names: Sequence[str | Path]) -> AnnotationSet:
    """Reads many of WebDataset's shards as one data set. Raises UserError as `read`."""
    return _read(partial(of_archives, names), names[0], AS_STATED)


def _read(stated: Callable[[], Contents], path: str | Path, choices: Choices) -> AnnotationSet:
    repairs: Counter[str] = Counter()

    def report(problem: Problem) -> None:
        if KINDS[problem.kind].outcome == "refused":
            remedy = f"`amodal data check {path}` lists all that is wrong, with `--fix OUT` it writes a mended file"
            raise UserError(problem.detail, file=path, record=problem.record, remedy=remedy)
        repairs[problem.kind] += 1

    with gc_paused():
        annotation_set = assemble(replace(stated(), choices=choices), report)
    crowds = sum(annotation.is_crowd for annotation in annotation_set.annotations)
    if crowds * 2 > len(annotation_set.annotations):  # of COCO's it is one in a hundred
        repairs["crowd"] = crowds
    annotation_set.repairs.update(repairs)
    return annotation_set


def assemble(contents: Contents, report: Report) -> AnnotationSet:
    """What is usable of a file's contents; `report` is told what is not."""
    images = records.images(contents, report)
    categories = records.categories(contents, report)
    annotations = _at_once(contents, images, categories)
    if annotations is None:
        annotations = [annotation for _, annotation in records.annotations(contents, images, categories, report)]
    categories = without_parent(categories, annotations, report)
    return records.assemble(contents, images, annotations, categories)


def _at_once(contents: Contents, images: list[ImageRecord], categories: list[Category]) -> list[Annotation] | None:
    """All annotations, where every one is in its format's usual form and nothing was chosen otherwise."""
    if contents.choices != AS_STATED:
        return None
    sizes = {image.id: (image.height, image.width) for image in images}
    return contents.at_once(sizes, {category.id for category in categories})


@dataclass(frozen=True)
class Writer:
    """A format that can be written; called with the annotations and the path.

    Attributes:
        write: Writes annotations to a path, which is replaced whole.
        holds: What it keeps, of `losses.FIELDS`.
        places: The files that are written into a folder, of these annotations; None for a format of one file.
        reads: A pattern of all files that reading the folder takes.
    """

    write: Callable[[AnnotationSet, Path], None]
    holds: Set[str]
    places: Callable[[AnnotationSet, Path], list[Path]] | None = None
    reads: str = ""

    def __call__(self, annotation_set: AnnotationSet, path: Path) -> None:
        """Writes annotations to a path."""
        self.write(annotation_set, path)


_HIDDEN, _TEXTS = {"amodal", "hidden_objects"}, f"{yolo.LABELS}/**/*.txt"

WRITERS: dict[str, Writer] = {
    "d2sa": Writer(coco.write, coco.HOLDS),
    "coco-amodal": Writer(partial(coco.write_plain, mask="amodal"), coco.PLAIN_HOLDS - {"visible"}),
    "coco-visible": Writer(partial(coco.write_plain, mask="visible"), coco.PLAIN_HOLDS - _HIDDEN),
    "kins": Writer(kins.write, kins.HOLDS),
    "cocoa": Writer(cocoa.write, cocoa.HOLDS),
    "labelme": Writer(labelme.write, labelme.HOLDS, labelme.places, "**/*.json"),
    "cvat": Writer(cvat.write, cvat.HOLDS),
    "label-studio": Writer(label_studio.write, label_studio.HOLDS),
    "fiftyone": Writer(fiftyone.write, fiftyone.HOLDS, fiftyone.places),
    "yolo-amodal": Writer(partial(yolo.write, mask="amodal"), yolo.HOLDS - {"visible"}, yolo.places, _TEXTS),
    "yolo-visible": Writer(partial(yolo.write, mask="visible"), yolo.HOLDS - _HIDDEN, yolo.places, _TEXTS),
    "webdataset": Writer(webdataset.write, webdataset.HOLDS, webdataset.places, f"**/*{webdataset.ENDING}"),
}
"""The formats that can be written. D2SA's holds all there is; each module says what the others leave out."""
FOLDERS = tuple(name for name, writer in WRITERS.items() if writer.places)
"""Those that are written as a folder of files."""


def claim(annotation_set: AnnotationSet, path: Path, to: str) -> None:
    """Looks whether annotations of these images may be written, before any work on them. Raises UserError."""
    files = WRITERS[to].places
    outputs.claim([path] if files is None else files(annotation_set, path))


def others(annotation_set: AnnotationSet, path: Path, to: str) -> Iterator[str]:
    """One line about files in the folder that was written that are not of these annotations, but will be read, too."""
    writer = WRITERS[to]
    if writer.places is not None and writer.reads:
        there = sorted(set(path.glob(writer.reads)) - set(writer.places(annotation_set, path)))
        if there:
            yield f"{path}: files that were there will be read with these, as {there[0].name} ({len(there):,} in all)"


def lost(annotation_set: AnnotationSet, to: str) -> Iterator[str]:
    """One line that says what a format has no place for; none where it keeps everything."""
    if found := losses.losses(annotation_set, WRITERS[to].holds):
        yield losses.sentence(found, to)
