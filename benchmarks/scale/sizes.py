"""Bytes that the command holds: for a picture of the source, and for a detection that is scored."""

import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.inference.scoring import PartOfReport, Whole, part_of_report
from amodal.scale.packed import packed, unpacked
from amodal.scale.sources import open_source

SIZE = (240, 320)


def measure(folder: Path, *, small: bool) -> dict[str, Any]:
    """All of it, in this process, by Python's own account."""
    count = 10_000 if small else 500_000
    (folder / "list.txt").write_text("".join(f"part-{n // 1000:05d}/{n:09d}.jpg\n" for n in range(count)))
    parts, listed = held(lambda: open_source([str(folder / "list.txt")]))
    images = 20 if small else 200
    truth, content = made(images)
    detections, masks = held(lambda: [Detection(*one) for one in content()])
    whole = Whole.of(truth)
    shard = packed([part_of_report(truth, detections, None, whole)])
    _, records = held(lambda: list(unpacked(shard, PartOfReport)))
    return {
        "pictures": count,
        "shards": len(parts),
        "bytes_a_picture": listed / count,
        "detections": len(detections),
        "bytes_a_detection": masks / len(detections),
        "bytes_a_record": records / len(detections),
        "record_ratio": records / masks,
    }


def held(make: Callable[[], Any]) -> tuple[Any, int]:
    """What is made, and the bytes that it holds."""
    tracemalloc.start()
    made = make()
    size, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return made, size


def made(images: int) -> tuple[AnnotationSet, Callable[[], list[tuple[Any, ...]]]]:
    """A data set of 5 objects an image, and what makes 20 detections an image: discs, of which a part is hidden."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[: SIZE[0], : SIZE[1]]

    def masks(count: int) -> tuple[list[rle.Rle], list[rle.Rle]]:
        places = rng.uniform((20, 20, 15), (220, 300, 60), (count, 3))[:, :, None, None]
        discs = (rows - places[:, 0]) ** 2 + (columns - places[:, 1]) ** 2 < places[:, 2] ** 2
        return rle.encode(discs), rle.encode(discs & (columns < places[:, 1] + places[:, 2] / 2))

    annotations = [
        Annotation(0, image, int(rng.integers(1, 11)), *two)
        for image in range(1, images + 1)
        for two in zip(*masks(5), strict=True)
    ]

    def detections() -> list[tuple[Any, ...]]:
        return [
            (image, int(rng.integers(1, 11)), float(rng.random()), (0.0, 0.0, 9.0, 9.0), *two)
            for image in range(1, images + 1)
            for two in zip(*masks(20), strict=True)
        ]

    records = [ImageRecord(image, f"{image}.jpg", *SIZE) for image in range(1, images + 1)]
    return AnnotationSet(records, annotations, [Category(n, str(n)) for n in range(1, 11)]), detections
