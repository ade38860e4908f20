"""A model's detections in a data set, in shards, for the report that one process would give."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from amodal.annotations import AnnotationSet, Detection
from amodal.data.dataset import AnnotatedImages
from amodal.evaluation.metrics.calibration import Bins
from amodal.inference.predictor import load
from amodal.inference.scoring import Asked, detections_of
from amodal.results.detections import Detections
from amodal.scale.packed import packed, unpacked
from amodal.scale.parts import everywhere, identity, of_images
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run

if TYPE_CHECKING:
    import pyarrow as pa

Sums = tuple[list[int], list[float], list[int]]
"""Of `Bins`."""
Answer = tuple[list[Detection], Sums | None]
"""Of a part."""


@dataclass(frozen=True)
class Scoring:
    """The task, as `amodal.inference.scoring.detections_of`: a part is the truth of its images.

    Attributes:
        model: As `amodal.load` takes it.
        asked: As there.
    """

    model: str
    asked: Asked
    uses_gpu: bool = True

    def open(self, device: str | None) -> "Callable[[AnnotationSet], pa.Table]":
        """As `Task`."""
        predictor = load(self.model, device)

        def work(part: AnnotationSet) -> "pa.Table":
            detections, bins = detections_of(predictor, part, self.asked, name=self.model)
            sums = None if bins is None else (bins.counts.tolist(), bins.confidence.tolist(), bins.right.tolist())
            return packed([(list(detections), sums)])

        return work


def detect(
    task: Scoring, truth: AnnotationSet, shards: ShardFolder, *, cluster: Cluster
) -> tuple[Detections, Bins | None]:
    """The same as `detections_of` gives, whatever the cluster.

    Raises:
        UserError: As there, or the cluster failed.
    """
    used = AnnotatedImages(truth, keep_stuff=task.asked.keep_stuff).images
    parts = of_images(replace(truth, images=used), task.asked.loading.batch_size)
    about = About(len(parts), {"task": repr(task)} | identity(truth, task.model))
    own = replace(task, model=everywhere(task.model))
    run(own, parts, shards, about, cluster=cluster, existing=shards.existing_of(about))
    found: list[Detection] = []
    total: Bins | None = None
    for table in shards.tables():
        for detections, sums in unpacked(table, Answer):
            found += detections
            if sums is not None:
                bins = Bins(*(np.asarray(values) for values in sums))
                total = bins if total is None else total + bins
    return Detections.of(sorted(found, key=lambda one: one.image_id)), total
