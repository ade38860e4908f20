"""Bytes that the command holds: for a picture of the source, and for a detection while a report is made of shards."""

import gc
import threading
import tracemalloc
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.inference.scoring import PartOfReport, Whole, part_of_report, report_of_parts
from amodal.scale.packed import mapped, packed
from amodal.scale.parts import of_images
from amodal.scale.shards import About, ShardFolder
from amodal.scale.sources import open_source
from benchmarks.scale.annotations import own_bytes

SIZE = (240, 320)
FOUND, OBJECTS = 20, 5
"""Detections and objects of an image."""
OFTEN = 0.01
"""Seconds between looks at the memory."""
Content = Callable[[], list[Detection]]


def measure(folder: Path, *, small: bool) -> dict[str, Any]:
    """Names and masks by Python's own account, in this process; a report by the system's, in one of its own."""
    count = 10_000 if small else 500_000
    (folder / "list.txt").write_text("".join(f"part-{n // 1000:05d}/{n:09d}.jpg\n" for n in range(count)))
    parts, listed = held(lambda: open_source([str(folder / "list.txt")]))
    detections, masks = held(made(20 if small else 200)[1])
    truth, content = made(100 if small else 8_000, scale=1 / 8)
    on_disk = write(truth, content(), ShardFolder(folder / "shards"))
    with get_context("spawn").Pool(1) as process:
        peak = process.apply(report_peak, (truth, folder / "shards"))
    scored = len(truth.images) * FOUND
    return {
        "pictures": count,
        "shards": len(parts),
        "bytes_a_picture": listed / count,
        "bytes_a_detection": masks / len(detections),
        "scored": scored,
        "record_bytes_on_disk": on_disk / scored,
        "report_bytes_a_detection": peak / scored,
    }


def held(make: Callable[[], Any]) -> tuple[Any, int]:
    """What is made, and the bytes that it holds."""
    tracemalloc.start()
    made = make()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, size


def write(truth: AnnotationSet, detections: list[Detection], shards: ShardFolder) -> int:
    """Writes what is left of a data set's detections for a report, as `amodal evaluate --ray` does; gives its bytes."""
    parts, whole, size = of_images(truth, 1), Whole.of(truth), 0
    found: dict[int, list[Detection]] = {image.id: [] for image in truth.images}
    for one in detections:
        found[one.image_id].append(one)
    shards.start(About(len(parts), {}), "refuse")
    for number, part in enumerate(parts):
        own = [one for image in part.images for one in found[image.id]]
        table = packed([part_of_report(part, own, None, whole)])
        size += table.nbytes
        shards.write(number, table)
    return size


def report_peak(truth: AnnotationSet, folder: Path) -> int:
    """How much a process has more, at the most, while it makes the report: of its own, not of files."""
    shards, whole, found, done = ShardFolder(folder), Whole.of(truth), [0], threading.Event()
    [first] = mapped([next(shards.tables())], PartOfReport, folder)
    images = truth.images[: len(first.matched.images)]
    some = replace(truth, images=images, annotations=[a for image in images for a in truth.by_image[image.id]])
    report_of_parts(some, [first], whole)  # the program is not what is counted
    gc.collect()
    before = own_bytes()

    def watch() -> None:
        while not done.wait(OFTEN):
            found.append(own_bytes() - before)

    watcher = threading.Thread(target=watch)
    watcher.start()
    report_of_parts(truth, mapped(shards.tables(["answer"]), PartOfReport, folder), whole)
    done.set()
    watcher.join()
    return max(found)


def made(images: int, scale: float = 1.0) -> tuple[AnnotationSet, Content]:
    """A data set, and what makes the detections of its images: discs, of which a part is hidden."""
    rng = np.random.default_rng(0)
    height, width = (round(side * scale) for side in SIZE)
    rows, columns = np.mgrid[:height, :width] / scale

    def masks(count: int) -> tuple[list[rle.Rle], list[rle.Rle]]:
        places = rng.uniform((20, 20, 15), (220, 300, 60), (count, 3))[:, :, None, None]
        discs = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2 < places[:, 2] ** 2
        return rle.encode(discs), rle.encode(discs & (columns < places[:, 1] + places[:, 2] / 2))

    annotations = [
        Annotation(0, image, int(rng.integers(1, 11)), *two)
        for image in range(1, images + 1)
        for two in zip(*masks(OBJECTS), strict=True)
    ]

    def detections() -> list[Detection]:
        return [
            Detection(image, int(rng.integers(1, 11)), float(rng.random()), (0.0, 0.0, 9.0, 9.0), *two)
            for image in range(1, images + 1)
            for two in zip(*masks(FOUND), strict=True)
        ]

    records = [ImageRecord(image, f"{image}.jpg", height, width) for image in range(1, images + 1)]
    return AnnotationSet(records, annotations, [Category(n, str(n)) for n in range(1, 11)]), detections
