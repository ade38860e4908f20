"""What the rule of `amodal complete` is worth: with it and without, by three methods, on the same objects.

    python -m benchmarks.careful --photographs FOLDER/instances_val.json --cocoa FOLDER

The rule (`inference/careful.py`) has two parts: small changes are dropped, and what no other annotated object touches
stays as it is. By default completers go by the first, detectors by both. Sets as in `benchmarks.complete`: composed
photographs and COCOA's real occlusion. Each is annotated in two ways: whole (`all`), and so that whatever hides an
object is not annotated (`each alone`: a method sees the picture and one mask). Writes `results/careful.json`, a row a
set, method, way of annotation and rule:

* `miou_all`: mean IoU of all amodal masks, whole objects and occluded ones; the others as in `complete.json`;
* `grown`: share of whole objects of which anything is drawn that is not visible.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro
from tqdm import tqdm

import amodal
from amodal.completion.crops import convex_hull
from amodal.files import write_json
from amodal.inference.careful import Care, believed
from amodal.paper.about import about
from amodal.training import composed
from benchmarks import complete
from benchmarks.complete import Method, Objects, Tally, completed, interval, overlaps

RULES = {
    "none": Care("complete", least_change=0),
    "small changes dropped": Care("complete"),
    "untouched ones stay": Care("stay", least_change=0),
    "both": Care("stay"),
}


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    photographs: Path | None = None
    """Annotations of validation photographs."""
    cocoa: Path | None = None
    """A folder of COCOA's annotations."""
    methods: tuple[str, ...] = ()
    """Names of the methods that are measured; other rows stay, as in `benchmarks.complete`. None given: all."""
    scenes: int = 400
    """Composed photographs."""
    out: Path = Path(__file__).parent / "results" / "careful.json"
    """The result."""


@dataclass
class Counts:
    """What one method with one rule reaches on one set."""

    tally: Tally = field(default_factory=Tally)
    every: list[np.ndarray] = field(default_factory=list)
    grown: list[np.ndarray] = field(default_factory=list)

    def add(self, objects: Objects, found: np.ndarray, most: float) -> None:
        """Notes the masks of one image."""
        self.tally.add(objects, found, most)
        self.every.append(overlaps(found, objects.amodal)[objects.exact])
        is_whole = objects.exact & (objects.visible == objects.amodal).all((1, 2)) & objects.amodal.any((1, 2))
        grown = np.asarray((found & ~objects.visible).any((1, 2)), dtype=float)
        self.grown.append(grown[is_whole])

    def row(self) -> dict[str, Any]:
        """Percentages with their intervals."""
        row = {}
        for name, parts in {"miou_all": self.every, "grown": self.grown}.items():
            row[name] = round(100 * float(np.concatenate(parts).mean()), 2)
            row[f"{name}_interval"] = interval(parts)
        return row | {name: value for name, value in self.tally.row().items() if name != "ms_per_object"}


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    methods = complete.chosen(open_methods(), settings.methods)
    sets = complete.open_sets(complete.Settings(settings.photographs, settings.cocoa, scenes=settings.scenes))
    rows = []
    for name, (count, most, images) in sets.items():
        counts: dict[tuple[str, str, str], Counts] = {}
        for objects in tqdm(images, name, total=count, unit="image", disable=None):
            for key, found in answers(objects, methods):
                counts.setdefault(key, Counts()).add(objects, found, most)
        for (method, annotated, rule), one in counts.items():
            rows.append({"set": name, "method": method, "annotated": annotated, "rule": rule, **one.row()})
            print({key: value for key, value in rows[-1].items() if not key.endswith("interval")})
    origin = about("python -m benchmarks.careful", threads=1, scenes=settings.scenes, seed=composed.VALIDATION_SEED)
    write_json(settings.out, {"about": origin, "rows": [*rows, *complete.left(settings.out, rows)]}, indent=1)


def open_methods() -> dict[str, Method]:
    """The methods by their names."""
    ours, drawn = amodal.load("completer", "cpu"), amodal.load("demo", "cpu")
    return {
        "visible as it is": lambda objects: objects.visible.copy(),
        "convex hull": lambda objects: np.stack([convex_hull(mask) for mask in objects.visible]),
        "VRSP of drawn objects (demo)": lambda objects: completed(drawn, objects),
        "completer": lambda objects: completed(ours, objects),
    }


def answers(objects: Objects, methods: dict[str, Method]) -> Iterator[tuple[tuple[str, str, str], np.ndarray]]:
    """Each method's masks by its name, the way of annotation and the rule."""
    for method, complete_objects in methods.items():
        whole = complete_objects(objects)
        alone = [complete_objects(replace(objects, visible=mask[None])) for mask in objects.visible]
        for rule, care in RULES.items():
            yield (method, "all", rule), believed(whole, objects.visible, None, care)
            kept = [believed(one, mask[None], None, care) for one, mask in zip(alone, objects.visible, strict=True)]
            yield (method, "each alone", rule), np.concatenate(kept)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
