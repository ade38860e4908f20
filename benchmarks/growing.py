"""Reading, converting and evaluating more and more annotations: processor time and peak memory of a process each.

    python -m benchmarks.growing make FOLDER 100000   # annotations.json and results.json, from a seed
    python -m benchmarks.growing read FOLDER          # prints the figures as JSON

Objects are uneven blobs of 10 to 200 pixels in images of 640 x 480, ten in an image, each hiding a part of the one
before it; 10,000 of them, again and again with other ids, for a file of any length. `benchmarks/speed/growth.py` runs
it. No torch here, so that peaks are those of the work.
"""

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from itertools import cycle, islice
from pathlib import Path
from time import process_time

import numpy as np

from amodal import rle
from amodal.evaluation.matching import coco as coco_evaluation
from amodal.evaluation.matching.mask_kinds import AMODAL
from amodal.evaluation.metrics import occlusion
from amodal.formats import annotation_files, coco, kins
from amodal.results import result_files
from benchmarks.peak import peak_bytes

SIZE = (480, 640)
IN_IMAGE, CATEGORIES, DISTINCT = 10, 20, 10_000
ANNOTATIONS, RESULTS = "annotations.json", "results.json"


def make(folder: Path, count: int) -> None:
    """Writes `count` annotations, D2SA's keys, and as many detections, record by record."""
    num_images = -(-count // IN_IMAGE)
    images = (
        json.dumps({"id": i, "file_name": f"{i:07}.png", "height": SIZE[0], "width": SIZE[1]})
        for i in range(1, num_images + 1)
    )
    categories = [{"id": i, "name": f"c{i}"} for i in range(1, CATEGORIES + 1)]
    drawn = list(islice(objects(), min(count, DISTINCT)))
    with (folder / ANNOTATIONS).open("w") as file:
        file.write('{"images": [' + ",\n".join(images))
        file.write(f'],\n"categories": {json.dumps(categories)},\n"annotations": [\n')
        file.writelines(_joined(f"{where(n)}, {one[0]}}}" for n, one in zip(range(count), cycle(drawn))))
        file.write("]}\n")
    scores = np.random.default_rng(1).random(count)
    with (folder / RESULTS).open("w") as file:
        file.write("[")
        file.writelines(
            _joined(f'{where(n)}, "score": {scores[n]:.4f}, {one[1]}}}' for n, one in zip(range(count), cycle(drawn)))
        )
        file.write("]\n")


def where(number: int) -> str:
    """The beginning of a record."""
    image, category = number // IN_IMAGE + 1, number % CATEGORIES + 1
    return f'{{"id": {number + 1}, "image_id": {image}, "category_id": {category}'


def _joined(records: Iterator[str]) -> Iterator[str]:
    separator = ""
    for record in records:
        yield separator + record
        separator = ",\n"


def objects() -> Iterator[tuple[str, str]]:
    """The rest of an object's record as an annotation, and as a detection of it."""
    rng = np.random.default_rng(0)
    before = None
    while True:
        place, radius = rng.uniform(0, SIZE[::-1]), float(np.exp(rng.uniform(np.log(5), np.log(100))))
        amodal, found = blob(rng, place, radius), blob(rng, place + rng.normal(0, 2, 2), radius)
        visible = rle.subtract(amodal, before) if before else amodal
        before = amodal
        area, box = int(rle.areas([amodal])[0]), rle.boxes([amodal])[0].tolist()
        masks = {"segmentation": rle.to_json(amodal), "visible_mask": rle.to_json(visible)}
        own = json.dumps({"iscrowd": 0, "area": area, "bbox": box, **masks})
        yield own[1:-1], json.dumps({"segmentation": rle.to_json(found)})[1:-1]


def blob(rng: np.random.Generator, place: np.ndarray, radius: float) -> rle.Rle:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = radius * (1 + 0.15 * rng.standard_normal(24))
    corners = place + reach[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    mask, _ = rle.from_polygons([corners.clip(0, SIZE[::-1]).ravel().tolist()], SIZE)
    return mask if rle.areas([mask])[0] else rle.from_polygons([[0, 0, 9, 0, 9, 9, 0, 9]], SIZE)[0]


def read(folder: Path) -> object:
    return annotation_files.read(folder / ANNOTATIONS)


def convert(folder: Path) -> object:
    """From run lengths to KINS' polygons."""
    return kins.write(annotation_files.read(folder / ANNOTATIONS), folder / "kins.json")


def copy(folder: Path) -> object:
    return coco.write(annotation_files.read(folder / ANNOTATIONS), folder / "d2sa.json")


def evaluate(folder: Path) -> object:
    """AP of amodal masks by occlusion rate."""
    truth = annotation_files.read(folder / ANNOTATIONS)
    found = result_files.read(folder / RESULTS, truth)
    return coco_evaluation.run(truth, found, AMODAL, occlusion.clean_filter(truth)).average_precision()


TASKS: dict[str, Callable[[Path], object]] = {
    "read": read,
    "convert to d2sa": copy,
    "convert to kins": convert,
    "evaluate": evaluate,
}


def main(given: Sequence[str]) -> None:
    task, folder = given[0], Path(given[1])
    if task == "make":
        make(folder, int(given[2]))
        return
    start = process_time()
    TASKS[task](folder)
    print(json.dumps({"cpu_seconds": process_time() - start, "peak_bytes": peak_bytes()}))


if __name__ == "__main__":
    main(sys.argv[1:])
