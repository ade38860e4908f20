"""Speed and memory of reading and scoring results: this package against pycocotools and whoever claims to be faster.

    python -m benchmarks.evaluation                  # 5,000 images of 100 detections, about 6 minutes
    python -m benchmarks.evaluation --repetitions 1
    python -m benchmarks.evaluation --photographs FOLDER   # what the packaged detector finds on photographs
    python -m benchmarks.evaluation --quick --out FILE

Objects are blobs of 24 corners in images of 640 x 480, 20 categories, 10 objects an image. Each program reads the same
two files, truth and results, and gives AP; once with results of boxes alone and once with masks. Each run is a process
of its own, the programs take turns. Memory is the process's peak. `seconds` and its parts are wall clock, `cpu_seconds`
the processors' time, of all threads: on a busy machine only that tells something. All are medians.

Written to benchmarks/results/evaluation.json, of photographs evaluation_photographs.json: `measured`, one entry a
program and kind, `ratios` of the same repetition against pycocotools (median and interquartile range), and `bootstrap`,
a resample of `amodal compare`.
"""

import argparse
import contextlib
import io
import json
import os
import statistics
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from amodal.files import write_json
from benchmarks.peak import peak_bytes

HEIGHT, WIDTH, CATEGORIES, OBJECTS = 480, 640, 20, 10
RESULTS = Path(__file__).parent / "results" / "evaluation.json"
RESULTS_OF_PHOTOGRAPHS = RESULTS.with_name("evaluation_photographs.json")
TRUTH = "truth.json"
KINDS = ("bbox", "segm")
Steps = tuple[Callable[[], Any], Callable[[Any], float]]
"""Reading both files, and scoring what was read."""


