"""Two annotation sets as one: several files of one data set, as D2SA has them."""

from collections import Counter
from dataclasses import replace
from itertools import count

from amodal.annotations import AnnotationSet, Category
from amodal.categories import differences, key
from amodal.errors import UserError


def merge(first: AnnotationSet, second: AnnotationSet) -> AnnotationSet:
    """Both sets' images and annotations. The second's ids are kept where they are free in the first.

    Categories are matched by their names; the first's ids stand.

    Raises:
        UserError: The categories or the image folders differ.
    """
    if problem := differences(first.categories, second.categories, f"{first.source} has", "it has"):
        raise UserError(
            f"lists other categories: {problem}",
            file=second.source,
            remedy="Files read together must list the same",
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
    category_ids = _category_ids(first.categories, second.categories)
    annotations = [
        replace(a, id=ids[a.id], image_id=image_ids[a.image_id], category_id=category_ids[a.category_id])
        for a in second.annotations
    ]
    fields = {category_ids[identity]: extra for identity, extra in second.category_fields.items()}
    return replace(
        first,
        images=first.images + images,
        annotations=first.annotations + annotations,
        document=second.document | first.document,
        category_fields=fields | first.category_fields,
        repairs=dict(Counter(first.repairs) + Counter(second.repairs)),
    )


def _category_ids(first: list[Category], second: list[Category]) -> dict[int, int]:
    """The first's id of each category of the second. Of several with one name, those of the same id are meant."""
    by_name = {key(category.name): category.id for category in first}
    names = {category.id: key(category.name) for category in first}
    return {c.id: c.id if names.get(c.id) == key(c.name) else by_name[key(c.name)] for c in second}


def _free_ids(taken: list[int], wanted: list[int]) -> dict[int, int]:
    """Each wanted id, or a new one where it is taken."""
    used = set(taken)
    new = count(max(taken + wanted, default=0) + 1)
    return {i: next(new) if i in used else i for i in wanted}
