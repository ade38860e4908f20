"""Which format a file or folder is of, told from its keys and files alone."""

import os
from collections.abc import Callable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from amodal.archives import ENDING, are_archives
from amodal.errors import UserError
from amodal.files import found_in, read_json
from amodal.formats import (
    coco,
    cocoa,
    cvat,
    fiftyone,
    label_studio,
    labelme,
    panoptic,
    predicted,
    sa1b,
    voc,
    webdataset,
    xml_files,
    yolo,
)
from amodal.formats.contents import Contents
from amodal.formats.json_stream import JsonDocument, read_small, small
from amodal.pictures import IMAGE_SUFFIXES

SYNTHESISED = "annotations.json"
"""What `amodal synth` writes into its folder, beside the pictures."""
KNOWN = (
    "D2SA, KINS, COCOA, COCO (panoptic too), aistron, SA-1B, labelme, CVAT, Label Studio, FiftyOne, YOLO, Pascal VOC, "
    "WebDataset"
)


def holds_annotations(path: Path) -> bool:
    """Whether this is a file or folder of annotations, rather than a folder of cut-outs."""
    inside = any((path / name).exists() for name in _INSIDE)
    return (
        path.suffix in (".json", ".xml", ENDING) or inside or any(path.glob("*.json")) or any(path.glob(f"*{ENDING}"))
    )


def contents(path: str | Path, images: str | Path | None = None) -> Contents:
    """What a file or folder states, recognised from its keys. Raises UserError as `annotation_files.read`."""
    if are_archives(path):
        return of_archives([path])
    if images is not None and (are_archives(images) or _hold_archives(Path(images))):
        return webdataset.with_pictures_in(contents(path), [images])
    path, images = Path(path), None if images is None else Path(images)
    if images is not None and not images.is_dir():
        raise UserError("no such image folder", file=images, remedy="Give the folder that the file names start from")
    if path.is_dir():
        return _of_folder(path, images)
    if xml_files.is_xml(path):
        return cvat.contents(path, images)
    if _starts_as_list(path):
        return _of_list(path, images)
    return _of_document(JsonDocument(path), images)


def _starts_as_list(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")


def _of_list(path: Path, images: Path | None) -> Contents:
    tasks: Any = read_json(path)
    if not label_studio.is_tasks(tasks):
        raise UserError(
            "no JSON object, so no annotation file",
            file=path,
            remedy="A list of results is read by `evaluate`; of Label Studio's exports, 'JSON' is read, not 'JSON-MIN'",
        )
    return label_studio.contents(path, tasks, images)


def of_archives(names: Sequence[str | Path]) -> Contents:
    """What the shards of a data set state, each named as `amodal.addresses.listed` takes it. Raises UserError."""
    return webdataset.contents(names, _of_document)


def _of_document(document: JsonDocument, images: Path | None) -> Contents:
    path = document.path
    if "shapes" in document.members:
        return labelme.contents(path, [small(document)], images)
    if "regions" in document.members:
        return cocoa.contents_of_single(path, [small(document)], images)
    if sa1b.is_one(document.members):
        return sa1b.contents(path, [(path, document.members)], images, lambda _: document)
    first = next(document.annotations(), None)
    if isinstance(first, dict) and "segments_info" in first:
        return panoptic.contents(document, images)
    # COCOA lists no categories, which is all that tells a file without any annotation.
    nothing = document.has_annotations and first is None and "categories" not in document.members
    if nothing or (isinstance(first, dict) and "regions" in first):
        return cocoa.contents(document, images)
    return coco.contents(document, images)


def _hold_archives(folder: Path) -> bool:
    """Whether a folder on this disk has archives in it and no pictures, by its first hundred files."""
    if not folder.is_dir():
        return False
    with os.scandir(folder) as entries:
        found = {Path(entry.name).suffix.lower() for entry in islice(entries, 100)}
    return ENDING in found and not found.intersection(IMAGE_SUFFIXES)


_INSIDE: dict[str, Callable[[Path, Path | None], Contents]] = {
    SYNTHESISED: lambda folder, images: contents(folder / SYNTHESISED, images),
    predicted.RESULTS: predicted.contents,
    cvat.FILE: lambda folder, images: cvat.contents(folder / cvat.FILE, images),
    fiftyone.FILE: fiftyone.contents,
    yolo.DATA_FILE: yolo.contents,
    voc.FOLDER: voc.contents,
}
"""What a folder of a format holds, and how it is then read."""


def _of_folder(folder: Path, images: Path | None) -> Contents:
    for name, read in _INSIDE.items():
        if (folder / name).exists():
            return read(folder, images)
    if yolo.layout_of(folder) is not None:  # of one split, whose names lie above it
        return yolo.contents(folder, images)
    documents = [read_small(path) for path in found_in(folder, (".json",))]
    drawn = [document for document in documents if "shapes" in document.members]
    single = [document for document in documents if "regions" in document.members]
    masks = [document for document in documents if sa1b.is_one(document.members)]
    if drawn:
        return labelme.contents(folder, drawn, images)
    if single:
        return cocoa.contents_of_single(folder, single, images)
    if masks:
        return sa1b.contents(folder, masks, images)
    if found_in(folder, (ENDING,)):
        return of_archives([folder])
    raise UserError(
        "no folder of annotations",
        file=folder,
        remedy=f"Give an annotation file, or a folder as `amodal synth` and the tools write them. Known are {KNOWN}",
    )
