"""Formats whose masks lie in pictures, and SA-1B: COCO panoptic, Pascal VOC, one file an image without categories."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files
from tests.annotation_files import CUP, CUP_SEEN, JUG, SIZE, image_entry, pixels, save, save_image, text_rle

CUP_ID, JUG_ID = 3226956, 70  # the first needs all three channels


def masks(result: AnnotationSet) -> list[tuple[str, list[list[bool]]]]:
    names = {category.id: category.name for category in result.categories}
    return [(names[a.category_id], rle.decode([a.amodal], SIZE)[0].tolist()) for a in result.annotations]


def panoptic(folder: Path, place: str = "pan", **segment: Any) -> Path:
    ids = np.where(JUG, JUG_ID, np.where(CUP, CUP_ID, 5))
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=-1).astype(np.uint8)
    (folder / place).mkdir(parents=True, exist_ok=True)
    Image.fromarray(colours).save(folder / place / "a.png")
    segments = [
        {"id": CUP_ID, "category_id": 2, "area": 6, "bbox": [1, 1, 2, 3], "iscrowd": 0} | segment,
        {"id": JUG_ID, "category_id": 5, "area": 15, "bbox": [3, 0, 3, 5], "iscrowd": 0},
        {"id": 5, "category_id": 8, "area": 27, "bbox": [0, 0, 8, 6], "iscrowd": 0},
    ]
    kinds = [(2, "cup", 1), (5, "jug", 1), (8, "wall", 0)]
    content = {
        "info": {"year": 2026},
        "images": [image_entry()],
        "annotations": [{"image_id": 10, "file_name": "a.png", "segments_info": segments}],
        "categories": [{"id": i, "name": name, "isthing": thing, "color": [1, 2, 3]} for i, name, thing in kinds],
    }
    return save(content, folder / "pan.json")


@pytest.mark.parametrize("place", ["pan", "."])
def test_things_of_a_panoptic_picture_are_objects(place: str, tmp_path: Path):
    result = annotation_files.read(panoptic(tmp_path, place))
    assert masks(result) == [("cup", CUP_SEEN.tolist()), ("jug", JUG.tolist())]
    assert [c.name for c in result.categories] == ["cup", "jug"]
    assert result.repairs == {"stuff_left_out": 1}
    assert result.document == {"info": {"year": 2026}}
    assert result.category_fields[2] == {"isthing": 1, "color": [1, 2, 3]}


def test_a_panoptic_file_without_its_pictures_says_where_they_belong(tmp_path: Path):
    path = panoptic(tmp_path)
    (tmp_path / "pan" / "a.png").unlink()
    with pytest.raises(UserError, match=r"its picture of segments a\.png was not found"):
        annotation_files.read(path)
    (tmp_path / "pan" / "a.png").write_text("no picture")
    with pytest.raises(UserError, match=r"image 10: a\.png: cannot be read"):
        annotation_files.read(path)


@pytest.mark.parametrize(
    ("segment", "message"),
    [({"id": "x"}, "no 'id'"), ({"id": -1}, "no amodal mask"), ({"category_id": 99}, "category_id 99 is not in")],
)
def test_damaged_segments_are_named(segment: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=f"image 10 segment.*{message}"):
        annotation_files.read(panoptic(tmp_path, **segment))


def test_a_segment_that_is_not_in_the_picture_is_dropped_and_counted(tmp_path: Path):
    result = annotation_files.read(panoptic(tmp_path, id=77))
    assert (len(result.annotations), result.repairs) == (1, {"amodal_empty": 1, "stuff_left_out": 1})


def sa1b(name: str = "a.png", image_id: int = 10) -> dict[str, Any]:
    image = {"image_id": image_id, "width": 8, "height": 6, "file_name": name}
    mask = {"id": 7, "segmentation": text_rle(CUP), "area": 12, "bbox": [1, 1, 4, 3], "predicted_iou": 0.9}
    return {"image": image, "annotations": [mask, mask | {"id": 8, "segmentation": text_rle(JUG)}]}


def test_segment_anythings_masks_are_objects(tmp_path: Path):
    result = annotation_files.read(save(sa1b(), tmp_path / "sa_10.json"))
    assert masks(result) == [("object", CUP.tolist()), ("object", JUG.tolist())]
    assert [(i.id, i.file_name, i.extra) for i in result.images] == [(10, "a.png", None)]
    assert result.annotations[0].extra == {"predicted_iou": 0.9}


def test_a_folder_of_segment_anythings_files_is_one_data_set(tmp_path: Path):
    for number in (1, 2):
        save_image(tmp_path / f"{number}.jpg")
        save(sa1b(f"{number}.jpg", number), tmp_path / f"{number}.json")
    result = annotation_files.read(tmp_path)
    assert [(a.id, a.image_id) for a in result.annotations] == [(7, 1), (8, 1), (9, 2), (10, 2)]
    assert (result.image_folder, result.repairs) == (tmp_path, {"duplicate_id": 2})
    save({"image": {"image_id": 3}, "annotations": [1]}, tmp_path / "3.json")
    with pytest.raises(UserError, match="no 'file_name'"):
        annotation_files.read(tmp_path)


PALETTE = [128 * bit for number in range(8) for bit in (number & 1, number >> 1 & 1, number >> 2 & 1)]


def voc(folder: Path, *, classes: str | None = None, xml: str | None = None, colours: bool = False) -> Path:
    """A jug before a cup; the cup is class 5 of VOC (bottle), the jug class 7 (car); the line between them is void."""
    objects = np.where(JUG, 1, np.where(CUP, 2, 0)).astype(np.uint8)
    kinds = np.where(JUG, 7, np.where(CUP, 5, 0)).astype(np.uint8)
    objects[0, 7] = kinds[0, 7] = 255
    save_image(folder / "JPEGImages" / "a.jpg")
    for name, indices in (("SegmentationObject", objects), ("SegmentationClass", kinds)):
        (folder / name).mkdir(parents=True)
        image = Image.fromarray(indices)
        image.putpalette([*PALETTE, *[0] * (765 - len(PALETTE)), 224, 224, 192])
        (image.convert("RGB") if colours else image).save(folder / name / "a.png")
    if classes:
        name, text = classes.split("=", 1)
        (folder / name).write_text(text)
    if xml:
        (folder / "Annotations").mkdir()
        (folder / "Annotations" / "a.xml").write_text(xml)
    return folder


def thing(name: str, *corners: int) -> str:
    box = "".join(
        f"<{key}>{value}</{key}>" for key, value in zip(("xmin", "ymin", "xmax", "ymax"), corners, strict=True)
    )
    return f"<object><name>{name}</name><difficult>1</difficult><bndbox>{box}</bndbox></object>"


@pytest.mark.parametrize("colours", [False, True])
def test_vocs_pictures_of_objects_and_classes(colours: bool, tmp_path: Path):
    result = annotation_files.read(voc(tmp_path / "voc", colours=colours))
    assert masks(result) == [("car", JUG.tolist()), ("bottle", CUP_SEEN.tolist())]
    assert len(result.categories) == 20
    assert [(i.id, i.file_name, i.height, i.width) for i in result.images] == [(1, "a.jpg", 6, 8)]
    assert result.image_folder == tmp_path / "voc" / "JPEGImages"


def test_vocs_xml_names_objects_by_their_boxes(tmp_path: Path):
    xml = f"<annotation>{thing('cup', 2, 2, 3, 4)}{thing('jug', 4, 1, 6, 5)}</annotation>"
    result = annotation_files.read(voc(tmp_path / "voc", xml=xml))
    assert masks(result) == [("jug", JUG.tolist()), ("cup", CUP_SEEN.tolist())]
    assert result.annotations[0].extra == {"difficult": "1"}


def test_vocs_own_names(tmp_path: Path):
    lines = "\n".join(["background:0,0,0::", *(f"thing{n}:{n},0,0::" for n in range(1, 8))])
    result = annotation_files.read(voc(tmp_path / "voc", classes=f"labelmap.txt=# label:color\n{lines}"))
    assert [name for name, _ in masks(result)] == ["thing7", "thing5"]
    other = "\n".join(["__ignore__", "_background_", *(f"n{n}" for n in range(1, 8))])
    assert masks(annotation_files.read(voc(tmp_path / "other", classes=f"class_names.txt={other}")))[0][0] == "n7"


def test_damaged_voc_folders_are_one_line(tmp_path: Path):
    folder = voc(tmp_path / "voc", xml="<annotation><object><bndbox/></object></annotation>")
    with pytest.raises(UserError, match="not four numbers"):
        annotation_files.read(folder)
    (folder / "Annotations" / "a.xml").unlink()
    Image.new("L", (3, 3)).save(folder / "SegmentationClass" / "a.png")
    with pytest.raises(UserError, match="SegmentationClass is of another size"):
        annotation_files.read(folder)
    (folder / "SegmentationObject" / "a.png").write_bytes(b"no picture")
    with pytest.raises(UserError, match="cannot be read as an image"):
        annotation_files.read(folder)


def test_what_is_read_can_be_converted(tmp_path: Path):
    from amodal.commands.convert import convert

    convert(panoptic(tmp_path), tmp_path / "out.json", to="coco-amodal")
    assert [a["area"] for a in json.loads((tmp_path / "out.json").read_text())["annotations"]] == [6, 15]
    assert pixels().sum() == 0
