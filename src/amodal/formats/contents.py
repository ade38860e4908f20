"""What an annotation file states, before anything of it is checked: the form that every reader brings it into."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from amodal.annotations import Annotation, Extra
from amodal.archives import Stored
from amodal.formats.choices import AS_STATED, Choices
from amodal.formats.problems import Problem

IMAGE_KEYS = frozenset({"id", "file_name", "height", "width"})
CATEGORY_KEYS = frozenset({"id", "name", "supercategory"})
AtOnce = Callable[[Mapping[int, tuple[int, int]], Collection[int]], list[Annotation] | None]


class Record(NamedTuple):
    """One object as its file states it; nothing is checked yet. None stands for "not stated".

    Attributes:
        name: How messages call it: "annotation 17", "annotation 3 region 2".
        amodal: Run lengths or polygons, as `rle.from_json` takes them.
        visible: The same. None: fully visible, or told by `invisible`.
        invisible: The same.
        box: Amodal box, xywh.
        depth_order: Counted from 0, nearest first.
        extra: Fields without a meaning here; None where there are none.
    """

    name: str
    id: Any
    image_id: Any
    category_id: Any
    amodal: Any
    visible: Any = None
    invisible: Any = None
    box: Any = None
    area: Any = None
    occlusion_rate: Any = None
    is_crowd: Any = None
    is_stuff: Any = None
    depth_order: Any = None
    extra: Extra | None = None


@dataclass(frozen=True)
class Contents:
    """What a file, or a folder of files, states.

    Attributes:
        format: The format's name, as `amodal convert --to` has it where it can be written.
        images: Raw `{id, file_name, height, width}`.
        categories: Raw `{id, name, supercategory}`.
        records: The objects; walked once.
        image_folder: Where the images lie, if found.
        document: The file's members, all of them once the records have been walked.
        choices: What the user chose.
        stored: Where the picture of each of `images` lies, if they lie in archives.
        at_once: From sizes (H, W) by image id and the known categories' ids to all annotations, in a fraction of the
            time; None where it takes `records` to tell what is wrong, or the format has no such way.
    """

    path: Path
    format: str
    images: list[Any]
    categories: list[Any]
    records: Iterable[Record | Problem]
    image_folder: Path | None = None
    document: dict[str, Any] = field(default_factory=dict)
    choices: Choices = AS_STATED
    stored: Sequence[Stored | None] = ()
    at_once: AtOnce = lambda _sizes, _categories: None


def called(kind: str, raw: Any, place: int) -> str:
    """How messages call a record of a file's lists: by its id if it has a usable one, else by its place from 0."""
    identity = raw.get("id") if isinstance(raw, dict) else None
    return f"{kind} {identity}" if type(identity) is int else f"{kind} at place {place}"


def extra_of(raw: dict[str, Any], known: frozenset[str]) -> Extra | None:
    """The fields of a record whose keys are not known; None where there are none."""
    return {key: raw[key] for key in raw if key not in known} or None
