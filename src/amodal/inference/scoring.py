"""Any model against the truth of a data set: what `amodal evaluate` and `amodal.evaluate` do."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

from amodal.annotations import AnnotationSet, Detection
from amodal.categories import in_order_of
from amodal.data.dataset import AnnotatedImages
from amodal.errors import UserError
from amodal.evaluation.analysis import Observed, analysed, observed
from amodal.evaluation.evaluator import LoaderSettings, Masks, predict
from amodal.evaluation.metrics.calibration import Bins
from amodal.evaluation.metrics.class_agnostic import has_stuff
from amodal.evaluation.metrics.occlusion import stated_visible_ratios
from amodal.evaluation.report import Report
from amodal.evaluation.score import Matched, matched, scored
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


@dataclass(frozen=True)
class Whole:
    """What is known of a data set as a whole, and of no part of it.

    Attributes:
        with_stuff: Whether any region is marked as stuff.
        stated_ratios: Visible ratios that its file states, by annotation id; None where nobody asks for them.
    """

    with_stuff: bool
    stated_ratios: dict[int, float] | None

    @staticmethod
    def of(truth: AnnotationSet, *, with_ratios: bool = True) -> "Whole":
        """Of a data set; its file is read again for the ratios."""
        return Whole(has_stuff(truth), stated_visible_ratios(truth.source) if truth.source and with_ratios else None)

    def of_part(self, part: AnnotationSet) -> "Whole":
        """What concerns some of its images."""
        if self.stated_ratios is None:
            return self
        own = {a.id: ratio for a in part.annotations if (ratio := self.stated_ratios.get(a.id)) is not None}
        return replace(self, stated_ratios=own)


@dataclass(frozen=True)
class PartOfReport:
    """What is left of some images' detections when the masks are gone: all that a report is made of.

    Attributes:
        matched: For the scores.
        observed: For the analysis; None without amodal masks.
        invisible: The probabilities of invisible pixels, where a model gave them.
    """

    matched: Matched
    observed: Observed | None
    invisible: Bins | None = None


def part_of_report(
    truth: AnnotationSet, detections: Sequence[Detection], invisible: Bins | None, whole: Whole
) -> PartOfReport:
    """What `report_of_parts` takes, of a data set or some of its images; arguments as those of `report_of`."""
    columns = Detections.of(detections)
    found = matched(truth, columns, stated_ratios=whole.stated_ratios)
    has_amodal = "amodal" in columns.kinds_of_masks
    return PartOfReport(found, observed(truth, columns, with_stuff=whole.with_stuff) if has_amodal else None, invisible)


def report_of_parts(
    truth: AnnotationSet, parts: Sequence[PartOfReport], whole: Whole, about: dict[str, str] | None = None
) -> Report:
    """The report of a data set from parts of it, at least one: the same to the bit for any parts in any order.

    Args:
        truth: The whole data set.
        parts: What `part_of_report` gave, of images of which each is in one part.
        whole: Of the data set.
        about: As `report_of`.
    """
    scores = scored(truth, [part.matched for part in parts], stated_ratios=whole.stated_ratios)
    looked_at = [part.observed for part in parts if part.observed is not None]
    bins = [part.invisible for part in parts if part.invisible is not None]
    invisible = sum(bins[1:], bins[0]) if bins else None
    analysis = analysed(truth, looked_at, invisible) if len(looked_at) == len(parts) else None
    return replace(scores, analysis=analysis, about=about or {})


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
    whole = Whole.of(truth, with_ratios=len(columns.kinds_of_masks) == 2)  # only vrsp's mode asks for them
    return report_of_parts(truth, [part_of_report(truth, columns, invisible, whole)], whole, about)


def without_stuff(truth: AnnotationSet, *, keep: bool = False) -> AnnotationSet:
    """The data set without regions marked as stuff, unless they are kept."""
    return truth if keep else replace(truth, annotations=[a for a in truth.annotations if not a.is_stuff])
