"""Predictions of any number of pictures, in shards; and the shards as COCO results."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from amodal.annotations import categories_from_json
from amodal.errors import UserError
from amodal.files import write_json
from amodal.formats.predicted import images_file
from amodal.inference.predictor import Predictor, load_detector
from amodal.pictures import read_image
from amodal.results import result_files
from amodal.scale.parts import everywhere
from amodal.scale.rows import Row, from_table, to_table
from amodal.scale.shards import About, Existing, ShardFolder
from amodal.scale.sources import Part, Picture, fingerprint, open_source
from amodal.scale.work import Cluster, run

if TYPE_CHECKING:
    import pyarrow as pa


NAMED = 20
"""Pictures that are named one by one where many fail."""


@dataclass(frozen=True)
class Prediction:
    """The task: as `amodal predict`, without drawing.

    Attributes:
        model: As `amodal.load` takes it.
        score: Objects that score less are left out.
    """

    model: str
    score: float
    uses_gpu: bool = True

    def open(self, device: str | None) -> "Callable[[Part], pa.Table]":
        """As `Task`."""
        predictor = load_detector(self.model, device)
        return lambda part: to_table(_predicted(predictor, self.score, picture) for picture in part.pictures())


def predict(
    task: Prediction, sources: Sequence[str], out: ShardFolder, *, cluster: Cluster, existing: Existing
) -> None:
    """Predicts all pictures of the sources into a folder of shards.

    Args:
        task: The model and its threshold.
        sources: As `open_source` takes them.
        out: The folder.
        cluster: Where the work is done.
        existing: What becomes of shards that are there.

    Raises:
        UserError: No such model or source, the folder holds other results, or the cluster failed.
    """
    categories = [asdict(category) for category in load_detector(task.model, "cpu").categories]
    parts = open_source(sources)
    settings = {"model": task.model, "score": task.score, "pictures": fingerprint(parts), "categories": categories}
    about = About(len(parts), settings)
    run(replace(task, model=everywhere(task.model)), parts, out, about, cluster=cluster, existing=existing)


@dataclass
class Tally:
    """What became of pictures.

    Attributes:
        images: Pictures with an answer.
        objects: In them, where they were looked at.
        failed: Pictures without one.
        named: The first NAMED of those, each with what was wrong.
    """

    images: int = 0
    objects: int = 0
    failed: int = 0
    named: list[str] = field(default_factory=list)

    def count(self, file_name: str, error: str | None) -> bool:
        """Takes a picture into account; gives whether it has an answer."""
        if error is None:
            self.images += 1
            return True
        self.failed += 1
        if len(self.named) < NAMED:
            self.named.append(f"{file_name}: {error}")
        return False

    def lines(self) -> Iterator[str]:
        """The failed pictures, a line each as far as they are named, and how many more there are."""
        yield from self.named
        if self.failed > len(self.named):
            yield f"... and {self.failed - len(self.named):,} more: the column `error` of their rows says why"


def tally(shards: ShardFolder) -> Tally:
    """Which pictures failed, whichever run it was that wrote their rows. Raises UserError as `ShardFolder.tables`."""
    found = Tally()
    for table in shards.tables(["file_name", "error"]):
        for name, error in zip(*(table.column(place).to_pylist() for place in range(2)), strict=True):
            found.count(name, error)
    return found


def join(shards: ShardFolder, out: Path, images: Path | None) -> Tally:
    """Writes shards of predictions as COCO results, and the pictures and categories that these are about.

    Beside the results, and called `images.json`, those tell what is meant where a data set has other numbers.

    Raises:
        UserError: The folder holds no shards, or not all, or those of another command.
    """
    categories: Any = shards.about().settings.get("categories")
    categories_from_json(categories)
    joined = Tally()
    records: list[dict[str, Any]] = []

    def found() -> Iterator[dict[str, Any]]:
        for table in shards.tables():
            for row in from_table(table):
                if not joined.count(row.file_name, row.error):
                    continue
                if images and row.size:
                    height, width = row.size
                    records.append({"id": row.image_id, "file_name": row.file_name, "height": height, "width": width})
                yield from map(result_files.to_json, row.detections)

    joined.objects = result_files.write_records(found(), out)
    if images:
        write_json(images, images_file(records, categories, out.name), indent=1)
    return joined


def _predicted(predictor: Predictor, score: float, picture: Picture) -> Row:
    """A row for any picture: one that cannot be read or predicted says why."""
    number, name, content = picture
    try:
        if isinstance(content, UserError):
            raise content
        result = predictor.predict(read_image(content), score_threshold=score)
    except UserError as error:
        return Row(number, name, None, error=str(error))
    except MemoryError:
        return Row(number, name, None, error="is too large for the memory that is left")
    except Exception as error:  # whatever a picture brings about, it is that picture's failure and not the next one's
        said = (str(error).strip() or type(error).__name__).splitlines()[0]
        return Row(number, name, None, error=f"cannot be predicted ({said})")
    return Row(number, name, result.size, result.to_detections(number))
