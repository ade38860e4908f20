"""What an annotation set holds that a format has no place for: counted before it is written, said once.

Each format's module declares as `HOLDS` which of `FIELDS` it keeps; masks to the pixel and category names all do.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Set
from itertools import chain

from amodal import rle
from amodal.annotations import AnnotationSet, Extra

Count = Callable[[AnnotationSet], int]


def _partly_hidden(annotation_set: AnnotationSet) -> int:
    return sum(a.visible is not a.amodal and a.visible != a.amodal for a in annotation_set.annotations)


def _wholly_hidden(annotation_set: AnnotationSet) -> int:
    return int((rle.areas([a.visible for a in annotation_set.annotations]) == 0).sum())


def _crowds(annotation_set: AnnotationSet) -> int:
    return sum(a.is_crowd for a in annotation_set.annotations)


FIELDS: dict[str, tuple[str, Count]] = {
    "amodal": ("amodal mask beside the visible one", _partly_hidden),
    "visible": ("visible mask beside the amodal one", _partly_hidden),
    "hidden_objects": ("wholly hidden object", _wholly_hidden),
    "crowds": ("crowd", _crowds),
    "crowd_marks": ("mark of a crowd", _crowds),
    "stuff": ("mark of stuff (isStuff)", lambda s: sum(a.is_stuff for a in s.annotations)),
    "depth_order": ("depth order", lambda s: sum(a.depth_order is not None for a in s.annotations)),
    "ids": ("annotation id", lambda s: len(s.annotations)),
    "supercategories": ("supercategory", lambda s: sum(bool(c.supercategory) for c in s.categories)),
    # Counted by name, each field for itself.
    "annotation_fields": ("annotation", lambda s: 0),
    "image_fields": ("image", lambda s: 0),
    "category_fields": ("category", lambda s: 0),
    "document": ("file", lambda s: 0),
}
"""What a format may hold: what one of them is called, and how many of them there are."""


def losses(annotation_set: AnnotationSet, holds: Set[str]) -> dict[str, int]:
    """What is not kept by a format that holds some of `FIELDS`, or extra fields by their own names: its number."""
    found = {
        name: number
        for field, (name, count) in FIELDS.items()
        if field not in holds and (number := count(annotation_set))
    }
    extras: dict[str, Iterable[Extra | None]] = {
        "annotation_fields": (a.extra for a in annotation_set.annotations),
        "image_fields": (i.extra for i in annotation_set.images),
        "category_fields": annotation_set.category_fields.values(),
        "document": [annotation_set.document],
    }
    for field, records in extras.items():
        if field not in holds:
            names = Counter(chain.from_iterable(extra for extra in records if extra))
            owner = FIELDS[field][0]
            found |= {f"'{name}' of the {owner}": number for name, number in names.items() if name not in holds}
    return found


def sentence(lost: dict[str, int], name: str) -> str:
    """One line for a person."""
    return f"{name} has no place for: " + ", ".join(f"{what} ({number:,})" for what, number in lost.items())
