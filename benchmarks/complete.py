"""Given visible masks made whole, by the completer and by what there was before it, on the same objects.

    python -m benchmarks.complete --photographs FOLDER/instances_val.json --cocoa FOLDER --eth80 FOLDER

Sets: photographs with composed occlusion (fixed scenes by seed), real occlusion (COCOA's regions), scenes of ETH-80's
objects (another world: the completer never saw them). Writes `results/complete.json`, a row a method and set:

* `miou_full`: mean IoU of amodal masks, of objects of which 5 to 70 % (COCOA: 5 % or more) is invisible;
* `miou_occluded`: the same of their invisible parts alone;
* `unoccluded_kept`: share of whole objects whose mask keeps an IoU of 0.98 or more;
* `ms_per_object` of processor time on one thread, reading apart; 95 % intervals by bootstrap over images.

Scenes are the same whenever they are composed: what is not measured anew (other methods than `--methods`, a set
that is not given) keeps its rows, each with the date and commit that it was measured at.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np
import torch
import tyro
from tqdm import tqdm

import amodal
from amodal.completion.crops import convex_hull
from amodal.data.config import FileSource, PhotographSource
from amodal.data.sources import open_source
from amodal.files import read_json, write_json
from amodal.formats import annotation_files
from amodal.inference.predictor import Predictor
from amodal.paper.about import about
from amodal.synthesis.config import OcclusionConfig
from amodal.training import composed

RATES = (0.05, 0.7)
"""Occlusion rates of the objects that count as occluded."""
KEPT_IOU = 0.98
RESAMPLES = 2000


@dataclass(frozen=True)
class Settings:
    """What is measured."""

    photographs: Path | None = None
    """Annotations of validation photographs."""
    cocoa: Path | None = None
    """A folder of COCOA's annotations."""
    eth80: Path | None = None
    """The folder that holds `eth80/` and `backgrounds/`."""
    completer: str = "completer"
    """The completer: a file, or the name of the one in the package."""
    one_class: str | None = None
    """A VRSP checkpoint of one class, trained on the same photographs; left out without."""
    methods: tuple[str, ...] = ()
    """Names of the methods that are measured. None given: all."""
    scenes: int = 400
    """Composed photographs; a quarter as many scenes of ETH-80."""
    out: Path = Path(__file__).parent / "results" / "complete.json"
    """The result."""


@dataclass(frozen=True)
class Objects:
    """The objects of one image; `exact` says whose amodal mask is known."""

    image: np.ndarray
    visible: np.ndarray
    amodal: np.ndarray
    exact: np.ndarray


Method = Callable[[Objects], np.ndarray]
"""Amodal masks, bool (N, H, W), of objects of which image and visible masks alone are looked at."""


@dataclass
class Tally:
    """What one method reaches on one set, image by image."""

    full: list[np.ndarray] = field(default_factory=list)
    occluded: list[np.ndarray] = field(default_factory=list)
    kept: list[np.ndarray] = field(default_factory=list)
    seconds: float = 0.0
    objects: int = 0

    def add(self, objects: Objects, found: np.ndarray, most: float) -> None:
        """Notes the masks of one image."""
        areas = objects.amodal.sum((1, 2))
        rates = 1 - objects.visible.sum((1, 2)) / np.maximum(areas, 1)
        is_occluded = objects.exact & (rates >= RATES[0]) & (rates <= most)
        is_whole = objects.exact & (rates == 0) & (areas > 0)
        hidden = objects.amodal & ~objects.visible
        ious = overlaps(found, objects.amodal)
        self.full.append(ious[is_occluded])
        self.occluded.append(overlaps(found & ~objects.visible, hidden)[is_occluded])
        self.kept.append((ious[is_whole] >= KEPT_IOU).astype(float))

    def row(self) -> dict[str, Any]:
        """Percentages with their intervals."""
        measured = {"miou_full": self.full, "miou_occluded": self.occluded, "unoccluded_kept": self.kept}
        found: dict[str, Any] = {}
        for name, parts in measured.items():
            values = np.concatenate(parts)
            found[name] = round(100 * float(values.mean()), 2) if len(values) else None
            found[f"{name}_interval"] = interval(parts) if len(values) else None
        counts = {"occluded": sum(map(len, self.full)), "unoccluded": sum(map(len, self.kept))}
        return found | counts | {"ms_per_object": round(1000 * self.seconds / max(self.objects, 1), 2)}


def overlaps(found: np.ndarray, true: np.ndarray) -> np.ndarray:
    """IoU of each mask with its own true one; 1 where both are empty."""
    either = (found | true).sum((1, 2))
    return np.where(either > 0, (found & true).sum((1, 2)) / np.maximum(either, 1), 1.0)


