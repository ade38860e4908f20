"""The models that come with the package: finished runs in 16 bits, and the card beside them with what is measured.

    amodal train benchmarks/photos_parts.py:first ...    # and five more runs, each from the one before: see that file
    amodal train completer --data FOLDER --out runs/completer
    python -m benchmarks.packaged --photos runs/sixth --completer runs/completer
    python -m benchmarks.photographs --data FOLDER --models photos
    python -m benchmarks.complete --photographs FOLDER/instances_val.json --cocoa FOLDER --eth80 FOLDER
    python -m benchmarks.packaged

The last line writes the card, `src/amodal/weights/README.md`, from the results of the two before it.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import tyro

import amodal
from amodal.completion import checkpoint as completer_file
from amodal.completion.training import MODEL
from amodal.files import read_json, replacing
from amodal.models import checkpoint, zoo
from amodal.training import run_folder

WEIGHTS = Path(amodal.__file__).parent / "weights"
RESULTS = Path(__file__).parent / "results"
STEPS = (2000, 1600, 480, 2700, 2700, 1200)
"""Of the runs that `photos` was trained in, each starting from the one before (`benchmarks.photos_parts`)."""


@dataclass(frozen=True)
class Settings:
    """Which runs."""

    photos: Path | None = None
    """Folder of the last of its runs."""
    completer: Path | None = None
    """Folder of a finished run of the completer."""


def main(settings: Settings) -> None:
    if settings.photos is not None:
        pack_photos(settings.photos)
    if settings.completer is not None:
        pack_completer(settings.completer)
    rows = [*read_json(RESULTS / "photographs.json")["rows"], *read_json(RESULTS / "complete.json")["rows"]]
    with replacing(WEIGHTS / "README.md") as temporary:
        temporary.write_text(card(rows), encoding="utf-8")


def pack_photos(run: Path) -> None:
    """Copies a detector, without the paths of the machine that it was trained on.

    Scores are the detector's alone, times the masks' sureness: the second look's own naming makes them worse here (of
    every third validation image, visible AP 55.8 without it, 54.6 with a quarter of it, 52.9 with a half).
    """
    trained = checkpoint.load(run / run_folder.CHECKPOINT)
    training = trained.details["training"]
    details = {**trained.details, "training": {k: training[k] for k in ("recipe", "seed", "batch_size", "schedule")}}
    backbone = replace(trained.config.backbone, weights="efficientnet_lite0")
    detector = replace(trained.config.detector, duplicate_threshold=0.5)
    vrsp_r = replace(trained.config.vrsp_r, class_weight=0.0)
    config = replace(trained.config, detector=detector, backbone=backbone, vrsp_r=vrsp_r)
    model = zoo.build(config, len(trained.categories), trained.model.branch.prior, pretrained=False)
    model.load_state_dict(trained.model.state_dict(), strict=False)
    checkpoint.save(
        WEIGHTS / "photos.safetensors", checkpoint.Checkpoint(model, config, trained.categories, details), half=True
    )


def pack_completer(run: Path) -> None:
    """Copies a completer."""
    model = completer_file.load(run / MODEL)
    steps = read_json(run / "config.json")["steps"]
    completer_file.save(WEIGHTS / "completer.safetensors", model, {"recipe": "completer", "steps": steps}, half=True)


def card(rows: list[dict[str, Any]]) -> str:
    """The model cards."""
    of = {(row.get("model") or row["method"], row["set"]): row for row in rows}
    plain, covered = of["photos", "photographs as they are"], of["photos", "composed occlusion"]
    composed, real = of["completer", "photographs"], of["completer", "COCOA regions"]
    hull = of["convex hull", "photographs"]
    return f"""# photos

What `amodal.load("photos")` loads, and `amodal predict` uses: VRSP-R on EfficientNet-Lite0 at 320 pixels,
{size("photos")} MB.

* **Trained on** some 3,300 photographs (VOC 2012, COCO, Clothing Co-Parsing, Penn-Fudan, Weizmann horses) with cut-outs
  of others laid over them: {sum(STEPS):,} steps of 8, in {len(STEPS)} runs ({", ".join(f"{n:,}" for n in STEPS)}).
* **Finds** people, dogs, cats, horses, sheep and cows; nothing else.
* **Measured** on photographs that training never saw (`benchmarks/results/photographs.json`): visible AP
  {plain["visible_ap"]}, AP50 {plain["visible_ap50"]}, {plain["doubles_in_50"]} of 50 found twice; where cut-outs cover
  them, amodal AP {covered["amodal_ap"]}, visible AP {covered["visible_ap"]}, AP (Occluded)
  {covered["amodal_ap_occluded_clean"]}.
* **Weak at** crowds, small people, and animals that look like another: it is a small model, trained on one CPU core.

# completer

What `amodal.load("completer")` loads, and `amodal complete` uses: picture and visible mask in, amodal mask out, of any
object, {size("completer")} MB.

* **Trained on** the same photographs, objects of all 80 categories, and drawn scenes.
* **Measured** (`benchmarks/results/complete.json`) on photographs with composed occlusion: mean IoU
  {composed["miou_full"]} of amodal masks and {composed["miou_occluded"]} of the invisible parts (convex hull:
  {hull["miou_full"]} and {hull["miou_occluded"]}); on real occlusion, 13 regions of COCOA, {real["miou_full"]} and
  {real["miou_occluded"]}. {composed["unoccluded_kept"]} % of whole objects stay as they are.

**Licence** of both: Apache-2.0, as the toolkit; the backbone's ImageNet weights are Apache-2.0 as well. The photographs
belong to others and are not part of the package.
"""


def size(name: str) -> float:
    """Of a file of weights, in MB."""
    return round((WEIGHTS / f"{name}.safetensors").stat().st_size / 1e6, 1)


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
