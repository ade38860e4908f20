"""What was found in one picture as a row of a table, and back.

| column | type | |
|---|---|---|
| `image_id` | int64 | |
| `file_name` | string | as the source names the picture |
| `height`, `width` | int32 | of the picture, upright; null where it could not be read |
| `error` | string | why there is no answer; null where there is one |
| `boxes` | list of list of double | amodal boxes, xyxy in pixels |
| `category_ids`, `scores`, `depth_orders` | lists of int64, double, int64 | null orders where none is known |
| `amodal`, `visible` | lists of string | COCO's compressed run lengths of the whole picture; null for no such mask |
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from amodal.annotations import Detection
from amodal.arrow_files import arrow
from amodal.rle import Rle

if TYPE_CHECKING:
    import pyarrow as pa


@dataclass(frozen=True)
class Row:
    """A picture and its objects, or why there are none.

    Attributes:
        image_id: Of the picture, int64.
        file_name: As the source names it.
        size: (height, width); None where it could not be read.
        detections: Its objects.
        error: What went wrong, if anything did.
    """

    image_id: int
    file_name: str
    size: tuple[int, int] | None
    detections: Sequence[Detection] = ()
    error: str | None = None


def to_table(rows: Iterable[Row]) -> "pa.Table":
    """The rows as a table."""
    pa = arrow()
    types = {"image_id": pa.int64(), "file_name": pa.string(), "height": pa.int32(), "width": pa.int32()}
    types |= {"error": pa.string()}
    lists = {"boxes": pa.list_(pa.float64()), "category_ids": pa.int64(), "scores": pa.float64()}
    lists |= {"depth_orders": pa.int64(), "amodal": pa.string(), "visible": pa.string()}
    types |= {name: pa.list_(kind) for name, kind in lists.items()}
    return pa.Table.from_pylist([_record(row) for row in rows], schema=pa.schema(types))


def from_table(table: "pa.Table") -> Iterator[Row]:
    """What `to_table` was given."""
    for batch in table.to_batches():
        yield from map(_row, batch.to_pylist())


def _record(row: Row) -> dict[str, Any]:
    found = row.detections
    height, width = row.size or (None, None)
    return {
        "image_id": row.image_id,
        "file_name": row.file_name,
        "height": height,
        "width": width,
        "error": row.error,
        "boxes": [None if one.box is None else list(one.box) for one in found],
        "category_ids": [one.category_id for one in found],
        "scores": [one.score for one in found],
        "depth_orders": [one.depth_order for one in found],
        "amodal": [_text(one.amodal) for one in found],
        "visible": [_text(one.visible) for one in found],
    }


def _row(record: dict[str, Any]) -> Row:
    size = None if record["height"] is None else (record["height"], record["width"])
    names = ("category_ids", "scores", "boxes", "amodal", "visible", "depth_orders")
    detections = [
        Detection(
            record["image_id"],
            category,
            score,
            None if box is None else tuple(box),  # type: ignore[arg-type]
            _mask(amodal, size),
            _mask(visible, size),
            order,
        )
        for category, score, box, amodal, visible, order in zip(*(record[name] for name in names), strict=True)
    ]
    return Row(record["image_id"], record["file_name"], size, detections, record["error"])


def _text(mask: Rle | None) -> str | None:
    return None if mask is None else mask["counts"].decode("ascii")


def _mask(text: str | None, size: tuple[int, int] | None) -> Rle | None:
    return None if text is None or size is None else Rle(size=list(size), counts=text.encode("ascii"))
