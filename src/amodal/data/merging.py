"""Two annotation sets as one: several files of one data set, as D2SA has them. No torch here."""

from collections import Counter
from dataclasses import replace
from itertools import count

from amodal.annotations import AnnotationSet
from amodal.errors import UserError


def merge(first: AnnotationSet, second: AnnotationSet) -> AnnotationSet:
    """Both sets' images and annotations. The second's ids are kept where they are free in the first.

    Raises:
        UserError: The categories or the image folders differ.
    """
    if sorted(c.id for c in first.categories) != sorted(c.id for c in second.categories):
        raise UserError(
            "lists other categories",
            file=second.source,
            remedy=f"Files read together must list those of {first.source}",
        )
    if first.image_folder != second.image_folder:
        raise UserError(
            f"has its images in {second.image_folder}, not {first.image_folder}",
            file=second.source,
            remedy="Name one folder with `images` that the file names of both start from",
        )
    image_ids = _free_ids([i.id for i in first.images], [i.id for i in second.images])
    ids = _free_ids([a.id for a in first.annotations], [a.id for a in second.annotations])
    images = [replace(image, id=image_ids[image.id]) for image in second.images]
    annotations = [replace(a, id=ids[a.id], image_id=image_ids[a.image_id]) for a in second.annotations]
    return replace(
        first,
        images=first.images + images,
        annotations=first.annotations + annotations,
        document=second.document | first.document,
        category_fields=second.category_fields | first.category_fields,
        repairs=dict(Counter(first.repairs) + Counter(second.repairs)),
    )


def _free_ids(taken: list[int], wanted: list[int]) -> dict[int, int]:
    """Each wanted id, or a new one where it is taken."""
    used = set(taken)
    new = count(max(taken + wanted, default=0) + 1)
    return {i: next(new) if i in used else i for i in wanted}
