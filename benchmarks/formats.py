"""Time and memory of reading, checking and converting annotation files, beside pycocotools' loading of the same file.

    python -m benchmarks.formats

Three files are made, from a seed: one like D2SA's validation set, one of 100,000 annotations like KINS', one as large
as COCOA-cls' training file. Each measurement is a process of its own, so that its peak memory is its own; the systems
take turns. On a machine with other work the processor's seconds tell more than the clock's. Results go to
benchmarks/results/formats.json.
"""

import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import numpy as np

from amodal import rle
from amodal.formats import annotation_files, coco, json_stream, kins
from amodal.formats.check import check

SEED, REPEATS = 0, 3
RESULTS = Path(__file__).parent / "results" / "formats.json"
Size = tuple[int, int]


def blob(rng: np.random.Generator, size: Size, share: float) -> list[float]:
    """An uneven round polygon of 40 corners."""
    angles = np.sort(rng.uniform(0, 2 * np.pi, 40))
    radius = share * min(size) * rng.uniform(0.6, 1.0) * rng.uniform(0.85, 1.15, 40)
    x = rng.uniform(0, size[1]) + radius * np.cos(angles)
    y = rng.uniform(0, size[0]) + radius * np.sin(angles)
    return np.stack([x.clip(0, size[1]), y.clip(0, size[0])], axis=1).round(2).ravel().tolist()


def objects(
    rng: np.random.Generator, size: Size, num_images: int, count: int, share: float
) -> Iterator[dict[str, Any]]:
    """Objects in turn over the images; each hides a part of the one before it in its image."""
    for image, number in enumerate(np.bincount(np.arange(count) % num_images, minlength=num_images).tolist()):
        in_front = None
        for _ in range(number):
            polygon = blob(rng, size, share)
            amodal = rle.from_polygons([polygon], size)[0]
            if not rle.areas([amodal])[0]:
                polygon = [0, 0, 20, 0, 20, 20, 0, 20]
                amodal = rle.from_polygons([polygon], size)[0]
            visible = rle.subtract(amodal, in_front) if in_front else amodal
            in_front = amodal
            yield {"image_id": image, "polygon": polygon, "amodal": amodal, "visible": visible}


def header(size: Size, num_images: int, num_categories: int) -> dict[str, Any]:
    images = [{"id": i, "file_name": f"{i:06}.png", "height": size[0], "width": size[1]} for i in range(num_images)]
    return {"images": images, "categories": [{"id": i, "name": f"c{i}"} for i in range(1, num_categories + 1)]}


def common(number: int, thing: dict[str, Any], num_categories: int) -> dict[str, Any]:
    return {
        "id": number,
        "image_id": thing["image_id"],
        "category_id": number % num_categories + 1,
        "iscrowd": 0,
        "area": int(rle.areas([thing["amodal"]])[0]),
        "bbox": rle.boxes([thing["amodal"]])[0].tolist(),
    }


def d2sa_like(path: Path) -> None:
    """3,600 images of 1440 x 1920, 15,654 annotations: amodal, visible and invisible run lengths."""
    size, rng = (1440, 1920), np.random.default_rng(SEED)
    records = (
        common(number, thing, 60)
        | {
            "segmentation": rle.to_json(thing["amodal"]),
            "visible_mask": rle.to_json(thing["visible"]),
            "invisible_mask": rle.to_json(rle.subtract(thing["amodal"], thing["visible"])),
        }
        for number, thing in enumerate(objects(rng, size, 3600, 15_654, 0.15))
    )
    json_stream.write(path, header(size, 3600, 60), records)


def kins_like(path: Path) -> None:
    """7,500 images of 375 x 1242, 100,000 annotations: amodal polygons, visible run lengths."""
    size, rng = (375, 1242), np.random.default_rng(SEED)
    records = (
        common(number, thing, 7)
        | {
            "segmentation": [thing["polygon"]],
            "inmodal_seg": rle.to_json(thing["visible"]),
            "inmodal_bbox": rle.boxes([thing["visible"]])[0].tolist(),
        }
        for number, thing in enumerate(objects(rng, size, 7500, 100_000, 0.2))
    )
    json_stream.write(path, header(size, 7500, 7), records)


