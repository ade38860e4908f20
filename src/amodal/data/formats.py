"""Every annotation format of the field: recognised from the file, read into an AnnotationSet."""

from collections import Counter
from pathlib import Path

from amodal.annotations import AnnotationSet
from amodal.data import coco, image_folder, records
from amodal.data.json_stream import JsonDocument
from amodal.data.problems import KINDS, Problem, Report
from amodal.data.records import Contents
from amodal.errors import UserError


def read(path: str | Path, images: str | Path | None = None) -> AnnotationSet:
    """Reads annotations of any format that this package knows.

    Masks are kept to the pixel, visible masks are cut to their amodal masks, ids are kept; `repairs` of the result
    counts what was mended.

    Args:
        path: An annotation file.
        images: The image folder. Otherwise it is looked for near the file.

    Raises:
        UserError: The file is missing, of no known format, or holds a record that cannot be used.
    """
    path = Path(path)
    repairs: Counter[str] = Counter()

    def report(problem: Problem) -> None:
        if KINDS[problem.kind].outcome == "refused":
            remedy = f"`amodal data check {path}` lists all that is wrong, with `--fix OUT` it writes a mended file"
            raise UserError(problem.detail, file=path, record=problem.record, remedy=remedy)
        repairs[problem.kind] += 1

    annotation_set = assemble(contents(path, images), report)
    annotation_set.repairs.update(repairs)
    return annotation_set


def assemble(contents: Contents, report: Report) -> AnnotationSet:
    """What is usable of a file's contents; `report` is told what is not."""
    images = records.images(contents, report)
    categories = records.categories(contents, report)
    annotations = [annotation for _, annotation in records.annotations(contents, images, categories, report)]
    return AnnotationSet(images, records.renumber(annotations), categories, contents.image_folder, contents.path)


def contents(path: str | Path, images: str | Path | None = None) -> Contents:
    """What the file states, its format recognised from its keys. Raises UserError as `read`."""
    path, images = Path(path), None if images is None else Path(images)
    document = JsonDocument(path)
    listed = document.members.get("images")
    first = next(document.annotations(), None)
    if not document.has_annotations or not isinstance(listed, list):
        raise UserError(
            "of no known annotation format (no 'images' and 'annotations')",
            file=path,
            remedy="Known are D2SA, KINS, COCOA, COCOA-cls, aistron, COCO and labelme",
        )
    kinds = document.members.get("categories")
    return Contents(
        path,
        coco.dialect_of(first).name if isinstance(first, dict) else "coco",
        listed,
        kinds if isinstance(kinds, list) else [],
        coco.records(document.annotations()),
        image_folder.find(path, listed, images),
    )
