"""Any model against the truth of a data set: what `amodal evaluate` and `amodal.evaluate` do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from amodal.annotations import AnnotationSet, Detection
from amodal.categories import in_order_of
from amodal.data.dataset import AnnotatedImages
from amodal.errors import UserError
from amodal.evaluation.analysis import analyse
from amodal.evaluation.evaluator import LoaderSettings, Masks, predict
from amodal.evaluation.metrics.calibration import Bins
from amodal.evaluation.metrics.occlusion import stated_visible_ratios
from amodal.evaluation.report import Report
from amodal.evaluation.score import score
from amodal.inference.predictor import Predictor
from amodal.results.detections import Detections


@dataclass(frozen=True)
class Asked:
    """What a model is asked for."""

    masks: Masks = "refined"
    """Its final masks, or those before its shape prior."""
    keep_stuff: bool = False
    """Whether regions marked as stuff count as objects."""
    loading: LoaderSettings = LoaderSettings()  # noqa: RUF009 - frozen
    """How images are read."""


def detections_of(
    predictor: Predictor, truth: AnnotationSet, asked: Asked, *, name: str
) -> tuple[Detections, Bins | None]:
    """What a model finds in a data set's images, and the probabilities that it gives to invisible pixels.

    Every process of several gets the whole answer.

    Args:
        predictor: The model.
        truth: The data set; its categories are the model's, in any order.
        asked: Which masks, and how images are read.
        name: How messages call the model.

    Raises:
        UserError: Images are missing, categories differ, or the model predicts no such masks.
    """
    samples = AnnotatedImages(truth, keep_stuff=asked.keep_stuff)
    known = in_order_of(predictor.categories, samples.categories, file=name)
    answer = partial(predictor.detect, coarse=asked.masks == "coarse")
    found = predict(answer, samples, truth=truth, known=known, loading=asked.loading, with_invisible=True)
    if asked.masks not in found.detections:
        raise UserError(f"predicts no {asked.masks} masks", file=name, remedy="Only VRSP has coarse ones")
    return Detections.of(found.detections[asked.masks]), found.invisible.get(asked.masks)


def report_of(
    truth: AnnotationSet,
    detections: Sequence[Detection],
    invisible: Bins | None = None,
    about: dict[str, str] | None = None,
) -> Report:
    """All numbers: scores, and the analysis of shapes, order and confusion where amodal masks are there.

    Args:
        truth: The data set.
        detections: Of a model, or anybody's.
        invisible: The probabilities of invisible pixels, where a model gave them.
        about: What the report says of its origin.
    """
    columns = Detections.of(detections)
    both = len(columns.kinds_of_masks) == 2
    stated = stated_visible_ratios(truth.source) if truth.source and both else None  # only vrsp's mode asks for them
    analysis = analyse(truth, columns, invisible) if "amodal" in columns.kinds_of_masks else None
    return replace(score(truth, columns, stated_ratios=stated), analysis=analysis, about=about or {})


def without_stuff(truth: AnnotationSet, *, keep: bool = False) -> AnnotationSet:
    """The data set without regions marked as stuff, unless they are kept."""
    return truth if keep else replace(truth, annotations=[a for a in truth.annotations if not a.is_stuff])
