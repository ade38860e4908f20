"""Detectors trained on photographs: what they find, and how whole, on photographs that training never saw.

    python -m benchmarks.photographs --data FOLDER --models photos

FOLDER holds `instances_val.json` and `images/`. Two sets: the validation photographs as they are, where the masks are
of what is visible, and 400 fixed scenes of them with composed occlusion. Writes `results/photographs.json`, a row a
model and set; APs in percent, `doubles_in_50`: of 50 objects drawn at a score of 0.5, how many are another's pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

from amodal import rle
from amodal.annotations import AnnotationSet, Category, Detection
from amodal.data.dataset import AnnotatedImages, SampleSet
from amodal.data.sources import open_source
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.evaluation.score import score
from amodal.files import read_json, write_json
from amodal.formats import annotation_files
from amodal.inference.model_files import PACKAGED, model_file
from amodal.models import checkpoint
from amodal.paper.about import about
from amodal.training import composed
from benchmarks.eth80 import numbers

SHOWN = 0.5
"""Detections that score so much are drawn."""
SAME_PIXELS = 0.5
"""Two of one image are of the same pixels from this IoU of their visible masks on."""


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    data: Path
    """Folder of the photographs' annotations."""
    models: tuple[str, ...] = ("photos",)
    """Checkpoints, or names of models in the package."""
    out: Path = Path(__file__).parent / "results" / "photographs.json"
    """The result; rows of other models that it holds stay."""


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    rows = [row for model in settings.models for row in score_model(model, settings.data)]
    given = [
        name if Path(name).name == name else f"RUNS/{Path(name).parent.name}/{Path(name).name}"
        for name in settings.models
    ]
    command = "python -m benchmarks.photographs --data FOLDER --models " + " ".join(given)
    before = read_json(settings.out)["rows"] if settings.out.exists() else []
    fresh = {row["model"] for row in rows}
    origin = about(command, seed=composed.VALIDATION_SEED, threads=1)
    write_json(settings.out, {"about": origin, "rows": [r for r in before if r["model"] not in fresh] + rows}, indent=1)


def score_model(name: str, data: Path) -> list[dict[str, Any]]:
    """A row for each set."""
    path = model_file(name)
    loaded = checkpoint.load(path)
    rows = []
    for title, samples in open_sets(data).items():
        if [c.name for c in samples.categories] != [c.name for c in loaded.categories]:
            raise SystemExit(f"{name} knows other categories than {title}")
        predicted = predict(loaded.model.detect, samples, loading=LoaderSettings(workers=1))
        detections = predicted.detections["refined"]
        row = {"model": path.stem if path.parent == PACKAGED else path.parent.name, "set": title}
        row |= {"method": loaded.config.method, "steps": loaded.details.get("step"), "images": len(samples)}
        row |= numbers(score(predicted.truth, detections)) | {"doubles_in_50": doubles(detections)}
        rows.append(row)
        print(row)
    return rows


def open_sets(data: Path) -> dict[str, SampleSet]:
    """The photographs as they are, and covered."""
    source = composed.photographs(data, composed.PETS, side=256).val
    assert source is not None
    covered = open_source(source)
    return {
        "photographs as they are": AnnotatedImages(of_categories(data / "instances_val.json", covered.categories)),
        "composed occlusion": covered,
    }


def of_categories(path: Path, categories: Sequence[Category]) -> AnnotationSet:
    """The annotations of these categories, and the images that show one."""
    everything = annotation_files.read(path)
    own = {c.id: known for c in everything.categories for known in categories if known.name == c.name}
    kept = [replace(a, category_id=own[a.category_id].id) for a in everything.annotations if a.category_id in own]
    shown = {a.image_id for a in kept}
    images = [image for image in everything.images if image.id in shown]
    return replace(everything, images=images, annotations=kept, categories=list(categories))


def doubles(detections: Sequence[Detection]) -> float:
    """Of 50 drawn objects, how many share most of their pixels with a better one of the same image, of any class."""
    by_image: dict[int, list[Detection]] = {}
    for detection in detections:
        if detection.score >= SHOWN:
            by_image.setdefault(detection.image_id, []).append(detection)
    count, shared = 0, 0
    for found in by_image.values():
        masks = [d.visible if d.visible is not None else d.amodal for d in sorted(found, key=lambda d: -d.score)]
        ious = rle.ious([m for m in masks if m is not None], [m for m in masks if m is not None])
        shared += int((np.tril(ious, -1) > SAME_PIXELS).any(axis=1).sum())
        count += len(masks)
    return round(50 * shared / max(count, 1), 2)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
