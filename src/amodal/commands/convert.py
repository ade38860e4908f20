"""`amodal convert`: annotations from one format into another."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

import tyro

from amodal.commands.declared import READS, WRITES_EITHER
from amodal.formats.choices import Choices

Format = Literal[
    "d2sa",
    "coco-amodal",
    "coco-visible",
    "kins",
    "cocoa",
    "labelme",
    "cvat",
    "label-studio",
    "fiftyone",
    "yolo-amodal",
    "yolo-visible",
    "webdataset",
]


@dataclass(frozen=True)
class How(Choices):
    """How the source is taken: what it may mean in two ways, and what belongs to it."""

    images: Annotated[Path | None, READS] = None
    """Image folder, if it is not found near the file."""
    instances: Annotated[Path | None, READS] = None
    """COCO's instance file of the same images: COCOA's regions take its categories by the IoU of their visible masks,
    and regions that are none of its objects are left out (COCOA to COCOA-cls)."""


def convert(
    source: Annotated[Path, tyro.conf.Positional, READS],
    out: Annotated[Path, tyro.conf.Positional, WRITES_EITHER],
    *,
    to: Format,
    how: Annotated[How, tyro.conf.arg(name="")] = How(),
    overwrite: bool = False,
) -> None:
    """Converts annotations from one format into another; masks are kept to the pixel.

    Reads D2SA, KINS (2019, 2020), COCOA, COCOA-cls, aistron, COCO (panoptic too), SA-1B, labelme, CVAT's XML for
    images, Label Studio's JSON, FiftyOne, YOLO, Pascal VOC and WebDataset's shards, recognised from the file.

    Args:
        source: Annotation file, or a folder of labelme's, SA-1B's, FiftyOne's, YOLO's, Pascal VOC's or COCOA's single
            files.
        out: File to write (d2sa, coco, kins, cocoa, cvat, label-studio) or folder (labelme, fiftyone, yolo,
            webdataset: a picture and its annotations a sample, a thousand a shard).
        to: Format to write. d2sa holds everything; what another has no place for is said with its count. coco is plain
            COCO, with amodal or with visible masks.
        how: How the source is taken.
        overwrite: Replace files that are there.
    """
    from amodal.formats import annotation_files, cocoa_cls, problems

    require_place(out, source, to)
    annotations = annotation_files.read(source, how.images, how)
    if how.instances is not None:
        regions = len(annotations.annotations)
        annotations = cocoa_cls.match(annotations, annotation_files.read(how.instances, how.images))
        print(f"{len(annotations.annotations):,} of {regions:,} regions are objects of {how.instances}")
    annotation_files.WRITERS[to](annotations, out)
    print(f"{out}: {len(annotations.images):,} images, {len(annotations.annotations):,} annotations, {to}")
    for line in (*annotation_files.lost(annotations, to), *annotation_files.others(annotations, out, to)):
        print(line)
    for line in problems.said(annotations.repairs, source):
        print(line)


def require_place(out: Path, source: Path, to: Format) -> None:
    """Raises UserError where a format cannot be written to `out`, before anything is read."""
    from amodal.errors import UserError
    from amodal.formats import annotation_files
    from amodal.outputs import claim

    if out.resolve() == source.resolve():
        raise UserError("the output would replace the input", file=out, remedy="Give another name")
    is_folder = to in annotation_files.FOLDERS
    if (out.is_file() and is_folder) or (out.is_dir() and not is_folder):
        raise UserError(f"{to} is written to a {'folder' if is_folder else 'file'}", file=out)
    if not is_folder:
        claim([out])
