"""WebDataset's shards: tar archives of samples, each a picture `KEY.jpg` and its annotations `KEY.json`.

`KEY.json` is an annotation file of that one picture, in any format of one JSON object: D2SA's, which is what is written
here, COCO's, KINS's, labelme's, SA-1B's. Samples are found by their archive and place, so none is read in passing.
"""

import io
import re
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

from amodal import outputs
from amodal.addresses import listed
from amodal.annotations import AnnotationSet, ImageRecord, require_images
from amodal.archives import ENDING, Member, Stored, content_of, members
from amodal.errors import UserError
from amodal.files import replacing
from amodal.formats import coco
from amodal.formats.contents import Contents, Record
from amodal.formats.json_stream import JsonDocument, encoded
from amodal.formats.losses import FIELDS
from amodal.formats.problems import Problem, shortened
from amodal.formats.records import inside
from amodal.pictures import IMAGE_SUFFIXES, image_size

HOLDS = frozenset(FIELDS) - {"document"}
SAMPLES = 1000
"""In a shard that is written."""
_KEY = re.compile(r"((?:.*/)?[^./]+)\.([^/]+)")
"""A member's name: up to the first dot the sample, behind it what it is of it."""
_Read = Callable[[JsonDocument, Path], Contents]


@dataclass(frozen=True)
class _Sample:
    """A picture, and what its annotation file states.

    Attributes:
        name: Of that file, for messages.
    """

    picture: Stored
    name: str
    stated: Contents


def contents(names: Sequence[str | Path], read: _Read) -> Contents:
    """What the shards of a data set state.

    Ids of images and annotations stand where no two images have the same; else they are counted from 1, as where each
    file counts for itself. So it is with categories, which are then numbered in the order of their names.

    Args:
        names: Shards, as `amodal.addresses.listed` takes them.
        read: What an annotation file of one image states, whose image lies in a folder.

    Raises:
        UserError: A shard is missing or damaged, or a sample is no picture with annotations.
    """
    archives = listed(names, ENDING)
    path = Path(names[0])
    found = [_sample(*pair, read) for each in members(archives, read=".json") for pair in _paired(each)]
    if not found:
        remedy = "A sample is a picture KEY.jpg and its annotations KEY.json; pictures alone go with --images"
        raise UserError("holds no samples", file=path, remedy=remedy)
    ids = _ids([_stated_id(sample) for sample in found])
    categories, numbers = _categories(found)
    return Contents(
        path,
        "webdataset",
        [_image(sample, identity) for sample, identity in zip(found, ids, strict=True)],
        categories,
        _records(found, ids, numbers),
        Path(archives[0]).parent,
        stored=[sample.picture for sample in found],
    )


def _paired(found: list[Member]) -> list[tuple[Stored, Member]]:
    """The picture and the annotations of each sample in an archive. Raises UserError where one has no other."""
    pictures, texts = _by_key(found, IMAGE_SUFFIXES), _by_key(found, (".json",))
    for key, picture in pictures.items():
        if key not in texts:
            raise _wrong(picture.place, "has no annotations beside it")
    for key, text in texts.items():
        if key not in pictures:
            raise _wrong(text.place, "has no picture beside it")
    return [(picture.place, texts[key]) for key, picture in pictures.items()]


def _by_key(found: list[Member], endings: Sequence[str]) -> dict[str, Member]:
    """The members of some endings by their samples' keys. Raises UserError for two of a sample."""
    named: dict[str, Member] = {}
    for member in found:
        told = _KEY.fullmatch(member.place.name)
        if told is None or f".{told[2].lower()}" not in endings:
            continue
        other = named.setdefault(told[1], member)
        if other is not member:
            raise _wrong(member.place, f"is of the same sample as {other.place.name}")
    return named


def _wrong(place: Stored, problem: str) -> UserError:
    remedy = "A sample is one picture KEY.jpg and its annotations KEY.json, in one archive"
    return UserError(problem, file=place.archive, record=place.name, remedy=remedy)


def _sample(picture: Stored, text: Member, read: _Read) -> _Sample:
    path = Path(str(text.place))
    stated = read(JsonDocument(path, text.content), path.parent)
    if len(stated.images) != 1 or not isinstance(stated.images[0], dict):
        raise _wrong(text.place, f"lists {len(stated.images)} images, not the one that it stands beside")
    return _Sample(picture, f"{path.parent.name}/{path.name}", stated)


def _image(sample: _Sample, identity: int) -> dict[str, Any]:
    """The image as its file states it, but for the name, and with a size."""
    return _sized(sample.stated.images[0] | {"id": identity, "file_name": sample.picture.name}, sample.picture)


def _sized(raw: dict[str, Any], picture: Stored) -> dict[str, Any]:
    """An image with the size of its picture, where its file states none."""
    if raw.get("height") is None or raw.get("width") is None:
        with suppress(UserError):  # it is told where the size is missed
            raw = raw | dict(zip(("height", "width"), image_size(picture), strict=True))
    return raw


def _ids(stated: list[Any]) -> list[int]:
    are_whole = all(type(one) is int for one in stated) and len(set(stated)) == len(stated)
    return stated if are_whole else list(range(1, len(stated) + 1))


def _categories(found: list[_Sample]) -> tuple[list[dict[str, Any]], dict[str, int] | None]:
    """All categories; and their numbers by name, where the files' own ids do not stand."""
    known: dict[tuple[int, str], dict[str, Any]] = {}
    others = []
    for sample in found:
        for raw in sample.stated.categories:
            if _is_category(raw):
                known.setdefault((raw["id"], raw["name"]), raw)
            else:
                others.append(raw)  # wrong, which is told where it is looked at
    ids, names = {identity for identity, _ in known}, {name for _, name in known}
    if len(ids) == len(known) == len(names):
        return [*known.values(), *others], None
    numbers = {name: number for number, name in enumerate(sorted(names), start=1)}
    by_name = {raw["name"]: raw for raw in reversed(known.values())}
    return [by_name[name] | {"id": number} for name, number in numbers.items()] + others, numbers


