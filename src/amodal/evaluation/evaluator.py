"""A model over a data set, over all processes -> Report and detections.

Any callable from images to predictions is judged by the same code: a torch model, an exported one, a wrapper around
somebody else's. Masks become run lengths image by image, so that memory holds one batch of them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from amodal import processes, rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.data.dataset import Sample, SampleSet
from amodal.errors import UserError
from amodal.evaluation.calibration import Bins
from amodal.evaluation.hidden_pixels import hidden_pixels
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.instances import Prediction, Target
from amodal.masks import pixel_boxes
from amodal.models.amodal_rcnn import AmodalRCNN

Model = Callable[[list[Float[Tensor, "3 H W"]]], list[Prediction]]
"""Images with values in [0, 1] to predictions in the same images' pixels. A model must be in evaluation mode."""
Masks = Literal["refined", "coarse"]
"""A method's final masks, or those before its shape prior, where it predicts both."""


PROBABILITIES: dict[Masks, Literal["amodal_probabilities", "coarse_amodal_probabilities"]] = {
    "refined": "amodal_probabilities", "coarse": "coarse_amodal_probabilities",
}  # fmt: skip


@dataclass(frozen=True)
class Reading:
    """How samples reach the model. Numbers of batches and workers change the speed, not the result."""

    batch_size: int = 4
    workers: int = 0
    device: str | torch.device = "cpu"


@dataclass(frozen=True)
class Predicted:
    """What a model said of a data set, and what is true of it.

    Attributes:
        truth: The annotations that the samples came from, or those made of their targets.
        detections: By kind of masks, in order of image ids; "coarse" only if the model predicts those.
        hidden: By kind of masks, the probabilities of hidden pixels, where they were asked for and the model has them.
    """

    truth: AnnotationSet
    detections: dict[Masks, list[Detection]]
    hidden: dict[Masks, Bins]


def evaluate(
    model: Model,
    samples: SampleSet,
    *,
    truth: AnnotationSet | None = None,
    masks: Masks = "refined",
    reading: Reading | None = None,
) -> tuple[Report, list[Detection]]:
    """Scores a model on a data set. Every process gets the whole answer.

    Args:
        model: From images to predictions.
        samples: Each is predicted once, whatever the number of processes.
        truth: The annotations, if there are any beyond the samples' targets: crowds are only there.
        masks: Which of the model's masks.
        reading: Batches, workers, device.

    Raises:
        UserError: The data set is empty or cannot be read, or the model predicts no such masks.
    """
    predicted = predict(model, samples, truth=truth, reading=reading)
    if masks not in predicted.detections:
        raise UserError(f"the model predicts no {masks} masks", remedy="Only VRSP has coarse ones")
    detections = predicted.detections[masks]
    report = score(predicted.truth, detections) if processes.is_lead() else None
    shared = processes.gather(report)[0]
    assert shared is not None  # the lead's
    return shared, detections


def predict(
    model: Model,
    samples: SampleSet,
    *,
    truth: AnnotationSet | None = None,
    known: Sequence[Category] | None = None,
    reading: Reading | None = None,
    with_hidden: bool = False,
) -> Predicted:
    """Detections of every sample, gathered from all processes: for scoring them in more than one way.

    Args:
        model: From images to predictions.
        samples: Each is predicted once, whatever the number of processes.
        truth: As for `evaluate`.
        known: The data's categories in the order of the model's labels, if that is another than the data's.
        reading: Batches, workers, device.
        with_hidden: Look at the probabilities of hidden pixels too.
    """
    images: list[ImageRecord] = []
    annotations: list[Annotation] = []
    detections: dict[Masks, list[Detection]] = {}
    hidden: list[tuple[int, Masks, Bins]] = []
    in_boxes = isinstance(model, AmodalRCNN)  # whose masks are pasted into them
    for sample, prediction in _predictions(model, samples, reading or Reading()):
        image_id = sample["image_id"]
        objects = truth.by_image.get(image_id, []) if truth else _annotations(sample, samples.categories)
        if truth is None:
            images.append(_image_record(sample))
            annotations += objects
        for kind, found in as_detections(prediction, image_id, known or samples.categories, in_boxes=in_boxes).items():
            detections.setdefault(kind, []).extend(found)
            probabilities = prediction.get(PROBABILITIES[kind])
            if with_hidden and probabilities is not None:
                hidden.append((image_id, kind, hidden_pixels(found, probabilities, objects)))
    parts = processes.gather((images, annotations, detections, hidden))
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


