"""A model over a data set, over all processes -> Report and detections.

Any callable from images to answers is judged by the same code: `AmodalRCNN.detect`, `Predictor.detect` of an exported
model, a wrapper around somebody else's. Masks become run lengths image by image: memory holds one batch of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from amodal import processes, rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.boxed_masks import BoxedMasks
from amodal.data.dataset import Sample, SampleSet
from amodal.data.workers import deaths_named, settle
from amodal.errors import UserError
from amodal.evaluation.metrics.calibration import Bins
from amodal.evaluation.metrics.invisible_pixels import invisible_pixels
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.instances import Prediction, Target
from amodal.results.detections import of_image

Model = Callable[[list[UInt8[Tensor, "3 H W"]]], Sequence[BoxedMasks | Prediction]]
"""RGB images to answers in the same images' pixels. A model must be in evaluation mode."""
Masks = Literal["refined", "coarse"]
"""A method's final masks, or those before its shape prior, where it predicts both."""


@dataclass(frozen=True)
class LoaderSettings:
    """How samples reach the model: both change the speed, not the result."""

    batch_size: int = 4
    """Images that the model sees at a time."""
    workers: int = 0
    """Processes that read images."""


@dataclass(frozen=True)
class Predicted:
    """What a model said of a data set, and what is true of it.

    Attributes:
        truth: The annotations that the samples came from, or those made of their targets.
        detections: By kind of masks, in order of image ids; "coarse" only if the model predicts those.
        invisible: By kind of masks, the probabilities of invisible pixels, where asked for and known to the model.
    """

    truth: AnnotationSet
    detections: dict[Masks, list[Detection]]
    invisible: dict[Masks, Bins]


def evaluate(
    model: Model,
    samples: SampleSet,
    *,
    truth: AnnotationSet | None = None,
    masks: Masks = "refined",
    loading: LoaderSettings | None = None,
) -> tuple[Report, list[Detection]]:
    """Scores a model on a data set. Every process gets the whole answer.

    Args:
        model: From images to predictions.
        samples: Each is predicted once, whatever the number of processes.
        truth: The annotations, if there are any beyond the samples' targets: crowds are only there.
        masks: Which of the model's masks.
        loading: Batches and workers.

    Raises:
        UserError: The data set is empty or cannot be read, or the model predicts no such masks.
    """
    predicted = predict(model, samples, truth=truth, loading=loading)
    if masks not in predicted.detections:
        raise UserError(f"the model predicts no {masks} masks", remedy="Only VRSP has coarse ones")
    detections = predicted.detections[masks]
    report = score(predicted.truth, detections) if processes.is_lead() else None
    shared = processes.gather(report)[0]
    assert shared is not None  # the lead's
    return shared, detections


@deaths_named()
def predict(
    model: Model,
    samples: SampleSet,
    *,
    truth: AnnotationSet | None = None,
    known: Sequence[Category] | None = None,
    loading: LoaderSettings | None = None,
    with_invisible: bool = False,
) -> Predicted:
    """Detections of every sample, gathered from all processes: for scoring them in more than one way.

    Args:
        model: From images to predictions.
        samples: Each is predicted once, whatever the number of processes.
        truth: As for `evaluate`.
        known: The data's categories in the order of the model's labels, if that is another than the data's.
        loading: Batches and workers.
        with_invisible: Look at the probabilities of invisible pixels too.
    """
    images: list[ImageRecord] = []
    annotations: list[Annotation] = []
    detections: dict[Masks, list[Detection]] = {}
    invisible: list[tuple[Masks, Bins]] = []
    for sample, answer in _answers(model, samples, loading or LoaderSettings()):
        image = _image_record(sample)
        objects = truth.by_image.get(image.id, []) if truth else _annotations(sample, samples.categories)
        if truth is None:
            images.append(image)
            annotations += objects
        for kind, (found, probabilities) in _by_masks(answer, image, known or samples.categories).items():
            detections.setdefault(kind, []).extend(found)
            if with_invisible and probabilities is not None:
                invisible.append((kind, invisible_pixels(found, probabilities, objects)))
    parts = processes.gather((images, annotations, detections, invisible))
    if truth is None:
        found_images = sorted((i for part in parts for i in part[0]), key=lambda image: image.id)
        objects = sorted((a for part in parts for a in part[1]), key=lambda a: a.image_id)
        numbered = [replace(a, id=number) for number, a in enumerate(objects, start=1)]
        truth = AnnotationSet(found_images, numbered, samples.categories)
    kinds: set[Masks] = {kind for part in parts for kind in part[2]}
    merged: dict[Masks, list[Detection]] = {
        kind: sorted((d for part in parts for d in part[2].get(kind, [])), key=lambda d: d.image_id) for kind in kinds
    }
    return Predicted(truth, merged, _summed([one for part in parts for one in part[3]]))


