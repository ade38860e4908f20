"""The check-up of a data set: every problem found, counted, with examples, and the repaired annotations."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord
from amodal.errors import UserError
from amodal.files import is_file
from amodal.formats import annotation_files, records
from amodal.formats.category_tree import without_parent
from amodal.formats.choices import AS_STATED, Choices
from amodal.formats.contents import Record
from amodal.formats.problems import KINDS, Problem, Report
from amodal.mask_arrays import occlusion_rates
from amodal.pictures import OtherSize, check_image
from amodal.progress import counted

NUM_EXAMPLES = 5
BOX_TOLERANCE = 2.0
"""Pixels that a stated box may differ at each edge: polygons end between pixels, masks at them."""
RATE_TOLERANCE = 0.02
"""What a stated occlusion rate may differ by."""


@dataclass
class CheckUp:
    """What was found.

    Attributes:
        format: The format's name.
        repaired: The annotations without the records that reading refuses, and without the images (and their
            annotations) that cannot be opened; everything else mended.
        counts: Problems by kind, a key of `problems.KINDS`.
        examples: The first few of each kind.
    """

    format: str
    repaired: AnnotationSet
    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Problem]] = field(default_factory=lambda: defaultdict(list))

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found but what is noted: legitimate, though worth a look."""
        return all(KINDS[kind].outcome == "noted" for kind in self.counts)

    def lines(self) -> Iterator[str]:
        """The report as text."""
        found = self.repaired
        yield (
            f"{found.source}: {self.format}, {len(found.images):,} usable images, "
            f"{len(found.annotations):,} usable annotations, {len(found.categories):,} categories"
        )
        for kind in (kind for kind in KINDS if self.counts[kind]):
            yield f"{self.counts[kind]:>8,}  {KINDS[kind].outcome:<8}  {kind}: {KINDS[kind].meaning}"
            for problem in self.examples[kind]:
                yield f"{'':20}{problem.record}: {problem.detail}"
            if self.counts[kind] > NUM_EXAMPLES:
                yield f"{'':20}and {self.counts[kind] - NUM_EXAMPLES:,} more"
        yield "nothing to mend" if self.is_clean else "problems found"


def check(path: str | Path, images: str | Path | None = None, choices: Choices = AS_STATED) -> CheckUp:
    """Looks for every kind of problem in an annotation file and its images; does not stop at the first.

    Args:
        path: An annotation file or folder, as `annotation_files.read` takes it.
        images: The image folder. Otherwise it is looked for near the file.
        choices: How to take what may be meant in two ways.

    Raises:
        UserError: The file is missing, of no known format, or no whole JSON.
    """
    contents = replace(annotation_files.contents(path, images), choices=choices)
    counts: Counter[str] = Counter()
    examples: dict[str, list[Problem]] = defaultdict(list)

    def report(problem: Problem) -> None:
        counts[problem.kind] += 1
        if counts[problem.kind] <= NUM_EXAMPLES:
            examples[problem.kind].append(problem)

    listed, categories = records.images(contents, report), records.categories(contents, report)
    annotations = []
    for record, annotation in records.annotations(contents, listed, categories, report):
        _compare(record, annotation, report)
        annotations.append(annotation)
    usable = {image.id for image in _openable(listed, contents.image_folder, report)}
    categories = without_parent(categories, annotations, report)
    annotations = [annotation for annotation in annotations if annotation.image_id in usable]
    repaired = records.assemble(contents, [i for i in listed if i.id in usable], annotations, categories)
    _note_empty(repaired, report)
    return CheckUp(contents.format, repaired, counts, examples)


def _compare(record: Record, annotation: Annotation, report: Report) -> None:
    """Reports what the record states beside its masks and the masks deny."""
    area, visible_area = rle.areas([annotation.amodal, annotation.visible]).tolist()
    left, top, width, height = rle.boxes([annotation.amodal])[0].tolist()
    if annotation.is_crowd:
        report(Problem("crowd", record.name, "marked with iscrowd"))
    if not visible_area:
        report(Problem("visible_empty", record.name, f"none of its {area} pixels is visible"))
    # A polygon's own area and its pixels' differ along the outline, by about half its box's outline at most.
    stated = _number(record.area)
    if record.area is not None and (stated is None or abs(stated - area) > width + height):
        report(Problem("area", record.name, f"states {record.area}, the amodal mask has {area} pixels"))
    box = record.box if isinstance(record.box, list) and len(record.box) == 4 else [None]
    edges = [_number(value) for value in box]
    measured = (left, top, left + width, top + height)
    if record.box is not None and not _same_box(edges, measured):
        found = f"the amodal mask's is {[left, top, width, height]}"
        report(Problem("box", record.name, f"states {str(record.box)[:80]}, {found}"))
    rate, stated = float(occlusion_rates(area, visible_area)), _number(record.occlusion_rate)
    if record.occlusion_rate is not None and (stated is None or abs(stated - rate) > RATE_TOLERANCE):
        report(Problem("occlusion_rate", record.name, f"states {record.occlusion_rate}, the masks give {rate:.3f}"))


def _number(value: Any) -> float | None:
    """`value` as a number; None for anything else and for NaN."""
    is_number = isinstance(value, int | float) and abs(value) < 2**53
    return float(value) if is_number else None


def _same_box(stated: list[float | None], measured: tuple[float, ...]) -> bool:
    """Whether a stated xywh box is the measured xyxy one, give or take `BOX_TOLERANCE`."""
    if None in stated:
        return False
    x, y, width, height = (value or 0.0 for value in stated)
    edges = (x, y, x + width, y + height)
    return all(abs(a - b) <= BOX_TOLERANCE for a, b in zip(edges, measured, strict=True))


def _openable(images: list[ImageRecord], folder: Path | None, report: Report) -> list[ImageRecord]:
    """The images whose files are there and whole, the others reported; all of them where no folder was found."""
    if folder is None:
        if images:
            report(Problem("images_unseen", f"{len(images)} images", "give the folder with --images"))
        return images
    with ThreadPoolExecutor() as threads:
        answers = threads.map(lambda image: _open(image, folder), images)
        progress = counted(answers, "opening images", "images", len(images))
        problems = list(progress)
    for problem in problems:
        if problem is not None:
            report(problem)
    return [image for image, problem in zip(images, problems, strict=True) if problem is None]


def _open(record: ImageRecord, folder: Path) -> Problem | None:
    """The problem with an image's file, read to its end, if there is one."""
    name = f"image {record.id}"
    path = record.place_in(folder)
    if isinstance(path, Path) and not is_file(path):
        return Problem("image_missing", name, f"{record.file_name} is not in {folder}")
    try:
        check_image(path, (record.height, record.width))
    except OtherSize as error:
        return Problem("image_size", name, f"{record.file_name} {error.problem}")
    except UserError as error:
        return Problem("image_damaged", name, f"{record.file_name}: {error.problem}")
    return None


def _note_empty(annotation_set: AnnotationSet, report: Report) -> None:
    used = {annotation.category_id for annotation in annotation_set.annotations}
    for category in annotation_set.categories:
        if category.id not in used:
            report(Problem("category_empty", f"category {category.id}", category.name))
    for image in annotation_set.images:
        if not annotation_set.by_image.get(image.id):
            report(Problem("image_empty", f"image {image.id}", image.file_name))