def _records(found: list[_Sample], ids: list[int], numbers: dict[str, int] | None) -> Iterator[Record | Problem]:
    count, own_ids = 0, all(_stated_id(sample) == one for sample, one in zip(found, ids, strict=True))
    for sample, image_id in zip(found, ids, strict=True):
        new = _new_numbers(sample, numbers)
        for record in sample.stated.records:
            name = f"{sample.name} {record.record if isinstance(record, Problem) else record.name}"
            if isinstance(record, Problem):
                yield replace(record, record=name)
            elif record.image_id != _stated_id(sample):
                yield Problem("unknown_image", name, f"is of image {shortened(record.image_id)}, which is not here")
            else:
                count += 1
                identity, category = record.id if own_ids else count, new(record.category_id)
                yield record._replace(name=name, id=identity, image_id=image_id, category_id=category)


def _stated_id(sample: _Sample) -> Any:
    return sample.stated.images[0].get("id")


def _new_numbers(sample: _Sample, numbers: dict[str, int] | None) -> Callable[[Any], Any]:
    """From a category's id in a sample's file to its id in the data set; None for one that it does not list."""
    if numbers is None:
        return lambda stated: stated
    new = {raw["id"]: numbers[raw["name"]] for raw in sample.stated.categories if _is_category(raw)}
    return lambda stated: new.get(stated) if isinstance(stated, int) else None


def _is_category(raw: Any) -> bool:
    return isinstance(raw, dict) and type(raw.get("id")) is int and isinstance(raw.get("name"), str)


def with_pictures_in(stated: Contents, names: Sequence[str | Path]) -> Contents:
    """A data set whose pictures lie in archives, found by the names that it has for them, or by the last part of these.

    Raises:
        UserError: An archive is missing or damaged, or a picture is in none of them, or in two.
    """
    archives = listed(names, ENDING)
    whole: dict[str, list[Stored]] = defaultdict(list)
    last: dict[str, list[Stored]] = defaultdict(list)
    for place in (member.place for each in members(archives, read="\0") for member in each):
        whole[place.name].append(place)
        last[PurePosixPath(place.name).name].append(place)

    def found(raw: Any) -> Stored | None:
        name = raw.get("file_name") if isinstance(raw, dict) else None
        if not isinstance(name, str):
            return None  # it is told where images are looked at
        there = whole.get(name) or last.get(PurePosixPath(name).name, [])
        if len(there) != 1:
            problem = f"is in {len(there)} places" if there else f"is in none of {len(archives):,} archives"
            raise UserError(problem, file=archives[0], record=name, remedy="Check --images")
        return there[0]

    stored = [found(raw) for raw in stated.images]
    images = [raw if place is None else _sized(raw, place) for raw, place in zip(stated.images, stored, strict=True)]
    return replace(stated, images=images, stored=stored, image_folder=Path(archives[0]).parent)


def write(annotation_set: AnnotationSet, folder: Path) -> None:
    """Writes shards of a thousand samples: each picture as its file is, and D2SA's record of it.

    The first sample of a shard lists all categories, the others those that are in them.

    Raises:
        UserError: A picture is missing, or has no name that stays in its folder and ends as a picture's.
    """
    image_folder = require_images(annotation_set.image_folder, annotation_set.source)
    keys = _keys(annotation_set.images)
    starts, written = range(0, len(keys), SAMPLES), places(annotation_set, folder)
    outputs.claim(written)
    for path, low in zip(written, starts, strict=True):
        with replacing(path) as temporary, tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as archive:
            for place in range(low, min(low + SAMPLES, len(keys))):
                image = annotation_set.images[place]
                picture = content_of(image.place_in(image_folder))
                _add(archive, f"{keys[place]}{_suffix(image)}", picture)
                _add(archive, f"{keys[place]}.json", _text(annotation_set, image, whole=place == low))


def places(annotation_set: AnnotationSet, folder: Path) -> list[Path]:
    """The shards that `write` writes."""
    return [folder / f"shard-{n:06d}{ENDING}" for n in range(-(-len(annotation_set.images) // SAMPLES))]


def _keys(images: Sequence[ImageRecord]) -> list[str]:
    """Names of samples, without dots: those of the files where no two are alike, else with their ids."""
    keys = [inside(image.file_name).with_suffix("").as_posix().replace(".", "_") for image in images]
    return keys if len(set(keys)) == len(keys) else [f"{k}_{i.id}" for k, i in zip(keys, images, strict=True)]


def _suffix(image: ImageRecord) -> str:
    suffix = PurePosixPath(image.file_name).suffix.lower()
    if suffix not in IMAGE_SUFFIXES:
        raise UserError(
            "has no picture's ending", file=image.file_name, remedy=f"It is one of {', '.join(IMAGE_SUFFIXES)}"
        )
    return suffix


def _text(annotation_set: AnnotationSet, image: ImageRecord, *, whole: bool) -> bytes:
    """The annotation file of one image."""
    annotations = annotation_set.by_image.get(image.id, [])
    used = {annotation.category_id for annotation in annotations}
    categories = [one for one in annotation_set.categories if whole or one.id in used]
    part = replace(annotation_set, images=[image], annotations=annotations, categories=categories, document={})
    return encoded(coco.header(part) | {"annotations": list(coco.full(annotations))})


def _add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    about = tarfile.TarInfo(name)  # of no time and nobody, so that the same samples are the same bytes
    about.size = len(content)
    archive.addfile(about, io.BytesIO(content))