def _summed(invisible: list[tuple[Masks, Bins]]) -> dict[Masks, Bins]:
    """The sums over images, exact and so the same for any number of processes."""
    total: dict[Masks, Bins] = {}
    for kind, bins in invisible:
        total[kind] = total[kind] + bins if kind in total else bins
    return total


def _by_masks(
    answer: BoxedMasks | Prediction, image: ImageRecord, categories: Sequence[Category]
) -> dict[Masks, tuple[list[Detection], np.ndarray | None]]:
    """The detections of each kind of masks in the answer, and the probabilities (N, S, S) of their amodal masks."""
    if not isinstance(answer, BoxedMasks):
        probabilities = answer.get("amodal_probabilities")
        own = None if probabilities is None else probabilities.float().cpu().numpy()
        return {"refined": (_of_prediction(answer, image, categories), own)}
    kinds: dict[Masks, BoxedMasks | None] = {"refined": answer, "coarse": answer.coarse}
    return {
        kind: (as_detections(found, image, categories), found.amodal)
        for kind, found in kinds.items()
        if found is not None
    }


def _answers(
    model: Model, samples: SampleSet, loading: LoaderSettings
) -> Iterator[tuple[Sample, BoxedMasks | Prediction]]:
    """This process's share of the samples, each with the model's answer."""
    share = range(processes.rank(), len(samples), processes.world_size())
    loader = DataLoader(
        _Readable(samples),
        batch_sampler=_chunks(share, loading.batch_size),
        num_workers=loading.workers,
        collate_fn=list,
        worker_init_fn=settle,
    )
    with torch.inference_mode(), tqdm(total=len(share), unit="image", disable=not processes.is_lead()) as progress:
        for batch in loader:
            failed = next((item for item in batch if isinstance(item, UserError)), None)
            if failed:
                raise failed
            yield from zip(batch, model([sample["image"] for sample in batch]), strict=True)
            progress.update(len(batch))


class _Readable(Dataset[Sample | UserError]):
    """The samples, with a UserError as an item: raised in a worker it would reach the user as a traceback."""

    def __init__(self, samples: SampleSet) -> None:
        self.samples = samples

    def __getitem__(self, index: int) -> Sample | UserError:
        try:
            return self.samples[index]
        except UserError as error:
            return error


def _chunks(indices: Sequence[int], size: int) -> list[list[int]]:
    return [list(indices[start : start + size]) for start in range(0, len(indices), size)]


def as_detections(answer: BoxedMasks, image: ImageRecord, categories: Sequence[Category]) -> list[Detection]:
    """What a model found in one image as detections, best first.

    Args:
        answer: In the image's own pixels.
        image: Its id and size.
        categories: Label l stands for `categories[l - 1]`.
    """
    ids = [categories[label - 1].id for label in answer.labels.tolist()]
    masks = answer.encoded((image.height, image.width))
    return of_image(image.id, ids, answer.scores, answer.boxes, masks)


def _of_prediction(prediction: Prediction, image: ImageRecord, categories: Sequence[Category]) -> list[Detection]:
    """The same of masks that are pasted already."""
    ids = [categories[label - 1].id for label in prediction["labels"].tolist()]
    given = (prediction.get("amodal_masks"), prediction.get("visible_masks"))
    amodal, visible = (None if masks is None else rle.encode(masks.cpu().numpy()) for masks in given)
    scores, boxes = (prediction[key].cpu().numpy() for key in ("scores", "boxes"))
    return of_image(image.id, ids, scores, boxes, (amodal, visible))


def _image_record(sample: Sample) -> ImageRecord:
    height, width = sample["image"].shape[-2:]
    return ImageRecord(sample["image_id"], "", height, width)


def _annotations(sample: Sample, categories: Sequence[Category]) -> list[Annotation]:
    """The target's objects; ids are given when all are together."""
    target: Target = sample["target"]
    amodal, visible = (rle.encode(target[key].numpy()) for key in ("amodal_masks", "visible_masks"))
    order = target["depth_order"].tolist() if "depth_order" in target else [None] * len(amodal)
    exact = target["exact"].tolist() if "exact" in target else [True] * len(amodal)
    return [
        Annotation(
            0,
            sample["image_id"],
            categories[label - 1].id,
            whole,
            visible_mask,
            is_crowd=not known_whole,
            depth_order=place,
        )
        for label, whole, visible_mask, place, known_whole in zip(
            target["labels"].tolist(), amodal, visible, order, exact, strict=True
        )
    ]