def cocoa_cls_like(path: Path) -> None:
    """2,276 images of 480 x 640 and plain run lengths, 280 MB in all, as large as COCOA-cls' training file."""
    size, rng = (480, 640), np.random.default_rng(SEED)

    def plain(mask: np.ndarray) -> dict[str, Any]:
        return {"size": list(size), "counts": rle.runs(rle.encode(mask[None])[0]).tolist()}

    def records() -> Iterator[dict[str, Any]]:
        written, number = 0, 0
        while written < 280_000_000:
            amodal = np.zeros(size, dtype=bool)
            top, left = rng.integers(0, 300), rng.integers(0, 400)
            amodal[top : top + 150, left : left + 200] = rng.random((150, 200)) < 0.9
            visible = amodal.copy()
            visible[:, left + 100 :] = False
            thing = {"image_id": number % 2276, "amodal": rle.encode(amodal[None])[0]}
            record = common(number, thing, 80) | {"segmentation": plain(amodal), "visible_mask": plain(visible)}
            written += len(json.dumps(record))
            number += 1
            yield record

    json_stream.write(path, header(size, 2276, 80), records())


def pycocotools_load(path: Path) -> None:
    from pycocotools.coco import COCO

    COCO(path)


def pycocotools_masks(path: Path) -> None:
    """Loads, and makes run lengths of every `segmentation`: half of what our reading has done when it returns."""
    from pycocotools.coco import COCO

    data = COCO(path)
    for annotation in data.dataset["annotations"]:
        data.annToRLE(annotation)


TASKS: dict[str, Callable[[Path], object]] = {
    "amodal read": annotation_files.read,
    "amodal check (no images)": check,
    "amodal convert to d2sa": lambda path: coco.write(annotation_files.read(path), path.with_name("out.json")),
    "amodal convert to kins": lambda path: kins.write(annotation_files.read(path), path.with_name("out.json")),
    "pycocotools load": pycocotools_load,
    "pycocotools load and annToRLE": pycocotools_masks,
}
FILES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "d2sa_like": (d2sa_like, tuple(TASKS)),
    "kins_like": (kins_like, tuple(TASKS)),
    # Its masks are noise, to make the file large: of no use as polygons.
    "cocoa_cls_like": (cocoa_cls_like, tuple(task for task in TASKS if "convert" not in task)),
}


def measure(task: str, path: Path) -> dict[str, float]:
    """Wall and processor seconds and peak memory (MB) of a task in its own process, without starting Python."""
    done = subprocess.run([sys.executable, __file__, task, str(path)], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def child(task: str, path: Path) -> None:
    began, cpu_began = perf_counter(), process_time()
    TASKS[task](path)
    seconds, cpu_seconds = perf_counter() - began, process_time() - cpu_began
    print(
        json.dumps(
            {
                "seconds": seconds,
                "cpu_seconds": cpu_seconds,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            }
        )
    )


def summary(runs: list[dict[str, float]], reference: list[dict[str, float]]) -> dict[str, Any]:
    """Medians, and ratios of medians to pycocotools' load."""
    median = {key: statistics.median(run[key] for run in runs) for key in ("seconds", "cpu_seconds", "peak_mb")}
    ratio = {f"{key}_ratio": median[key] / statistics.median(run[key] for run in reference) for key in median}
    return {key: round(value, 3) for key, value in (median | ratio).items()} | {
        "all_seconds": [r["seconds"] for r in runs]
    }


def machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    model = next(
        (line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor()
    )
    return {"cpu": model, "cores": os.cpu_count(), "python": platform.python_version(), "load": os.getloadavg()[0]}


def commit() -> str:
    done = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    return done.stdout.strip()


def main() -> None:
    """Makes the files, measures in turn, writes the results."""
    report: dict[str, Any] = {
        "command": "python -m benchmarks.formats",
        "machine": machine(),
        "seed": SEED,
        "repeats": REPEATS,
        "commit": commit(),
        "reference": "pycocotools load",
        "files": {},
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, (make, tasks) in FILES.items():
            path = Path(folder) / f"{name}.json"
            make(path)
            runs: dict[str, list[dict[str, float]]] = {task: [] for task in tasks}
            for _ in range(REPEATS):
                for task in tasks:
                    runs[task].append(measure(task, path))
                    print(name, task, runs[task][-1], flush=True)
            results = {task: summary(measured, runs["pycocotools load"]) for task, measured in runs.items()}
            report["files"][name] = {"megabytes": round(path.stat().st_size / 1e6, 1), "tasks": results}
            path.unlink()
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps(report, indent=2) + "\n")
    print(RESULTS)


if __name__ == "__main__":
    if len(sys.argv) == 3:
        child(sys.argv[1], Path(sys.argv[2]))
    else:
        main()
