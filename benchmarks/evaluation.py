"""Speed and memory of scoring: this package, hotcoco alone, faster-coco-eval and pycocotools on the same detections.

    python benchmarks/evaluation.py --images 5000 --detections 100

Objects are blobs of 24 corners in images of 640 x 480, 20 categories, 10 objects an image. Each system runs in a
process of its own, from detections in memory to numbers; time is wall clock, memory the process's peak with the data
in it. Written to benchmarks/results/evaluation.json.
"""

import argparse
import contextlib
import io
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as codec

HEIGHT, WIDTH, CATEGORIES, OBJECTS = 480, 640, 20, 10
SYSTEMS = ("pycocotools", "faster-coco-eval", "hotcoco", "amodal")
DATA: list[Any] = []
"""The data set and the results: forked processes find them here."""
RESULTS = Path(__file__).parent / "results" / "evaluation.json"


def blob(rng: np.random.Generator, x: float, y: float, radius: float) -> Any:
    angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    reach = radius * (1 + 0.25 * rng.standard_normal(24))
    points = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], 1).ravel().clip(0, WIDTH - 1)
    return codec.frPyObjects([points.tolist()], HEIGHT, WIDTH)[0]


def make(images: int, detections: int) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """A COCO data set and results, the same for the same numbers."""
    rng = np.random.default_rng(0)
    annotations: list[dict[str, Any]] = []
    results: list[dict[str, Any]] = []

    def record(image: int, category: int, x: float, y: float, radius: float) -> dict[str, Any]:
        mask = blob(rng, x, y, radius)
        box = codec.toBbox(mask).tolist()
        return {"image_id": image, "category_id": category, "segmentation": mask, "bbox": box}

    for image in range(1, images + 1):
        places = [(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(10, 100)) for _ in range(OBJECTS)]
        labels = rng.integers(1, CATEGORIES + 1, OBJECTS).tolist()
        for place, label in zip(places, labels, strict=True):
            one = record(image, label, *place)
            annotations.append(
                one | {"id": len(annotations) + 1, "iscrowd": 0, "area": float(codec.area(one["segmentation"]))}
            )
        for number in range(detections):
            (x, y, radius), label = places[number % OBJECTS], labels[number % OBJECTS]
            spread = 3 * (1 + number // OBJECTS)
            moved = (x + spread * rng.normal(), y + spread * rng.normal(), radius * (1 + 0.02 * spread * rng.normal()))
            label = int(rng.integers(1, CATEGORIES + 1)) if rng.random() < 0.3 else label
            results.append(record(image, label, *moved) | {"score": round(float(rng.random()), 3)})
    return {
        "images": [{"id": i, "height": HEIGHT, "width": WIDTH, "file_name": ""} for i in range(1, images + 1)],
        "annotations": annotations,
        "categories": [{"id": i, "name": str(i)} for i in range(1, CATEGORIES + 1)],
    }, results


def with_pycocotools(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> float:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _in_their_manner(COCO, COCOeval, data, results, kind)


def with_faster_coco_eval(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> float:
    from faster_coco_eval import COCO, COCOeval_faster

    return _in_their_manner(COCO, COCOeval_faster, data, results, kind)


def _in_their_manner(
    coco: Any, evaluator: Any, data: dict[str, Any], results: list[dict[str, Any]], kind: str
) -> float:
    truth = coco()
    truth.dataset = data
    truth.createIndex()
    evaluation = evaluator(truth, truth.loadRes(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


def with_hotcoco(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> float:
    import hotcoco

    truth = hotcoco.COCO(data)
    evaluation = hotcoco.COCOeval(truth, truth.load_res(results), kind)
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return float(evaluation.stats[0])


def with_amodal(data: dict[str, Any], results: list[dict[str, Any]], kind: str) -> float:
    """Box or amodal AP with the three columns of occlusion rates; its detections are made from the results first."""
    from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
    from amodal.evaluation import coco, occlusion
    from amodal.evaluation.views import AMODAL, BOX

    truth = AnnotationSet(
        [ImageRecord(i["id"], "", i["height"], i["width"]) for i in data["images"]],
        [Annotation(a["id"], a["image_id"], a["category_id"], *[a["segmentation"]] * 2) for a in data["annotations"]],
        [Category(c["id"], c["name"]) for c in data["categories"]],
    )
    detections = [
        Detection(r["image_id"], r["category_id"], r["score"], (x, y, x + w, y + h), r.get("segmentation"))
        for r in results
        for x, y, w, h in [r["bbox"]]
    ]
    view = BOX if kind == "bbox" else AMODAL
    ap = coco.run(truth, detections, view, occlusion.clean_grading(truth)).average_precision()
    assert ap is not None
    return ap


def measure(system: str, kind: str) -> dict[str, Any]:
    """One run on DATA, in a process forked for it."""
    data, results = DATA
    runs: dict[str, Callable[..., float]] = dict(
        zip(SYSTEMS, (with_pycocotools, with_faster_coco_eval, with_hotcoco, with_amodal), strict=True)
    )
    if kind == "bbox":
        for result in results:
            del result["segmentation"]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, cpu = time.perf_counter(), time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        ap = runs[system](data, results, kind)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "system": system,
        "kind": kind,
        "seconds": round(time.perf_counter() - start, 3),
        "cpu_seconds": round(time.process_time() - cpu, 3),
        "data_gigabytes": round(before / 1e6, 3),
        "peak_gigabytes": round(peak / 1e6, 3),
        "ap": ap,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of each image")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    DATA.extend(make(given.images, given.detections))
    measured: list[dict[str, Any]] = []
    for kind in ("bbox", "segm"):
        for system in SYSTEMS:
            with get_context("fork").Pool(1) as pool:
                one = pool.apply(measure, (system, kind))
            measured.append(one)
            reference = next(m for m in measured if (m["system"], m["kind"]) == (SYSTEMS[0], kind))
            one["times_faster"] = round(reference["seconds"] / one["seconds"], 1)
            one["times_less_cpu"] = round(reference["cpu_seconds"] / one["cpu_seconds"], 1)
            print(one, flush=True)
    about = {
        "command": " ".join(["python benchmarks/evaluation.py", *sys.argv[1:]]),
        "date": date.today().isoformat(),
        "commit": subprocess.run(
            ["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True
        ).stdout.strip(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "load_average_at_end": os.getloadavg()[0],
        "versions": {name: version(name) for name in ("pycocotools", "faster-coco-eval", "hotcoco", "numpy")},
        "images": given.images,
        "detections_per_image": given.detections,
    }
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(about | {"measured": measured}, indent=1) + "\n")


if __name__ == "__main__":
    main()
