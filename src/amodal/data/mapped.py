"""Annotations of any number of images, mapped from a file that all processes of a machine share.

Read into each rank and each of its workers, a million images' annotations would be there as often. Here they are an
Arrow file, written once a machine and mapped into memory: a process makes objects only of the image that is asked for.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from filelock import FileLock

from amodal import __version__, temporaries
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord, categories_from_json
from amodal.archives import Stored
from amodal.arrow_files import arrow
from amodal.errors import UserError
from amodal.files import replacing
from amodal.rle import Rle

ROWS = 4096
"""Images in a batch of the file."""
PLACE = {"archive": "string", "member": "string", "offset": "int64", "bytes": "int64"}
"""Columns of where a picture lies that is in an archive, and what Arrow calls their types; null for others."""


class MappedAnnotations:
    """What `write` wrote.

    Attributes:
        categories: Sorted by id.
        image_folder: As of the annotation set.
        source: As of the annotation set.
    """

    def __init__(self, path: Path) -> None:
        """Maps a file. Raises UserError for a damaged one."""
        pa = arrow()
        self._path = path
        try:
            self._table = arrow("ipc").open_file(pa.memory_map(str(path))).read_all()
            about = json.loads(self._table.schema.metadata[b"amodal"])
            self.image_folder, self.source = (about[name] and Path(about[name]) for name in ("folder", "source"))
        except Exception as error:  # of a damaged file it may raise anything
            said = (str(error).strip() or type(error).__name__).splitlines()[0]
            raise UserError(f"cannot be read ({said})", file=path, remedy="Remove it: it is made anew") from error
        self.categories: list[Category] = categories_from_json(about["categories"])

    def __len__(self) -> int:
        """Images."""
        return self._table.num_rows

    def __getitem__(self, index: int) -> tuple[ImageRecord, list[Annotation]]:
        """An image and its objects."""
        if not 0 <= index < len(self):
            raise IndexError(index)
        [row] = self._table.slice(index, 1).to_pylist()
        size = [row["height"], row["width"]]
        stored = None if row["archive"] is None else Stored(*(row[name] for name in PLACE))
        image = ImageRecord(row["id"], row["file_name"], *size, stored=stored)
        names = ("ids", "category_ids", "amodal", "visible", "depth_orders", "is_stuff")
        objects: list[Annotation] = []
        for number, category, amodal, visible, order, is_stuff in zip(*(row[name] for name in names), strict=True):
            whole = Rle(size=size, counts=amodal)
            part = whole if visible is None else Rle(size=size, counts=visible)
            objects.append(Annotation(number, image.id, category, whole, part, is_stuff=is_stuff, depth_order=order))
        return image, objects

    @property
    def annotations(self) -> Iterator[Annotation]:
        """All of them, in order of the images."""
        return (annotation for place in range(len(self)) for annotation in self[place][1])

    def __reduce__(self) -> tuple[Callable[[Path], "MappedAnnotations"], tuple[Path]]:
        """Another process maps the file for itself."""
        return MappedAnnotations, (self._path,)


def single_objects(found: Sequence[Annotation], *, keep_stuff: bool) -> list[Annotation]:
    """Those of an image that samples are made of: no crowds, and no regions of stuff unless they are kept."""
    return [a for a in found if not a.is_crowd and (keep_stuff or not a.is_stuff)]


def write(annotation_set: AnnotationSet, path: Path, *, keep_empty: bool, keep_stuff: bool) -> None:
    """Writes the objects that samples are made of, in order of the images, whole or not at all.

    Args:
        annotation_set: What is written; crowds are left out.
        path: The file.
        keep_empty: Whether images without objects take part.
        keep_stuff: Whether regions marked as stuff count as objects.
    """
    pa = arrow()
    types = {"id": pa.int64(), "file_name": pa.string(), "height": pa.int32(), "width": pa.int32()}
    types |= {name: pa.type_for_alias(kind) for name, kind in PLACE.items()}
    lists = {"ids": pa.int64(), "category_ids": pa.int64(), "amodal": pa.binary(), "visible": pa.binary()}
    lists |= {"depth_orders": pa.int64(), "is_stuff": pa.bool_()}
    folder, source = (given and str(given) for given in (annotation_set.image_folder, annotation_set.source))
    categories = sorted(annotation_set.categories, key=lambda category: category.id)
    about = {"folder": folder, "source": source, "categories": [asdict(one) for one in categories]}
    schema = pa.schema(types | {name: pa.list_(kind) for name, kind in lists.items()}, {"amodal": json.dumps(about)})
    rows: list[dict[str, Any]] = []
    with replacing(path) as temporary, arrow("ipc").new_file(str(temporary), schema) as file:
        for image in annotation_set.images:
            objects = single_objects(annotation_set.by_image.get(image.id, []), keep_stuff=keep_stuff)
            if objects or keep_empty:
                rows.append(_row(image, objects))
            if len(rows) == ROWS:
                file.write_batch(pa.RecordBatch.from_pylist(rows, schema))
                rows.clear()
        file.write_batch(pa.RecordBatch.from_pylist(rows, schema))


def shared(
    read: Callable[[], AnnotationSet], key: Sequence[Any], cache: Path, *, keep_empty: bool, keep_stuff: bool
) -> MappedAnnotations:
    """The annotations, mapped from a file in the folder `cache`, which is written first where it is not there.

    Of several processes one writes it, in a process of its own, so that the memory goes back; the others wait.

    Args:
        read: Reads them. Can be sent to another process.
        key: What they follow from, files by name, size and time.
        cache: The folder, on this machine's own disk.
        keep_empty: As `write`.
        keep_stuff: As `write`.

    Raises:
        UserError: As `read`, or the folder cannot be written.
    """
    name = hashlib.sha256(repr((__version__, tuple(PLACE), key, keep_empty, keep_stuff)).encode()).hexdigest()[:24]
    path = cache / f"{name}.arrow"
    if not path.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with FileLock(cache / f"{name}.lock"):
            if not path.exists():
                temporaries.sweep(cache)
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as elsewhere:
                    elsewhere.submit(_read_and_write, read, path, keep_empty, keep_stuff).result()
    return MappedAnnotations(path)


def _read_and_write(read: Callable[[], AnnotationSet], path: Path, keep_empty: bool, keep_stuff: bool) -> None:
    write(read(), path, keep_empty=keep_empty, keep_stuff=keep_stuff)


def _row(image: ImageRecord, objects: Sequence[Annotation]) -> dict[str, Any]:
    place = image.stored and (image.stored.archive, image.stored.name, image.stored.offset, image.stored.size)
    return dict(zip(PLACE, place or [None] * len(PLACE), strict=True)) | {
        "id": image.id,
        "file_name": image.file_name,
        "height": image.height,
        "width": image.width,
        "ids": [a.id for a in objects],
        "category_ids": [a.category_id for a in objects],
        "amodal": [a.amodal["counts"] for a in objects],
        "visible": [None if a.visible == a.amodal else a.visible["counts"] for a in objects],
        "depth_orders": [a.depth_order for a in objects],
        "is_stuff": [a.is_stuff for a in objects],
    }
