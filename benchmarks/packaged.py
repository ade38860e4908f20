"""The model that comes with the package: a finished run of the demo recipe, in 16 bits, measured as it is shipped.

    amodal train demo --iterations 500 --out runs/packaged
    python -m benchmarks.packaged --run runs/packaged

Writes `src/amodal/weights/demo.safetensors`, its model card beside it, and `results/demo_model.json`.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import tyro

import amodal
from amodal.bench.about import about
from amodal.data.sources import open_source
from amodal.evaluation.evaluator import Reading, predict
from amodal.evaluation.score import score
from amodal.files import read_json, replacing, write_json
from amodal.models import checkpoint
from amodal.training import recipes, run_folder
from benchmarks.eth80 import numbers

WEIGHTS = Path(amodal.__file__).parent / "weights"
SCENES = 60
"""Validation scenes, of objects that training never saw."""


@dataclass(frozen=True)
class Settings:
    """Which run."""

    run: Path = Path("runs/packaged")
    """Folder of a finished run of the demo recipe."""
    out: Path = Path(__file__).parent / "results" / "demo_model.json"
    """The result."""


def main() -> None:
    settings = tyro.cli(Settings, description=__doc__)
    trained = checkpoint.load(settings.run / run_folder.CHECKPOINT)
    path = WEIGHTS / "demo.safetensors"
    trained.details["training"]["prior"]["file"] = None  # a path of the machine that it was trained on
    checkpoint.save(path, trained, half=True)
    source = recipes.demo(Path("data")).data.val
    assert source is not None
    predicted = predict(
        checkpoint.load(path).model, open_source(replace(source, count=SCENES)), reading=Reading(workers=1)
    )
    metrics = read_json(settings.run / run_folder.METRICS)
    found = {
        "steps": metrics["steps"],
        "seed": metrics["seed"],
        "scenes": SCENES,
        "megabytes": round(path.stat().st_size / 1e6, 1),
        **numbers(score(predicted.truth, predicted.detections["refined"])),
    }
    command = (
        "amodal train demo --iterations 500 --out runs/packaged && python -m benchmarks.packaged --run runs/packaged"
    )
    write_json(settings.out, {"about": about(command), **found}, indent=1)
    with replacing(WEIGHTS / "README.md") as temporary:
        temporary.write_text(card(found, [category.name for category in trained.categories]), encoding="utf-8")
    print(found)


def card(found: dict, categories: list[str]) -> str:
    """The model card."""
    return f"""# demo

The model that `amodal.load("demo")` loads: VRSP on EfficientNet-Lite0, 160 pixels, {found["megabytes"]} MB.

* **Trained on** scenes of drawn objects, composed by this toolkit: {found["steps"]} steps of 8 scenes, seed
  {found["seed"]}.
* **Knows** {len(categories)} categories: {", ".join(categories)}.
* **Measured** on {found["scenes"]} scenes of drawings that it was not trained on: amodal AP {found["amodal_ap"]}, AP50
  {found["amodal_ap50"]}, visible AP {found["visible_ap"]}, AP (Occluded) {found["amodal_ap_occluded_vrsp"]}
  (`benchmarks/results/demo_model.json`).
* **For** trying the commands, the page and the API. It was never shown a photograph: expect nothing of it there.
* **Licence** Apache-2.0, as the toolkit; the backbone's ImageNet weights are Apache-2.0 as well.
"""


if __name__ == "__main__":
    main()
