"""Does a change of the code change a number? What models answer and learn is recorded, and compared to the bit.

    python -m benchmarks.same_numbers --record before.npz     # at the commit before the change
    python -m benchmarks.same_numbers --compare before.npz    # after it: lists what differs, status 1 if anything does

Both must run on one machine with one version of torch: another may add numbers up in another order, which changes last
digits. Recorded are

* the packaged model's answers to composed scenes: final and coarse masks, and the completion of given objects,
* every method's losses, gradients and answers, small, with random weights, in both semantics,
* the weights that a run of 20 steps comes to,
* the scores of a fixed list of detections.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import tyro

import amodal
from amodal import masks
from amodal.data.config import SceneSource
from amodal.data.dataset import SampleSet
from amodal.data.sources import open_source
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.evaluation.score import score
from amodal.files import replacing
from amodal.models import checkpoint, zoo
from amodal.models.config import BackboneConfig, MaskConfig, ModelConfig
from amodal.training import loop, recipes
from amodal.training.config import PriorSource, TrainConfig, ValidationConfig
from benchmarks.speed.small import packaged_prior

Numbers = Iterator[tuple[str, Any]]
WEIGHTS = Path(amodal.__file__).parent / "weights" / "demo.safetensors"
SCENES = 4
STEPS = 20
SWITCHES: dict[str, dict[str, Any]] = {
    "paper": {},
    "reference": {"semantics": "reference"},
    "cross": {"attention": "cross"},
    "self": {"attention": "self", "visible_attention": False},
    "plain": {"reclassification": False, "prior_refinement": False, "prior_rescoring": False},
}
"""Variants of VRSP."""


@dataclass(frozen=True)
class Settings:
    """One of the two."""

    record: Path | None = None
    """The file to write."""
    compare: Path | None = None
    """The file to compare with."""


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True, warn_only=True)
    if (settings.record is None) == (settings.compare is None):
        raise SystemExit("give --record FILE or --compare FILE")
    found = {"torch": np.array(torch.__version__)}
    with tempfile.TemporaryDirectory() as name:
        for part in (packaged(), methods(), training(Path(name)), fixed_detections()):
            found.update({key: np.asarray(value) for key, value in part})
    if settings.record is not None:
        with replacing(settings.record) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, **found)  # type: ignore[arg-type]
        print(f"{settings.record}: {len(found)} arrays recorded")
        return
    assert settings.compare is not None
    with np.load(settings.compare) as before:
        differing = list(differences({name: before[name] for name in before.files}, found))
    print("\n".join(differing) or f"{len(found)} arrays are the same to the bit")
    raise SystemExit(bool(differing))


def differences(before: dict[str, np.ndarray], now: dict[str, np.ndarray]) -> Iterator[str]:
    """A line for each array that is missing, new or other than before."""
    for name in sorted(before.keys() | now.keys()):
        if name not in now or name not in before:
            yield f"{name}: {'is gone' if name not in now else 'is new'}"
        elif before[name].shape != now[name].shape:
            yield f"{name}: shape {before[name].shape} before, {now[name].shape} now"
        elif before[name].tobytes() != now[name].tobytes():
            is_number = now[name].dtype.kind in "fiu"
            largest = (
                np.abs(before[name].astype(float) - now[name].astype(float)).max() if is_number else "not a number"
            )
            yield f"{name}: differs (largest difference {largest})"


def drawn(count: int, side: int | None = None) -> SampleSet:
    """Drawn scenes of a fixed seed."""
    source = recipes.demo(Path()).data.val
    assert isinstance(source, SceneSource)
    scenes = source.scenes if side is None else replace(source.scenes, size=(side, side), num_objects=(2, 3))
    return open_source(replace(source, scenes=scenes, count=count))


@torch.inference_mode()
def packaged() -> Numbers:
    """The packaged model through the predictor, through the model itself, and scored, with its coarse masks too."""
    predictor, samples = amodal.load("demo", "cpu"), drawn(SCENES)
    loaded = checkpoint.load(WEIGHTS)
    for index in range(SCENES):
        sample = samples[index]
        image, target = sample["image"], sample["target"]
        pixels = np.ascontiguousarray(image.permute(1, 2, 0).numpy())
        for threshold in (0.0, 0.5):
            yield from of_result(f"predict/{index}/{threshold}", predictor.predict(pixels, score_threshold=threshold))
        given: Any = {"labels": target["labels"].numpy(), "visible_masks": target["visible_masks"].numpy()}
        yield from of_result(f"complete/{index}/masks", predictor.complete(pixels, **given))
        boxes = masks.boxes(target["visible_masks"]).numpy()
        yield from of_result(f"complete/{index}/boxes", predictor.complete(pixels, boxes))
        (prediction,) = loaded.model([image.float() / 255])
        yield from ((f"forward/{index}/{name}", value.numpy()) for name, value in prediction.items())
    predicted = predict(loaded.model, samples)
    yield from of_report("evaluate", score(predicted.truth, predicted.detections["refined"]).to_json())


def of_result(name: str, result: amodal.Result) -> Numbers:
    for field in ("boxes", "labels", "scores", "amodal_masks", "visible_masks"):
        value = getattr(result, field)
        if value is not None:
            yield f"{name}/{field}", value


def of_report(name: str, content: Any) -> Numbers:
    """The numbers of a report, by their places in it."""
    if isinstance(content, dict):
        for key, value in content.items():
            yield from of_report(f"{name}/{key}", value)
    elif isinstance(content, list):
        for place, value in enumerate(content):
            yield from of_report(f"{name}/{place}", value)
    elif isinstance(content, int | float):
        yield name, content


def methods() -> Numbers:
    """Losses, gradients and answers of small models with random weights."""
    plain = [("mask_rcnn", {}), ("orcnn", {}), ("sln", {})]
    variants = [*plain, *(("vrsp", switches) for switches in SWITCHES.values())]
    names = ["mask_rcnn", "orcnn", "sln", *(f"vrsp_{name}" for name in SWITCHES)]
    samples = drawn(2, side=96)
    images = [samples[index]["image"].float() / 255 for index in range(2)]
    targets = [samples[index]["target"] for index in range(2)]
    for name, (method, switches) in zip(names, variants, strict=True):
        prior = packaged_prior()  # whose loading may draw random numbers
        torch.manual_seed(0)
        model = zoo.build(small(method, switches), prior.num_classes, prior)
        losses = model.train()(images, targets)
        torch.stack(list(losses.values())).sum().backward()
        yield from ((f"{name}/{key}", value.detach().numpy()) for key, value in losses.items())
        for key, weight in model.named_parameters():
            if weight.grad is not None:
                yield f"{name}/gradient/{key}", weight.grad.numpy()
        with torch.inference_mode():
            predictions = model.eval()(images)
        for index, prediction in enumerate(predictions):  # untrained, many cells are 1/2: pasted, on or off by chance
            kept = {key: value for key, value in prediction.items() if not key.endswith("_masks")}
            yield from ((f"{name}/{index}/{key}", value.numpy()) for key, value in kept.items())


def small(method: Any, switches: dict[str, Any]) -> ModelConfig:
    """Few channels; every candidate passes, so that random weights find objects."""
    config = recipes.demo(Path()).model
    detector = replace(
        config.detector,
        min_size=(96,),
        proposals_training=50,
        proposals_inference=30,
        box_width=16,
        score_threshold=0.01,
    )
    return replace(
        config,
        method=method,
        backbone=BackboneConfig("resnet18", "none", frozen_stages=0, fpn_channels=8),
        detector=replace(detector, regions_per_image=16, detections_per_image=10),
        mask=MaskConfig(width=8),
        vrsp=replace(config.vrsp, num_shapes=4, reclassification_width=8, **switches),
    )


def training(folder: Path) -> Numbers:
    """The weights after a short run of the demo recipe, and the scores of its validation."""
    packaged_prior().save(folder / "prior.safetensors")
    loop.train(short_run(folder / "prior.safetensors"), folder / "run", device_name="cpu")
    loaded = checkpoint.load(folder / "run" / "model.safetensors")
    yield from ((f"trained/{name}", value.numpy()) for name, value in loaded.model.state_dict().items())


def short_run(prior: Path) -> TrainConfig:
    config = recipes.demo(Path())
    source = config.data.val
    assert isinstance(source, SceneSource)
    return replace(
        config,
        data=replace(config.data, val=replace(source, count=2)),
        schedule=replace(config.schedule, iterations=STEPS, warm_up=4),
        prior=PriorSource(file=str(prior)),
        validation=ValidationConfig(every=0, pictures=1),
        batch_size=2,
        workers=0,
    )


def fixed_detections() -> Numbers:
    """The report of detections that no model had a part in: the true objects, moved about, in noise of scores."""
    samples, generator = drawn(12), torch.Generator().manual_seed(0)

    def shifted(images: list[torch.Tensor]) -> list[Any]:
        (target,) = (samples[len(asked)]["target"],)
        asked.append(len(images))
        moves = torch.randint(-6, 7, (len(target["labels"]), 2), generator=generator).tolist()
        moved = {
            key: torch.stack([mask.roll(move, (0, 1)) for mask, move in zip(target[key], moves, strict=True)])
            for key in ("amodal_masks", "visible_masks")
        }
        scores = torch.rand(len(moves), generator=generator).sort(descending=True).values
        return [{"boxes": masks.boxes(moved["amodal_masks"]), "labels": target["labels"], "scores": scores, **moved}]

    asked: list[int] = []
    predicted = predict(shifted, samples, loading=LoaderSettings(batch_size=1))
    yield from of_report("fixed", score(predicted.truth, predicted.detections["refined"]).to_json())


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
