"""CVAT's XML "for images 1.1": shapes that may lie over one another, ordered by `z_order`.

Such a file is an amodal annotation already. Each shape is an object's whole mask; what is visible of it is the shape
without those of a higher `z_order`; the depth order follows. Where all shapes of an image have the same `z_order`
nobody said what is in front: then all are fully visible, and the depth order is unknown.

Where something hides an object that is not annotated itself, the object is drawn twice, in a group: see `drawn_twice`.
The attribute `hidden` says of an amodal shape that nothing of the object is visible.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, SubElement, tostring

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet
from amodal.errors import UserError
from amodal.files import replacing
from amodal.formats import cvat_shapes, drawn_twice, image_folder, xml_files
from amodal.formats.contents import Contents, Record
from amodal.formats.drawn_twice import Shape, Thing
from amodal.formats.problems import Problem, RejectedRecord
from amodal.formats.records import size_of, whole
from amodal.rle import Rle

FILE = "annotations.xml"
"""What an export holds beside its `images/`."""
HOLDS = frozenset({"amodal", "visible", "hidden_objects", "crowds", "depth_order", "attributes"})


def contents(path: Path, images: Path | None) -> Contents:
    """What the file states. Objects are numbered from 1, categories in the order of the task's labels.

    Raises:
        UserError: It is no XML, or none of CVAT's.
    """
    root = xml_files.read(path)
    if root.tag != "annotations" or root.find("image") is None:
        remedy = "Export it as 'CVAT for images 1.1' (its video format has tracks instead)"
        raise UserError("no 'annotations' with an 'image'", file=path, remedy=remedy)
    listed = [_image(image) for image in root.iter("image")]
    folder = image_folder.find(path, listed, images)
    stated = [name.text.strip() for name in root.findall("meta//labels/label/name") if name.text]
    shapes = (shape for image in root.iter("image") for shape in image if shape.tag in cvat_shapes.SHAPES)
    drawn = sorted({drawn_twice.category_of(label) for shape in shapes if (label := shape.get("label"))})
    labels = {
        label: number
        for number, label in enumerate(dict.fromkeys([*map(drawn_twice.category_of, stated), *drawn]), start=1)
    }
    categories = [{"id": number, "name": label} for label, number in labels.items()]
    return Contents(path, "cvat", listed, categories, _records(root, folder, labels), folder)


def _image(image: Element) -> dict[str, Any]:
    raw: dict[str, Any] = dict(image.attrib)
    return {"file_name": raw.pop("name", None)} | raw


def _records(root: Element, folder: Path | None, labels: dict[str, int]) -> Iterator[Record | Problem]:
    number = 0
    for image in root.iter("image"):
        try:
            identity, size = whole(image.get("id"), "id"), size_of(_image(image), folder)
        except RejectedRecord:
            continue  # said once, where the images are listed
        name = f"image {identity}"
        problems: list[Problem] = []
        things, unpaired = drawn_twice.things(_shapes(image, size, name, problems))
        yield from [*problems, *unpaired]
        for record in _layered(things, identity, name, labels):
            number += 1
            yield record._replace(id=number) if isinstance(record, Record) else record


def _shapes(image: Element, size: tuple[int, int], name: str, problems: list[Problem]) -> Iterator[Shape]:
    """The shapes of one image; what cannot be used is added to `problems`."""
    for place, shape in enumerate(image, start=1):
        where = f"{name} {shape.tag} {place}"
        if shape.tag not in cvat_shapes.SHAPES:
            problems.append(Problem("no_area", where, f"a {shape.tag} encloses no area"))
            continue
        try:
            yield _shape(shape, size, where)
        except RejectedRecord as refused:
            problems.append(Problem(refused.kind, where, refused.detail))
            continue
        if shape.tag == "box":
            problems.append(Problem("box_as_mask", where, "its mask is the rectangle"))


def _shape(shape: Element, size: tuple[int, int], where: str) -> Shape:
    label, group = shape.get("label"), shape.get("group_id", "0")
    if not label:
        raise RejectedRecord("bad_record", "no 'label'")
    mask, height = cvat_shapes.parse(shape, size), whole(shape.get("z_order", 0), "z_order")
    attributes = {attribute.get("name", ""): attribute.text or "" for attribute in shape.iter("attribute")}
    is_hidden = attributes.pop("hidden", "") == "true"
    extra = {"attributes": attributes} if attributes else None
    return Shape(where, label, mask, None if group == "0" else group, is_hidden, height, extra)


def _layered(things: list[Thing], image_id: int, name: str, labels: dict[str, int]) -> Iterator[Record | Problem]:
    """The records of one image; each object's visible mask told by those above it, if its shapes do not tell it."""
    masks = [thing.masks() for thing in things]
    heights = [thing.height for thing, found in zip(things, masks, strict=True) if found]
    uncovered = iter(visible_from_above([found[0] for found in masks if found], heights))
    levels = sorted(set(heights), reverse=True)
    for thing, found in zip(things, masks, strict=True):
        where = f"{name} {thing.label}"
        if found is None:
            yield drawn_twice.unpaired(where)
            continue
        amodal, follows = found[0], next(uncovered)
        visible = follows if found[1] is None else found[1]
        order = levels.index(thing.height) if len(levels) > 1 or len(heights) == 1 else None
        extra = thing.extra or None
        yield Record(where, None, image_id, labels[thing.label], amodal, visible, depth_order=order, extra=extra)