def _summed(hidden: list[tuple[int, Masks, Bins]]) -> dict[Masks, Bins]:
    """The sums over images, in order of their ids: the same to the bit for any number of processes."""
    total: dict[Masks, Bins] = {}
    for _, kind, bins in sorted(hidden, key=lambda one: one[0]):
        total[kind] = total[kind] + bins if kind in total else bins
    return total


def _predictions(model: Model, samples: SampleSet, reading: Reading) -> Iterator[tuple[Sample, Prediction]]:
    """This process's share of the samples, each with its prediction."""
    share = range(processes.rank(), len(samples), processes.world_size())
    loader = DataLoader(
        _Readable(samples),
        batch_sampler=_chunks(share, reading.batch_size),
        num_workers=reading.workers,
        collate_fn=list,
    )
    with torch.inference_mode(), tqdm(total=len(share), unit="image", disable=not processes.is_lead()) as progress:
        for batch in loader:
            failed = next((item for item in batch if isinstance(item, UserError)), None)
            if failed:
                raise failed
            images = [sample["image"].to(reading.device).float() / 255 for sample in batch]
            yield from zip(batch, model(images), strict=True)
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


def as_detections(
    prediction: Prediction, image_id: int, categories: Sequence[Category], *, in_boxes: bool = False
) -> dict[Masks, list[Detection]]:
    """One image's prediction as detections, best first; also with its coarse masks if it has them.

    Args:
        prediction: In the image's own pixels.
        image_id: The image's.
        categories: Label l stands for `categories[l - 1]`.
        in_boxes: No mask leaves its box: then only the boxes are looked at.
    """

    def encoded_masks(key: str) -> list[rle.Rle] | None:
        found = prediction.get(key)
        if not isinstance(found, Tensor):
            return None
        return encode_in_boxes(found, prediction["boxes"]) if in_boxes else rle.encode(found.cpu().numpy())

    encoded: dict[Masks, tuple[list[rle.Rle] | None, list[rle.Rle] | None]] = {
        "refined": (encoded_masks("amodal_masks"), encoded_masks("visible_masks"))
    }
    if "coarse_amodal_masks" in prediction or "coarse_visible_masks" in prediction:
        encoded["coarse"] = (encoded_masks("coarse_amodal_masks"), encoded_masks("coarse_visible_masks"))
    scores, labels = prediction["scores"].tolist(), prediction["labels"].tolist()
    boxes = prediction["boxes"].tolist()
    return {
        kind: [
            Detection(
                image_id,
                categories[label - 1].id,
                confidence,
                (left, top, right, bottom),
                amodal=amodal[place] if amodal else None,
                visible=visible[place] if visible else None,
            )
            for place, (label, confidence, (left, top, right, bottom)) in enumerate(
                zip(labels, scores, boxes, strict=True)
            )
        ]
        for kind, (amodal, visible) in encoded.items()
    }


def encode_in_boxes(masks: Bool[Tensor, "N H W"], boxes: Float[Tensor, "N 4"]) -> list[rle.Rle]:
    """Masks as run lengths, of which only the pixels that each one's box reaches are read."""
    size = (masks.shape[1], masks.shape[2])
    return [
        rle.from_crop(mask[top:bottom, left:right].cpu().numpy(), left, top, size)
        for mask, (left, top, right, bottom) in zip(masks, pixel_boxes(boxes, size).tolist(), strict=True)
    ]


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
            0, sample["image_id"], categories[label - 1].id, whole, seen, is_crowd=not known_whole, depth_order=place
        )
        for label, whole, seen, place, known_whole in zip(
            target["labels"].tolist(), amodal, visible, order, exact, strict=True
        )
    ]
