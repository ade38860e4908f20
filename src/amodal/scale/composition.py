"""Scenes in shards: scene n follows from the seed and n alone, so machines need not agree on anything."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal.annotations import AnnotationSet, Category
from amodal.scale.packed import packed, unpacked
from amodal.scale.shards import About, ShardFolder
from amodal.scale.sources import FEWEST_PARTS, MOST_ROWS
from amodal.scale.work import Cluster, run
from amodal.synthesis.scene_files import Series, Written, annotated, write_scene

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Composition:
    """The task: a part is the numbers of its scenes.

    Attributes:
        series: The scenes.
        names: Of their files.
        folder: Where to, the same on all machines.
    """

    series: Series
    names: Sequence[str]
    folder: Path
    uses_gpu: bool = False

    def open(self, device: str | None) -> "Callable[[range], pa.Table]":
        """As `Task`."""
        self.folder.mkdir(parents=True, exist_ok=True)
        return lambda part: packed([write_scene(self.series, (n, self.folder / self.names[n])) for n in part])


def compose(
    series: Series,
    names: Sequence[str],
    categories: Sequence[Category],
    settings: dict[str, Any],
    *,
    shards: ShardFolder,
    cluster: Cluster,
) -> AnnotationSet:
    """Composes scenes into the folder `images` of the shards' folder; gives their annotations.

    Args:
        series: The scenes.
        names: Of their files: one each.
        categories: Of their objects.
        settings: All that the scenes follow from, to tell whether shards that are there are of the same ones.
        shards: Shards of the same settings are kept, others replaced.
        cluster: Where the work is done.

    Raises:
        UserError: No object found a place in any scene, or the cluster failed.
    """
    size = max(1, min(MOST_ROWS, -(-len(names) // FEWEST_PARTS)))
    parts = [range(low, min(low + size, len(names))) for low in range(0, len(names), size)]
    task = Composition(series, names, shards.folder.absolute() / "images")
    about = About(len(parts), settings)
    run(task, parts, shards, about, cluster=cluster, existing=shards.existing_of(about))

    def written() -> Iterator[Written]:
        for table in shards.tables():
            yield from unpacked(table, Written)

    return annotated(written(), names, categories)
