"""Completing given objects: how far should the box of a visible part be grown? The packaged model on drawn scenes.

    python -m benchmarks.prompts

Each object of a scene is given by the box around what is visible of it, and its class. Its whole mask is completed
within that box, within boxes grown by a fixed margin, and within the box that the model's own box head predicts from
it, once or twice. Writes `results/prompts.json`: mean IoU of the completed masks with the true ones.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

import amodal
from amodal.data.dataset import Sample
from amodal.data.sources import open_source
from amodal.files import write_json
from amodal.inference.predictor import Predictor
from amodal.models.prompting import GROWTH
from amodal.paper.about import about
from amodal.results.result import Result
from amodal.training import recipes

OCCLUDED = 0.15
"""Objects hidden by at least so much are counted apart..."""
CUT = 0.8
"""...and so are those whose visible part's box covers less than this of the whole object's."""


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    model: str = "demo"
    """A checkpoint, or the name of a model in the package."""
    scenes: int = 60
    """Drawn scenes, of objects that training never saw."""
    margins: tuple[float, ...] = (0.0, 0.05, 0.1, 0.2)
    """Shares of the box's sides that are added on each side."""
    shares: tuple[float, ...] = (0.25, 0.5, 0.75, 1.0)
    """Shares of the way to the box head's box."""
    out: Path = Path(__file__).parent / "results" / "prompts.json"
    """The result."""


@dataclass(frozen=True)
class Objects:
    """The objects of one image; boxes are around what is visible of them."""

    image: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray
    amodal: np.ndarray
    rates: np.ndarray
    """Occlusion rates."""
    covered: np.ndarray
    """Share of the whole object's box that the visible part's covers."""


Growth = Callable[[Predictor, Objects], Result]


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    predictor = amodal.load(settings.model, "cpu")
    growths: dict[str, Growth] = {f"margin of {m:.0%}": partial(with_margin, margin=m) for m in settings.margins}
    growths |= {f"{s:.0%} of the way to the box head's": partial(with_box_head, share=s) for s in settings.shares}
    growths["true box"] = with_true_box
    found: dict[str, list[np.ndarray]] = {name: [] for name in growths}
    rates, covered = [], []
    for objects in read(settings.scenes):
        rates.append(objects.rates)
        covered.append(objects.covered)
        for name, growth in growths.items():
            found[name].append(overlaps(growth(predictor, objects).masks, objects.amodal))
    occluded, cut = np.concatenate(rates) >= OCCLUDED, np.concatenate(covered) < CUT
    rows = [
        {"boxes": name, "iou": mean(ious), "iou_occluded": mean(ious[occluded]), "iou_cut": mean(ious[cut])}
        for name, ious in ((name, np.concatenate(parts)) for name, parts in found.items())
    ]
    counts = {"scenes": settings.scenes, "objects": len(cut), "occluded": int(occluded.sum()), "cut": int(cut.sum())}
    origin = about("python -m benchmarks.prompts", model=settings.model, **counts)
    write_json(settings.out, {"about": origin, "rows": rows}, indent=1)
    for row in rows:
        print(row)


def read(count: int) -> list[Objects]:
    """The validation scenes of the demo recipe."""
    source = recipes.demo(Path()).data.val
    assert source is not None
    samples = open_source(replace(source, count=count))
    return [objects_of(samples[index]) for index in range(len(samples))]


def objects_of(sample: Sample) -> Objects:
    target = sample["target"]
    whole, seen = target["amodal_masks"].numpy(), target["visible_masks"].numpy()
    image = np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy())
    rates = 1 - seen.sum((1, 2)) / whole.sum((1, 2))
    covered = areas(tight(seen)) / areas(tight(whole))
    return Objects(image, tight(seen), target["labels"].numpy(), whole, rates, covered)


def tight(masks: np.ndarray) -> np.ndarray:
    """Tight boxes of masks that are not empty, xyxy."""
    lines = [(np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))) for mask in masks]
    return np.array([[x[0], y[0], x[-1] + 1, y[-1] + 1] for x, y in lines], np.float32)


def areas(boxes: np.ndarray) -> np.ndarray:
    return (boxes[:, 2:] - boxes[:, :2]).prod(1)


def with_margin(predictor: Predictor, objects: Objects, margin: float) -> Result:
    sides = np.tile(objects.boxes[:, 2:] - objects.boxes[:, :2], 2)
    height, width = objects.image.shape[:2]
    grown = objects.boxes + margin * sides * np.array([-1, -1, 1, 1], np.float32)
    return within(predictor, objects, grown.clip(0, np.array([width, height] * 2, np.float32)))


def with_box_head(predictor: Predictor, objects: Objects, share: float) -> Result:
    grown = predictor.complete(objects.image, objects.boxes, labels=objects.labels).boxes
    return within(predictor, objects, objects.boxes + share / GROWTH * (grown - objects.boxes))


def with_true_box(predictor: Predictor, objects: Objects) -> Result:
    return within(predictor, objects, tight(objects.amodal))


def within(predictor: Predictor, objects: Objects, boxes: np.ndarray) -> Result:
    return predictor.complete(objects.image, boxes, labels=objects.labels, box_kind="amodal")


def overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """IoU of each mask with its own true one."""
    return (found & true).sum((1, 2)) / np.maximum((found | true).sum((1, 2)), 1)


def mean(values: np.ndarray) -> float | None:
    """In percent."""
    return round(100 * float(values.mean()), 2) if len(values) else None


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