def write_data(folder: Path, images: int, detections: int) -> None:
    """A COCO data set and results of boxes and of masks, the same for the same numbers."""
    from pycocotools import mask as codec

    rng = np.random.default_rng(0)

    def record(image: int, category: int, x: float, y: float, radius: float) -> dict[str, Any]:
        angle = np.linspace(0, 2 * np.pi, 24, endpoint=False)
        reach = radius * (1 + 0.25 * rng.standard_normal(24))
        points = np.stack([x + reach * np.cos(angle), y + reach * np.sin(angle)], 1).ravel().clip(0, WIDTH - 1)
        mask: Any = codec.frPyObjects([points.tolist()], HEIGHT, WIDTH)[0]
        text = {"size": mask["size"], "counts": mask["counts"].decode()}
        area, box = float(codec.area(mask)), codec.toBbox(mask).tolist()
        return {"image_id": image, "category_id": category, "segmentation": text, "area": area, "bbox": box}

    annotations: list[dict[str, Any]] = []
    with (folder / "bbox.json").open("w") as boxes, (folder / "segm.json").open("w") as masks:
        separator = "["
        for image in range(1, images + 1):
            places = [(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT), rng.uniform(10, 100)) for _ in range(OBJECTS)]
            labels = rng.integers(1, CATEGORIES + 1, OBJECTS).tolist()
            for place, label in zip(places, labels, strict=True):
                annotations.append(record(image, label, *place) | {"id": len(annotations) + 1, "iscrowd": 0})
            for number in range(detections):
                (x, y, radius), label = places[number % OBJECTS], labels[number % OBJECTS]
                spread = 3 * (1 + number // OBJECTS)
                moved = (x + spread * rng.normal(), y + spread * rng.normal())
                label = int(rng.integers(1, CATEGORIES + 1)) if rng.random() < 0.3 else label
                one = record(image, label, *moved, radius * (1 + 0.02 * spread * rng.normal()))
                one |= {"score": round(float(rng.random()), 3)}
                del one["area"]
                masks.write(separator + json.dumps(one))
                del one["segmentation"]
                boxes.write(separator + json.dumps(one))
                separator = ",\n"
        for file in (boxes, masks):
            file.write("]\n")
    listed = [{"id": i, "height": HEIGHT, "width": WIDTH, "file_name": f"{i}.jpg"} for i in range(1, images + 1)]
    categories = [{"id": i, "name": str(i)} for i in range(1, CATEGORIES + 1)]
    write_json(folder / TRUTH, {"images": listed, "categories": categories, "annotations": annotations})


def pycocotools(folder: Path, kind: str) -> Steps:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _in_their_manner(COCO, COCOeval, folder, kind)


def faster_coco_eval(folder: Path, kind: str) -> Steps:
    from faster_coco_eval import COCO, COCOeval_faster

    return _in_their_manner(COCO, COCOeval_faster, folder, kind)


def hotcoco(folder: Path, kind: str) -> Steps:
    import hotcoco

    return _in_their_manner(hotcoco.COCO, hotcoco.COCOeval, folder, kind)


def ultrafast_pycocotools(folder: Path, kind: str) -> Steps:
    from ultrafast_pycocotools.coco import COCO
    from ultrafast_pycocotools.cocoeval import COCOeval

    return _in_their_manner(COCO, COCOeval, folder, kind)


def vernier(folder: Path, kind: str) -> Steps:
    """By its own interface; results are parsed where they are scored."""
    from vernier.instance import Bbox, CocoDataset, Evaluator, Segm

    def load() -> Any:
        return CocoDataset.from_json((folder / TRUTH).read_bytes()), (folder / f"{kind}.json").read_bytes()

    def score(loaded: Any) -> float:
        evaluator = Evaluator(iou=Bbox() if kind == "bbox" else Segm(), parity_mode="strict")
        return float(evaluator.evaluate(*loaded, num_threads=os.cpu_count()).stats[0])

    return load, score


def _in_their_manner(coco: Any, evaluator: Any, folder: Path, kind: str) -> Steps:
    def load() -> Any:
        truth = coco(str(folder / TRUTH))
        return truth, truth.loadRes(str(folder / f"{kind}.json"))

    def score(loaded: Any) -> float:
        evaluation = evaluator(*loaded, kind)
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
        return float(evaluation.stats[0])

    return load, score


def amodal(folder: Path, kind: str) -> Steps:
    """With every check of the files, and AP at four occlusion rates."""
    from amodal.evaluation.matching import coco
    from amodal.evaluation.matching.mask_kinds import AMODAL, BOX
    from amodal.evaluation.metrics import occlusion
    from amodal.formats import annotation_files
    from amodal.results import result_files

    def load() -> Any:
        truth = annotation_files.read(folder / TRUTH)
        return truth, result_files.read(folder / f"{kind}.json", truth)

    def score(loaded: Any) -> float:
        truth, detections = loaded
        view = BOX if kind == "bbox" else AMODAL
        ap = coco.run(truth, detections, view, occlusion.clean_filter(truth)).average_precision()
        return float(ap or 0.0)

    return load, score


SYSTEMS: dict[str, tuple[Callable[[Path, str], Steps], int]] = {
    "pycocotools": (pycocotools, 3), "amodal": (amodal, 3), "hotcoco": (hotcoco, 3),
    "ultrafast-pycocotools": (ultrafast_pycocotools, 3), "vernier": (vernier, 3),
    "faster-coco-eval": (faster_coco_eval, 1),
}  # fmt: skip
"""Each program and how often it runs."""
TIMES = ("seconds", "load_seconds", "score_seconds", "cpu_seconds")


def once(system: str, kind: str, folder: Path) -> dict[str, float]:
    load, score = SYSTEMS[system][0](folder, kind)
    with contextlib.redirect_stdout(io.StringIO()):
        start, cpu = time.perf_counter(), time.process_time()
        loaded = load()
        between = time.perf_counter()
        ap = score(loaded)
        end, cpu = time.perf_counter(), time.process_time() - cpu
    return {
        "seconds": end - start,
        "load_seconds": between - start,
        "score_seconds": end - between,
        "cpu_seconds": cpu,
        "peak_gigabytes": peak_bytes() / 1e9,
        "ap": ap,
    }


def resample(detections: int, images: int) -> dict[str, float]:
    """A resample of `amodal compare`: of one run, one measure."""
    from amodal.evaluation.matching.records import Records
    from amodal.evaluation.metrics.bootstrap import Resampling

    rng = np.random.default_rng(0)
    matched = rng.random(detections) > np.linspace(0.9, 0.99, 10)[:, None]
    ignored = ~matched & (rng.random((10, detections)) < 0.02)
    category, image = (rng.integers(0, count, detections).astype(np.int32) for count in (CATEGORIES, images))
    wanted = np.full((CATEGORIES, images), OBJECTS // 5, np.int32)
    records = Records(np.sort(category), image, rng.random(detections), matched, ignored, wanted)
    resampling = Resampling(records)
    drawn = rng.multinomial(images, np.full(images, 1 / images), size=20)
    start = time.perf_counter()
    for weights in drawn:
        resampling.average_precisions(weights)
    return {"detections": detections, "seconds": (time.perf_counter() - start) / len(drawn)}


def apart(run: Callable[..., Any], *given: Any) -> Any:
    """What a function gives that runs in a process of its own."""
    with get_context("spawn").Pool(1) as pool:
        return pool.apply(run, given)


def measure(folder: Path, kind: str, most: int) -> list[dict[str, Any]]:
    """An entry for each program, runs in turn, at most so many of each."""
    runs: dict[str, list[dict[str, float]]] = {system: [] for system in SYSTEMS}
    for repetition in range(max(times for _, times in SYSTEMS.values())):
        for system, (_, times) in SYSTEMS.items():
            if repetition < min(times, most):
                runs[system].append(apart(once, system, kind, folder))
                print(kind, system, {key: round(value, 3) for key, value in runs[system][-1].items()}, flush=True)
    entries: list[dict[str, Any]] = []
    for system, found in runs.items():
        medians = {key: statistics.median(one[key] for one in found) for key in found[0]}
        times = {key: [one[key] for one in found] for key in TIMES}
        entries.append({"system": system, "kind": kind} | medians | {"all": times})
    return entries


def ratios(measured: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """How many times faster than pycocotools each program is: reading and scoring, each alone, and processor time."""
    from benchmarks.speed.harness import centre

    reference = {one["kind"]: one for one in measured if one["system"] == "pycocotools"}
    rows: list[dict[str, Any]] = []
    for one in measured:
        if one["system"] == "pycocotools":
            continue
        for key in TIMES:
            theirs = reference[one["kind"]]["all"][key]
            ratio, spread = centre([rival / own for rival, own in zip(theirs, one["all"][key], strict=False)])
            rows.append({"system": one["system"], "kind": one["kind"], "of": key, "ratio": ratio, "spread": spread})
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--detections", type=int, default=100, help="of each image")
    parser.add_argument("--repetitions", type=int, default=3, help="of each program, at most")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, which measure nothing")
    parser.add_argument("--photographs", type=Path, help="folder of them: a trained model's detections, not made ones")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    if given.quick and given.out is None:
        parser.error("--quick measures nothing worth keeping: give --out")
    if given.quick:
        given.images, given.detections = 10, 20
    from amodal.paper.about import about  # torch is not for the processes that are measured

    with TemporaryDirectory() as name:
        folder = Path(name)
        if given.photographs:
            from benchmarks.trained_detections import write

            images, detections = apart(write, folder, given.photographs)
            asked, out = "--photographs FOLDER", given.out or RESULTS_OF_PHOTOGRAPHS
        else:
            images, detections = given.images, given.images * given.detections
            apart(write_data, folder, given.images, given.detections)
            asked, out = f"--images {given.images}", given.out or RESULTS
        measured = [entry for kind in KINDS for entry in measure(folder, kind, given.repetitions)]
    content = about(
        f"python -m benchmarks.evaluation {asked} --repetitions {given.repetitions}",
        images=images,
        detections_per_image=round(detections / images, 1),
        measured=measured,
        ratios=ratios(measured),
        bootstrap=apart(partial(resample, detections, images)),
        cores=os.cpu_count(),
        load_average_at_end=os.getloadavg()[0],
    )
    for program in sorted(SYSTEMS.keys() - {"amodal"}):
        content["versions"][program] = version(program)
    write_json(out, content, indent=1)


if __name__ == "__main__":
    main()
