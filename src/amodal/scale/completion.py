"""Annotations made whole, in shards."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from amodal.annotations import Annotation, AnnotationSet
from amodal.inference.careful import Care
from amodal.inference.completion import complete_annotations
from amodal.inference.predictor import Occluders, load
from amodal.scale.packed import packed, unpacked
from amodal.scale.parts import everywhere, identity, of_images
from amodal.scale.shards import About, ShardFolder
from amodal.scale.work import Cluster, run

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Completion:
    """The task, as `amodal.inference.completion.complete_annotations`: a part is the annotations of its images.

    Attributes:
        model: As `amodal.load` takes it.
        any_category: As there.
        occluders: As there.
        care: As there.
    """

    model: str
    any_category: bool
    occluders: Occluders
    care: Care
    uses_gpu: bool = True

    def open(self, device: str | None) -> "Callable[[AnnotationSet], pa.Table]":
        """As `Task`."""
        predictor = load(self.model, device)

        def work(part: AnnotationSet) -> "pa.Table":
            options: dict[str, Any] = {"any_category": self.any_category, "occluders": self.occluders}
            return packed(complete_annotations(part, predictor, **options, care=self.care).annotations)

        return work


def complete(task: Completion, given: AnnotationSet, shards: ShardFolder, *, cluster: Cluster) -> AnnotationSet:
    """The same as `complete_annotations` gives, whatever the cluster.

    Raises:
        UserError: As there, or the cluster failed.
    """
    parts = of_images(given, 1)
    about = About(len(parts), {"task": repr(task)} | identity(given, task.model))
    own = replace(task, model=everywhere(task.model))
    run(own, parts, shards, about, cluster=cluster, existing=shards.existing_of(about))
    found = [one for table in shards.tables() for one in unpacked(table, Annotation)]
    return replace(given, annotations=found)