def visible_from_above(masks: Sequence[Rle], heights: Sequence[int]) -> list[Rle]:
    """Each mask without those that lie higher; of the same height none hides another."""
    above: Rle | None = None
    visible = list(masks)
    for height in sorted(set(heights), reverse=True):
        level = [place for place, other in enumerate(heights) if other == height]
        if above is not None:
            for place in level:
                visible[place] = rle.subtract(masks[place], above)
        above = rle.union([*(masks[place] for place in level), *([above] if above else [])])
    return visible


def write(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes each object's whole mask as a brush's mask: to the pixel, in depth order.

    What is visible is drawn too, in the object's group, where it does not follow from the masks above. The file is for
    a task of the same images, with the categories as labels.
    """
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    labels = SubElement(SubElement(SubElement(root, "meta"), "task"), "labels")
    ordered = sorted(annotation_set.categories, key=lambda category: category.id)
    for category in ordered:
        SubElement(SubElement(labels, "label"), "name").text = xml_files.text(category.name)
    names = {category.id: xml_files.text(category.name) for category in ordered}
    for image in annotation_set.images:
        about = {"id": image.id, "name": image.file_name, "width": image.width, "height": image.height}
        element = SubElement(root, "image", {key: xml_files.text(value) for key, value in about.items()})
        _write_objects(element, annotation_set.by_image.get(image.id, []), names)
    with replacing(path) as temporary:
        temporary.write_bytes(tostring(root, "utf-8", xml_declaration=True))


def _write_objects(image: Element, annotations: list[Annotation], names: dict[int, str]) -> None:
    """Deepest first, as CVAT draws them."""
    orders = [a.depth_order for a in annotations]
    deepest = max((order for order in orders if order is not None), default=0) + (None in orders)
    # Those without an order come last; where nobody has one, all lie at one height, so that none hides another.
    heights = [0 if order is None else deepest - order for order in orders]
    visible = visible_from_above([a.amodal for a in annotations], heights)
    group = 0
    for place in sorted(range(len(annotations)), key=lambda place: heights[place]):
        annotation, follows = annotations[place], visible[place]
        masks = [annotation.amodal]
        is_hidden = not rle.areas([annotation.visible])[0]
        if not is_hidden and not _same(annotation.visible, follows):
            masks.append(annotation.visible)
        group += len(masks) - 1
        about = {
            "label": names[annotation.category_id],
            "source": "manual",
            "occluded": str(int(annotation.visible != annotation.amodal)),
            "z_order": str(heights[place]),
            **({"group_id": str(group)} if len(masks) > 1 else {}),
        }
        for mask in masks:
            shape = SubElement(image, "mask", about | cvat_shapes.written(mask))
            for name, value in _attributes(annotation, is_hidden and rle.areas([follows])[0] > 0).items():
                SubElement(shape, "attribute", {"name": name}).text = value


def _same(first: Rle, second: Rle) -> bool:
    if first["counts"] == second["counts"]:
        return True
    common, *areas = rle.areas([rle.intersect(first, second), first, second]).tolist()
    return areas == [common, common]


def _attributes(annotation: Annotation, is_hidden: bool) -> dict[str, str]:
    stated = (annotation.extra or {}).get("attributes")
    attributes = stated if isinstance(stated, dict) else {}
    if is_hidden:
        attributes = attributes | {"hidden": True}
    return {
        xml_files.text(name): xml_files.text(str(value).lower() if isinstance(value, bool) else value)
        for name, value in attributes.items()
    }
