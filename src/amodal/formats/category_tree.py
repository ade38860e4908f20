"""Categories that are no class of objects but a name for all of them."""

from amodal.annotations import Annotation, Category
from amodal.formats.problems import Problem, Report


def without_parent(categories: list[Category], annotations: list[Annotation], report: Report) -> list[Category]:
    """The categories without one that is the parent of all others, has no parent and no object: Roboflow writes one."""
    used = {annotation.category_id for annotation in annotations}
    for parent in categories:
        others = [category for category in categories if category is not parent]
        is_root = parent.supercategory in ("", "none") and all(one.supercategory == parent.name for one in others)
        if is_root and others and used and parent.id not in used:
            report(Problem("category_parent", f"category {parent.id}", f"'{parent.name}' is the parent of the others"))
            return others
    return categories
