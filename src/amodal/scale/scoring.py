"""A model scored on a data set, in shards: each holds a part's detections, and what is left of them for the report.

The report is made of what is left, without masks, so that the command's memory does not grow with those.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from amodal.annotations import AnnotationSet, Detection
from amodal.data.dataset import AnnotatedImages
from amodal.inference.predictor import load_detector
from amodal.inference.scoring import Asked, PartOfReport, Whole, detections_of, part_of_report
from amodal.results.detections import Detections
from amodal.scale.packed import mapped, packed, unpacked
from amodal.scale.parts import everywhere, identity, of_images
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run

if TYPE_CHECKING:
    import pyarrow as pa

DETECTIONS = "detections"
"""The column beside the answers."""


@dataclass(frozen=True)
class Scoring:
    """The task, as `amodal.inference.scoring.detections_of`: a part is the truth of its images, and of the whole.

    Attributes:
        model: As `amodal.load` takes it.
        asked: As there.
    """

    model: str
    asked: Asked
    uses_gpu: bool = True

    def open(self, device: str | None) -> "Callable[[tuple[AnnotationSet, Whole]], pa.Table]":
        """As `Task`."""
        predictor = load_detector(self.model, device)

        def work(given: tuple[AnnotationSet, Whole]) -> "pa.Table":
            part, whole = given
            detections, bins = detections_of(predictor, part, self.asked, name=self.model)
            table = packed([part_of_report(part, detections, bins, whole)])
            return table.append_column(DETECTIONS, packed([list(detections)]).column(0))

        return work


def detect(
    task: Scoring, truth: AnnotationSet, whole: Whole, shards: ShardFolder, *, cluster: Cluster
) -> list[PartOfReport]:
    """What `report_of_parts` makes the report of, whatever the cluster.

    Raises:
        UserError: As `detections_of`, or the cluster failed.
    """
    used = AnnotatedImages(truth, keep_stuff=task.asked.keep_stuff).images
    parts = [
        (part, whole.of_part(part)) for part in of_images(replace(truth, images=used), task.asked.loading.batch_size)
    ]
    about = About(len(parts), {"task": repr(task)} | identity(truth, task.model))
    own = replace(task, model=everywhere(task.model))
    run(own, parts, shards, about, cluster=cluster, existing=shards.existing_of(about))
    return mapped(shards.tables(["answer"]), PartOfReport, shards.folder)


def detections_in(shards: ShardFolder) -> Detections:
    """All detections that the shards of `detect` hold, in order of image ids; all in memory."""

    def found() -> Iterator[Detection]:
        for table in shards.tables([DETECTIONS]):
            for part in unpacked(table, list[Detection]):
                yield from part

    return Detections.of(sorted(found(), key=lambda one: one.image_id))
