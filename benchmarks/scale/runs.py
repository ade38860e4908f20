"""Commands on many tiny pictures, with a cluster and without."""

import io
import os
import signal
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

import amodal
from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.files import read_json
from amodal.formats import coco
from amodal.models.checkpoint import Checkpoint, save
from amodal.models.config import BackboneConfig, DetectorConfig, MaskConfig, ModelConfig
from amodal.models.zoo import build
from amodal.scale.shards import ShardFolder
from benchmarks.scale.process_tree import Used, watched

SIDE = 32
MODEL = ModelConfig(
    method="orcnn",
    backbone=BackboneConfig("resnet18", "none", frozen_stages=0, fpn_channels=8),
    detector=DetectorConfig(
        min_size=(SIDE,), max_size=SIDE, anchor_sizes=(8, 16, 32, 64, 96), proposals_inference=10,
        box_width=16, detections_per_image=5, score_threshold=0.01,
    ),
    mask=MaskConfig(width=8),
)  # fmt: skip
NAMES = ("cup", "pear")
ONE_THREAD = {"OMP_NUM_THREADS": "1"}


def rows(folder: Path, *, small: bool) -> dict[str, Any]:
    """Processors' time a row, and memory, as rows grow a hundredfold: a size's further rows beside those before it."""
    write_model(folder)
    sizes = (20, 60, 120) if small else (1_000, 10_000, 100_000)
    found = []
    for count in sizes:
        write_table(folder / f"{count}.parquet", count)
        found.append(run(folder, predict(count, f"shards{count}")))
    steps = list(zip(pairwise(sizes), pairwise(found), strict=True))
    a_row = [(more.cpu - few.cpu) / (high - low) for (low, high), (few, more) in steps]
    rate = [(high - low) / (more.wall - few.wall) for (low, high), (few, more) in steps]
    return {
        "sizes": [as_json(count, used) for count, used in zip(sizes, found, strict=True)],
        "cpu_a_row": a_row,
        "rows_a_second": rate,
        "fixed_cpu": found[0].cpu - sizes[0] * a_row[0],
        "cpu_a_row_ratio": a_row[-1] / a_row[0],
        "command_peak_ratio": found[-1].command_peak / found[0].command_peak,
        "worker_peak_ratio": found[-1].worker_peak / found[0].worker_peak,
    }


def overhead(folder: Path, *, small: bool) -> dict[str, Any]:
    """`amodal evaluate`, whose report is the same with a cluster and without."""
    write_model(folder)
    sizes = (20, 60) if small else (300, 2_400)
    cost: dict[str, list[Used]] = {"plain": [], "ray": []}
    for count in sizes:
        write_data(folder / f"data{count}", count)
        for name, flags in (("plain", ["--workers", "0", "--device", "cpu"]), ("ray", ["--ray", "local"])):
            line = ["evaluate", "model.safetensors", f"data{count}", "--out", f"{name}{count}.json", *flags]
            cost[name].append(run(folder, line))
        plain, many = (read_json(folder / f"{name}{count}.json") for name in cost)
        assert plain == many
    a_row = {name: (last.cpu - first.cpu) / (sizes[1] - sizes[0]) for name, (first, last) in cost.items()}
    sized = {name: [as_json(*one) for one in zip(sizes, found, strict=True)] for name, found in cost.items()}
    fixed = {name: found[0].cpu - sizes[0] * a_row[name] for name, found in cost.items()}
    return {
        "sizes": sized,
        "cpu_a_row": a_row,
        "fixed_cpu": fixed,
        "ratio_a_row": a_row["ray"] / a_row["plain"],
        "wall_ratio": cost["ray"][-1].wall / cost["plain"][-1].wall,
    }


def recovery(folder: Path, *, small: bool) -> dict[str, Any]:
    """One worker is killed when a third of the shards is there."""
    write_model(folder)
    count = 200 if small else 3_000
    write_table(folder / f"{count}.parquet", count)
    whole, killed = run(folder, predict(count, "whole")), list[int]()

    def kill(alive: list[int]) -> None:
        if not killed and alive and len(list((folder / "disturbed").glob("part-*.parquet"))) > 20:
            killed.append(alive[0])
            os.kill(alive[0], signal.SIGKILL)

    disturbed = run(folder, predict(count, "disturbed"), kill)
    one, other = (
        [table.to_pylist() for table in ShardFolder(folder / name).tables()] for name in ("whole", "disturbed")
    )
    return {
        "undisturbed": as_json(count, whole),
        "disturbed": as_json(count, disturbed),
        "killed": len(killed),
        "equal_rows": one == other,
        "cpu_ratio": disturbed.cpu / whole.cpu,
        "further_cpu": disturbed.cpu - whole.cpu,
        "wall_ratio": disturbed.wall / whole.wall,
    }


