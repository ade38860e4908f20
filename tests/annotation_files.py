"""Small annotation files of every format, written as their authors do; shared by the tests of formats."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amodal import rle

HEIGHT, WIDTH = 6, 8
SIZE = (HEIGHT, WIDTH)


def pixels(*rows: str) -> np.ndarray:
    """A mask (6, 8) drawn with '#' and '.'; rows and columns left out are empty."""
    mask = np.zeros(SIZE, dtype=bool)
    for y, row in enumerate(rows):
        for x, mark in enumerate(row):
            mask[y, x] = mark == "#"
    return mask


CUP = pixels("........", ".####...", ".####...", ".####...")
CUP_SEEN = pixels("........", ".##.....", ".##.....", ".##.....")
JUG = pixels("...###..", "...###..", "...###..", "...###..", "...###..")


def text_rle(mask: np.ndarray) -> dict[str, Any]:
    return rle.to_json(rle.encode(mask[None])[0])


def square(left: int, top: int, right: int, bottom: int) -> list[float]:
    """A rectangle's polygon along pixel edges."""
    return [left, top, right, top, right, bottom, left, bottom]


CUP_POLYGON, CUP_SEEN_POLYGON, JUG_POLYGON = square(1, 1, 5, 4), square(1, 1, 3, 4), square(3, 0, 6, 5)


def image_entry(image_id: int = 10, name: str = "a.png") -> dict[str, Any]:
    return {"id": image_id, "file_name": name, "height": HEIGHT, "width": WIDTH}


CATEGORIES = [{"id": 2, "name": "cup", "supercategory": "thing"}, {"id": 5, "name": "jug", "supercategory": "thing"}]


def d2sa() -> dict[str, Any]:
    """A jug in front of a cup, as D2SA's files have it."""
    hidden = text_rle(CUP & ~CUP_SEEN)
    nested = {"amodal_region": {"name": "cup", "order": 2}, "amodal_base": {"image_id": 10, "author": "x"}}
    cup = {
        "id": 7,
        "image_id": 10,
        "category_id": 2,
        "iscrowd": False,
        "segmentation": text_rle(CUP),
        "bbox": [1, 1, 4, 3],
        "area": 12,
        "visible_mask": text_rle(CUP_SEEN),
        "invisible_mask": hidden,
        "occlude_rate": 0.5,
        "occl_depth": 1,
        **nested,
    }
    jug = {
        "id": 9,
        "image_id": 10,
        "category_id": 5,
        "iscrowd": False,
        "segmentation": text_rle(JUG),
        "bbox": [3, 0, 3, 5],
        "area": 15,
        "visible_mask": text_rle(JUG),
        "occlude_rate": 0.0,
        "occl_depth": 0,
    }
    return {"info": {}, "images": [image_entry()], "categories": CATEGORIES, "annotations": [cup, jug]}


def kins() -> dict[str, Any]:
    """The same as KINS' files of 2019: amodal polygons, visible run lengths, and an empty category."""
    both = [(7, 2, CUP_POLYGON, CUP_SEEN, [1, 1, 4, 3], 12), (9, 5, JUG_POLYGON, JUG, [3, 0, 3, 5], 15)]
    annotations = [
        {
            "id": number,
            "image_id": 10,
            "category_id": category,
            "iscrowd": 0,
            "segmentation": [polygon],
            "bbox": box,
            "area": area,
            "inmodal_seg": text_rle(seen),
            "inmodal_bbox": box,
        }
        for number, category, polygon, seen, box, area in both
    ]
    rider = {"id": 3, "name": "rider", "supercategory": "Living Thing"}
    return {"images": [image_entry()], "annotations": annotations, "categories": [*CATEGORIES, rider]}


def kins2020() -> dict[str, Any]:
    """The same as KINS' files of 2020: polygons, cluster and order within it."""
    both = [(7, 2, CUP_POLYGON, CUP_SEEN_POLYGON, 2), (9, 5, JUG_POLYGON, JUG_POLYGON, 1)]
    annotations = [
        {
            "id": number,
            "image_id": 10,
            "category_id": category,
            "iscrowd": 0,
            "a_segm": [polygon],
            "a_bbox": [1, 1, 4, 3] if number == 7 else [3, 0, 3, 5],
            "a_area": 12 if number == 7 else 15,
            "i_segm": [seen],
            "i_bbox": [1, 1, 2, 3] if number == 7 else [3, 0, 3, 5],
            "i_area": 6 if number == 7 else 15,
            "oco_id": 1,
            "ico_id": order,
        }
        for number, category, polygon, seen, order in both
    ]
    return {"images": [image_entry()], "annotations": annotations, "categories": CATEGORIES}


def aistron(amodal: str = "amodal_segm", visible: str = "visible_segm") -> dict[str, Any]:
    """The same as aistron's files; its README and its code name the masks differently."""
    content = d2sa()
    content["annotations"] = [
        {
            **{
                key: record[key] for key in ("id", "image_id", "category_id", "iscrowd", "area", "bbox", "segmentation")
            },
            amodal: record["segmentation"],
            visible: record["visible_mask"],
            "background_objs_segm": [],
            "occluder_segm": [],
            "amodal_bbox": record["bbox"],
            "visible_bbox": record["bbox"],
            "amodal_area": record["area"],
        }
        for record in content["annotations"]
    ]
    return content


def cocoa() -> dict[str, Any]:
    """The same as COCOA's files: one record an image, flat polygons, free-text names, no ids."""
    regions = [
        {"segmentation": JUG_POLYGON, "name": "jug", "area": 15, "isStuff": 0, "occlude_rate": 0, "order": 1},
        {
            "segmentation": CUP_POLYGON,
            "name": " Coffee  cup",
            "area": 12,
            "isStuff": 0,
            "occlude_rate": 0.5,
            "order": 2,
            "visible_mask": text_rle(CUP_SEEN),
            "invisible_mask": text_rle(CUP & ~CUP_SEEN),
        },
        {"segmentation": square(0, 5, 8, 6), "name": "table", "area": 8, "isStuff": 1, "occlude_rate": 0, "order": 3},
    ]
    record = {"id": 1, "image_id": 10, "author": "x", "url": "http://x/a.png", "size": 3, "depth_constraint": "1-2"}
    return {"images": [image_entry()], "annotations": [record | {"regions": regions}]}


def shape(label: str, polygon: list[float], group: int | None = None, **more: Any) -> dict[str, Any]:
    """A polygon as labelme has it."""
    points = [list(point) for point in zip(polygon[0::2], polygon[1::2], strict=True)]
    return {"label": label, "points": points, "group_id": group, "shape_type": "polygon", "flags": {}} | more


def labelme(*shapes: dict[str, Any], image: str = "a.png") -> dict[str, Any]:
    """A labelme file; by default the same jug and cup, paired by group."""
    drawn = shapes or (
        shape("cup_amodal", CUP_POLYGON, 1),
        shape("cup_visible", CUP_SEEN_POLYGON, 1),
        shape("jug_amodal", JUG_POLYGON, 2),
    )
    size = {"imageHeight": HEIGHT, "imageWidth": WIDTH}
    return {"version": "5.5.0", "flags": {}, "shapes": list(drawn), "imagePath": image, "imageData": None, **size}


def save(content: Any, path: Path) -> Path:
    """Writes JSON; makes the folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def save_image(path: Path, size: tuple[int, int] = SIZE) -> Path:
    """Writes a plain image of (height, width)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (size[1], size[0]), (90, 120, 60)).save(path)
    return path
