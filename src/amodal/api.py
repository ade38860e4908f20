"""The functions of `import amodal` that do what the commands do: evaluate, train, synth."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from amodal.annotations import AnnotationSet, Detection
from amodal.arguments import require_word
from amodal.commands.declared import checked
from amodal.commands.synth import SceneOutput, SceneParts
from amodal.commands.synth import synth as synth_command
from amodal.evaluation.report import Report
from amodal.formats.annotation_files import read
from amodal.inference.predictor import Predictor, load
from amodal.synthesis.config import SceneConfig, Split

if TYPE_CHECKING:
    from amodal.training.config import TrainConfig


def evaluate(
    model: str | Path | Predictor | Sequence[Detection],
    data: str | Path | AnnotationSet,
    *,
    masks: Literal["refined", "coarse"] = "refined",
    device: str | None = None,
) -> Report:
    """Scores a model, or detections, on annotated images: `print(report)` shows the table.

    Args:
        model: Whatever `amodal.load` takes, a predictor, or detections (`amodal.results.result_files.read`).
        data: An annotation file of any known format, or what `amodal.read` gives.
        masks: A model's final masks, or those before its shape prior.
        device: "cpu", "cuda", "cuda:1"; the GPU where there is one by default. Of a predictor, its own.

    Raises:
        UserError: Something is missing, or the model and the data have different categories.
    """
    require_word("masks", masks, ("refined", "coarse"))
    from amodal.inference.scoring import Asked, detections_of, report_of, without_stuff

    truth = without_stuff(data if isinstance(data, AnnotationSet) else read(data))
    if not isinstance(model, str | Path | Predictor):
        return report_of(truth, model)
    predictor = model if isinstance(model, Predictor) else load(model, device)
    name = "the model" if isinstance(model, Predictor) else str(model)
    found, invisible = detections_of(predictor, truth, Asked(masks), name=name)
    return report_of(truth, found, invisible, {"data": str(truth.source or ""), "scored": name, "masks": masks})


def train(
    recipe: "str | TrainConfig",
    out: str | Path,
    *,
    data: str | Path = "data",
    iterations: int | None = None,
    resume: bool = False,
    device: str = "auto",
) -> Predictor:
    """Trains a model and loads it.

    Args:
        recipe: A recipe's name, "my_recipes.py:shelf", or settings of your own.
        out: The run's folder.
        data: Folder that holds the recipe's data set.
        iterations: Steps of the run, if not the recipe's.
        resume: Go on from the folder's last checkpoint; a new run where there is none.
        device: "auto", "cpu", "cuda" or "cuda:1".

    Raises:
        UserError: Data are missing or damaged, or the folder holds another run.
    """
    from amodal.training import loop, recipes, run_folder
    from amodal.training.config import with_iterations

    out = Path(out)
    config = recipes.recipe(recipe, Path(data)) if isinstance(recipe, str) else recipe
    config = config if iterations is None else with_iterations(config, iterations)
    loop.train(config, out, resume=resume and (out / run_folder.STATE).exists(), device_name=device)
    return load(out / run_folder.CHECKPOINT, None if device == "auto" else device)


def synth(
    out: str | Path,
    count: int = 100,
    *,
    size: tuple[int, int] | None = None,
    split: Split = "all",
    seed: int = 0,
    overwrite: bool = False,
) -> AnnotationSet:
    """Composes scenes of drawn objects, whose amodal and visible masks are known exactly, and reads them.

    Args:
        out: Folder for `annotations.json` and `images/`.
        count: Number of scenes.
        size: Height and width of a scene, if not those of `SceneConfig`.
        split: Which objects: the first three quarters of each category train, the others validate.
        seed: Scene n of a seed is always the same.
        overwrite: Replace scenes that are there.
    """
    scenes = SceneConfig() if size is None else replace(SceneConfig(), size=size)
    output = SceneOutput(Path(out), count, seed, overwrite=overwrite)
    checked(synth_command)(output, SceneParts(split=split), scenes)
    return read(Path(out) / "annotations.json")