def interval(parts: list[np.ndarray]) -> list[float]:
    """95 % of the means over images drawn anew."""
    sums, counts = np.array([part.sum() for part in parts]), np.array([len(part) for part in parts])
    draws = np.random.default_rng(0).integers(0, len(parts), (RESAMPLES, len(parts)))
    means = sums[draws].sum(1) / np.maximum(counts[draws].sum(1), 1)
    return [round(100 * float(bound), 2) for bound in np.percentile(means, [2.5, 97.5])]


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    methods = chosen(open_methods(settings), settings.methods)
    rows = []
    for name, (count, most, images) in open_sets(settings).items():
        tallies = {method: Tally() for method in methods}
        for objects in tqdm(images, name, total=count, unit="image", disable=None):
            for method, complete in methods.items():
                began = process_time()
                found = complete(objects)
                tallies[method].seconds += process_time() - began
                tallies[method].objects += len(objects.visible)
                tallies[method].add(objects, found, most)
        rows += [{"method": method, "set": name, **tally.row()} for method, tally in tallies.items()]
        for row in rows[-len(methods) :]:
            print({key: value for key, value in row.items() if not key.endswith("interval")})
    origin = about("python -m benchmarks.complete", threads=1, scenes=settings.scenes, seed=composed.VALIDATION_SEED)
    write_json(settings.out, {"about": origin, "rows": [*rows, *left(settings.out, rows)]}, indent=1)


def chosen(methods: dict[str, Method], names: tuple[str, ...]) -> dict[str, Method]:
    """Those of these names; all where none is given."""
    return {name: methods[name] for name in names} if names else methods


def left(out: Path, rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows of an earlier result that are not measured anew, each with when it was measured."""
    if not out.is_file():
        return []
    before = read_json(out)
    when = {key: before["about"][key] for key in ("date", "commit")}
    anew = {_named(row) for row in rows}
    return [{**row, "measured": row.get("measured", when)} for row in before["rows"] if _named(row) not in anew]


def _named(row: dict[str, Any]) -> frozenset[tuple[str, str]]:
    """What a row is of: its set, its method, and what else is told in words."""
    return frozenset((key, value) for key, value in row.items() if isinstance(value, str))


def open_methods(settings: Settings) -> dict[str, Method]:
    """Every method by its name."""
    ours, drawn = amodal.load(settings.completer, "cpu"), amodal.load("demo", "cpu")
    methods: dict[str, Method] = {
        "visible as it is": lambda objects: objects.visible.copy(),
        "convex hull": lambda objects: np.stack([convex_hull(mask) for mask in objects.visible]),
        "VRSP of drawn objects (demo)": lambda objects: completed(drawn, objects),
    }
    if settings.one_class is not None:
        one_class = amodal.load(settings.one_class, "cpu")
        methods["VRSP of one class, visible masks given"] = lambda objects: completed(one_class, objects)
    methods["completer, each object alone"] = lambda objects: np.concatenate(
        [completed(ours, replace(objects, visible=mask[None])) for mask in objects.visible]
    )
    methods["completer"] = lambda objects: completed(ours, objects)
    return methods


def completed(predictor: Predictor, objects: Objects) -> np.ndarray:
    """The predictor's amodal masks around the given visible ones."""
    found = predictor.complete(objects.image, visible_masks=objects.visible).amodal_masks
    assert found is not None
    return found


def open_sets(settings: Settings) -> dict[str, tuple[int, float, Iterator[Objects]]]:
    """The images of each set: how many, the highest occlusion rate that counts, and themselves."""
    sets: dict[str, tuple[int, float, Iterator[Objects]]] = {}
    if settings.photographs is not None:
        source = PhotographSource(
            str(settings.photographs),
            side=384,
            count=settings.scenes,
            seed=composed.VALIDATION_SEED,
            occlusion=OcclusionConfig(occlusion_rate=RATES, untouched=0.1),
        )
        sets["photographs"] = settings.scenes, RATES[1], of_samples(source)
    if settings.cocoa is not None:
        annotation_set = annotation_files.read(settings.cocoa)
        sets["COCOA regions"] = len(annotation_set.images), 1.0, of_samples(FileSource((str(settings.cocoa),)))
    if settings.eth80 is not None:
        scenes = composed.eth80_scenes(settings.eth80, side=256).val
        assert scenes is not None and not isinstance(scenes, FileSource)
        sets["ETH-80 scenes"] = settings.scenes // 4, RATES[1], of_samples(replace(scenes, count=settings.scenes // 4))
    return sets


def of_samples(source: Any) -> Iterator[Objects]:
    samples = open_source(source)
    for index in range(len(samples)):
        sample = samples[index]
        target = sample["target"]
        visible, whole = target["visible_masks"].numpy(), target["amodal_masks"].numpy()
        exact = target["exact"].numpy() if "exact" in target else np.ones(len(whole), dtype=bool)
        yield Objects(np.ascontiguousarray(sample["image"].permute(1, 2, 0).numpy()), visible, whole, exact)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