def picture(folder: Path, *, small: bool) -> dict[str, Any]:
    """What the packaged detector takes for a photograph, without a cluster: of 2 and of 8 pictures."""
    content = (Path(amodal.__file__).parent / "samples" / "sample.jpg").read_bytes()
    counts, found = (1, 2) if small else (2, 8), []
    for count in counts:
        (folder / f"photographs{count}").mkdir()
        for number in range(count):
            (folder / f"photographs{count}" / f"{number}.jpg").write_bytes(content)
        found.append(run(folder, ["predict", f"photographs{count}", "--out", f"out{count}", "--device", "cpu"]))
    size = Image.open(io.BytesIO(content)).size
    return {"width": size[0], "height": size[1], "cpu": (found[1].cpu - found[0].cpu) / (counts[1] - counts[0])}


def predict(count: int, out: str) -> list[str]:
    return ["predict", "model.safetensors", f"{count}.parquet", "--out", out, "--score", "0.01", "--ray", "local"]


def run(folder: Path, line: Sequence[str], on_look: Any = None) -> Used:
    used = watched(["-m", "amodal.cli", *line], folder, ONE_THREAD, on_look)
    if used.status:
        raise SystemExit((folder / "said.txt").read_text())
    return used


def as_json(count: int, used: Used) -> dict[str, Any]:
    return {
        "rows": count, "cpu": used.cpu, "workers_cpu": used.workers_cpu, "wall": used.wall,
        "workers_cpu_a_row": used.workers_cpu / count,
        "command_peak": used.command_peak, "worker_peak": used.worker_peak,
    }  # fmt: skip


def write_model(folder: Path) -> None:
    """Of random weights, always the same."""
    torch.manual_seed(0)
    categories = [Category(number, name) for number, name in enumerate(NAMES, start=1)]
    save(folder / "model.safetensors", Checkpoint(build(MODEL, len(NAMES), None).eval(), MODEL, categories))


def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
    """A picture and its objects' amodal masks, (2, SIDE, SIDE); the first is in front."""
    rng = np.random.default_rng(number)
    masks = np.zeros((2, SIDE, SIDE), dtype=bool)
    pixels = rng.integers(0, 60, (SIDE, SIDE, 3), dtype=np.uint8)
    for mask in masks[::-1]:
        top, left = rng.integers(0, SIDE - 14, 2)
        mask[top : top + 12, left : left + 12] = True
        pixels[mask] = rng.integers(100, 255, 3)
    return pixels, masks


def write_table(path: Path, count: int) -> None:
    import pyarrow as pa
    from pyarrow import parquet

    def encoded(number: int) -> bytes:
        file = io.BytesIO()
        Image.fromarray(drawn(number)[0]).save(file, "PNG")
        return file.getvalue()

    parquet.write_table(pa.table({"bytes": [encoded(number) for number in range(count)]}), path)


def write_data(folder: Path, count: int) -> None:
    """A data set in which the first object of each picture hides a part of the second."""
    (folder / "images").mkdir(parents=True)
    images, annotations = [], []
    for number in range(1, count + 1):
        pixels, masks = drawn(number)
        Image.fromarray(pixels).save(folder / "images" / f"{number}.png")
        images.append(ImageRecord(number, f"{number}.png", SIDE, SIDE))
        visible = rle.encode(np.stack([masks[0], masks[1] & ~masks[0]]))
        for place, (amodal_mask, seen) in enumerate(zip(rle.encode(masks), visible, strict=True)):
            annotations.append(Annotation(len(annotations) + 1, number, place + 1, amodal_mask, seen))
    categories = [Category(number, name) for number, name in enumerate(NAMES, start=1)]
    made = AnnotationSet(images, annotations, categories, folder / "images")
    coco.write(replace(made, image_folder=folder / "images"), folder / "annotations.json")
