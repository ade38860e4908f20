"""Habits of tools that people use: text ids, crowds for objects, boxes for masks, a root category, YOLO's lines."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import TEXT_ID, AnnotationSet
from amodal.commands.convert import How, convert
from amodal.commands.data import data_check
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.formats.check import check
from amodal.formats.choices import Choices
from amodal.results import result_files
from tests.annotation_files import CUP, JUG, SIZE, d2sa, image_entry, pixels, save, save_image, square

OBJECTS, BOXES = Choices(crowds_are_objects=True), Choices(boxes_are_objects=True)


def plain(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Plain COCO of one image."""
    common = {"image_id": 10, "category_id": 2, "iscrowd": 0, "segmentation": [square(1, 1, 5, 4)]}
    return {
        "images": [image_entry()],
        "categories": [{"id": 2, "name": "cup"}],
        "annotations": [common | {"id": number} | one for number, one in enumerate(annotations, start=1)],
    } | more


def texts() -> dict[str, Any]:
    """Two images with text ids and one with a number, which keeps it."""
    images = [image_entry("frame_1", "a.png"), image_entry(1, "b.png"), image_entry("frame_2", "c.png")]  # type: ignore[arg-type]
    return plain({"image_id": "frame_1"}, {"image_id": 1}, {"image_id": "frame_2"}, images=images)


def test_text_ids_become_whole_numbers_and_are_kept(tmp_path: Path):
    result = annotation_files.read(save(texts(), tmp_path / "in.json"))
    assert [(i.id, i.file_name) for i in result.images] == [(2, "a.png"), (1, "b.png"), (3, "c.png")]
    assert [a.image_id for a in result.annotations] == [2, 1, 3]
    assert [(i.extra or {}).get(TEXT_ID) for i in result.images] == ["frame_1", None, "frame_2"]
    convert(tmp_path / "in.json", tmp_path / "out.json", to="d2sa")
    assert annotation_files.read(tmp_path / "out.json") == result


def test_an_unknown_text_id_is_named(tmp_path: Path):
    content = texts()
    content["annotations"][0]["image_id"] = "frame_9"
    with pytest.raises(UserError, match="annotation 1: 'image_id' is 'frame_9'"):
        annotation_files.read(save(content, tmp_path / "in.json"))


def detection(image_id: Any, **more: Any) -> dict[str, Any]:
    return {"image_id": image_id, "category_id": 2, "score": 0.5, "bbox": [1, 1, 4, 3]} | more


def truth(folder: Path, images: list[dict[str, Any]]) -> AnnotationSet:
    return annotation_files.read(save(plain(images=images), folder / "truth.json"))


IMAGES = [image_entry(1, "sub/17_12.jpg"), image_entry(2, "sub/000139.jpg"), image_entry(0, "other.jpg")]


@pytest.mark.parametrize(
    ("stated", "ids"),
    [
        ([1, 2, 0], [1, 2, 0]),
        (["1", "0"], [1, 0]),
        (["17_12", "000139", "other"], [1, 2, 0]),
        (["17_12.jpg", "sub/000139.jpg"], [1, 2]),
        (["17_12", 139], [1, 2]),  # stems of digits are numbers in ultralytics' files
        ([1.0], [1]),
    ],
)
@pytest.mark.parametrize("usual", [True, False])
def test_results_are_matched_by_id_or_by_the_files_name(usual: bool, stated: list[Any], ids: list[int], tmp_path: Path):
    content = [detection(one) for one in stated]
    if not usual:  # a polygon is read one by one
        content = [one | {"segmentation": [square(1, 1, 5, 4)]} for one in content]
    found = result_files.read(save(content, tmp_path / "results.json"), truth(tmp_path, IMAGES))
    assert found.image_ids.tolist() == ids


@pytest.mark.parametrize(
    ("stated", "message"),
    [
        ([1, 139], "detection 1: image 139 is not in the data set"),  # ids and names are not mixed
        (["17_13"], "detection 0: image '17_13' is not in"),
        ([[1]], "detection 0"),
        ([None], "detection 0"),
        ([True, 7], "image 7 is not in"),
        ([float("nan")], "detection 0"),
    ],
)
def test_an_image_that_nothing_tells_is_named(stated: list[Any], message: str, tmp_path: Path):
    path = save([detection(one) for one in stated], tmp_path / "results.json")
    with pytest.raises(UserError, match=message):
        result_files.read(path, truth(tmp_path, IMAGES))


def test_a_name_of_several_images_tells_none(tmp_path: Path):
    both = [image_entry(1, "x/a.jpg"), image_entry(2, "y/a.jpg")]
    path = save([detection("a")], tmp_path / "results.json")
    with pytest.raises(UserError, match="image 'a' is not in"):
        result_files.read(path, truth(tmp_path, both))
    path = save([detection("y/a.jpg")], tmp_path / "results.json")
    assert result_files.read(path, truth(tmp_path, both)).image_ids.tolist() == [2]


def test_results_match_text_ids(tmp_path: Path):
    known = annotation_files.read(save(texts(), tmp_path / "in.json"))
    path = save([detection("frame_2"), detection("frame_1"), detection("1")], tmp_path / "results.json")
    assert result_files.read(path, known).image_ids.tolist() == [3, 2, 1]


def test_crowds_for_objects_are_warned_of_and_read_as_objects(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    runs = rle.runs(rle.encode(CUP[None])[0]).tolist()
    brush = {"iscrowd": 1, "segmentation": {"size": list(SIZE), "counts": runs}}
    path = save(plain(brush, brush), tmp_path / "in.json")
    assert annotation_files.read(path).repairs == {"crowd": 2}
    assert [a.is_crowd for a in annotation_files.read(path, choices=OBJECTS).annotations] == [False, False]
    assert check(path).counts["crowd"] == 2
    assert check(path, choices=OBJECTS).counts["crowd"] == 0
    convert(path, tmp_path / "out.json", to="d2sa", how=How(crowds_are_objects=True))
    assert not any(a.is_crowd for a in annotation_files.read(tmp_path / "out.json").annotations)
    assert "noted" not in capsys.readouterr().out
    convert(path, tmp_path / "other.json", to="d2sa")
    assert "noted while reading: 2 times crowd" in capsys.readouterr().out
    few = annotation_files.read(save(plain(brush, {}, {}), tmp_path / "few.json"))
    assert few.repairs == {}  # as in COCO


@pytest.mark.parametrize(
    ("segmentation", "rectangle"),
    [
        ([[1, 1, 4, 3]], CUP),  # x, y, width, height
        ([1, 1, 4, 3], CUP),
        ([[3, 0, 6, 5]], JUG),  # as x, y, width, height it would leave the image: two corners
        ([[1, 1, 2, 3], [3, 1, 2, 3]], CUP),
    ],
)
def test_a_box_for_a_mask_is_said_and_dropped_or_kept(segmentation: Any, rectangle: np.ndarray, tmp_path: Path):
    path = save(plain({}, {"segmentation": segmentation}), tmp_path / "in.json")
    left = annotation_files.read(path)
    assert ([a.id for a in left.annotations], left.repairs) == ([1], {"box_only": 1})
    kept = annotation_files.read(path, choices=BOXES)
    np.testing.assert_array_equal(rle.decode([kept.annotations[1].amodal], SIZE)[0], rectangle)
    save_image(tmp_path / "a.png")
    for choices, count in ((Choices(), 1), (BOXES, 2)):
        with pytest.raises(SystemExit):
            data_check(path, fix=tmp_path / f"{count}.json", choices=choices)
        assert len(annotation_files.read(tmp_path / f"{count}.json").annotations) == count


def test_a_category_that_is_only_a_parent_is_left_out(tmp_path: Path):
    root = [{"id": 0, "name": "kitchen", "supercategory": "none"}]
    kinds = [{"id": i, "name": n, "supercategory": "kitchen"} for i, n in ((1, "jug"), (2, "cup"))]
    result = annotation_files.read(save(plain({}, categories=root + kinds), tmp_path / "in.json"))
    assert [c.name for c in result.categories] == ["jug", "cup"]
    assert result.repairs == {"category_parent": 1}
    assert check(tmp_path / "in.json").counts["category_parent"] == 1
    used = annotation_files.read(save(plain({}, {"category_id": 0}, categories=root + kinds), tmp_path / "used.json"))
    assert len(used.categories) == 3
    other = [*root, *kinds, {"id": 3, "name": "dog", "supercategory": "animal"}]  # not the parent of all
    assert len(annotation_files.read(save(plain({}, categories=other), tmp_path / "other.json")).categories) == 4
    assert len(annotation_files.read(save(plain(categories=root + kinds), tmp_path / "none.json")).categories) == 3


def yolo(folder: Path, *lines: str) -> Path:
    save_image(folder / "images" / "a.png")
    (folder / "labels").mkdir(parents=True, exist_ok=True)
    (folder / "labels" / "a.txt").write_text("\n".join(lines) + "\n")
    (folder / "data.yaml").write_text("names: [cup]")
    return folder


def shares(*corners: float) -> str:
    return " ".join(f"{value / (8, 6)[place % 2]:.7f}" for place, value in enumerate(corners))


CUP_LINE = f"0 {shares(*square(1, 1, 5, 4))}"


def test_yolos_blank_lines_and_confidences(tmp_path: Path):
    result = annotation_files.read(yolo(tmp_path, "", CUP_LINE, "   ", f"{CUP_LINE} 0.87", ""))
    assert (len(result.annotations), result.repairs) == (2, {})
    assert [a.extra for a in result.annotations] == [None, {"score": 0.87}]
    for annotation in result.annotations:
        np.testing.assert_array_equal(rle.decode([annotation.amodal], SIZE)[0], CUP)


def test_yolos_boxes_are_named_as_such(tmp_path: Path):
    box = f"0 {shares(3, 2.5, 4, 3)}"  # middle, width, height
    folder = yolo(tmp_path, box, f"{box} 0.5")
    assert annotation_files.read(folder).repairs == {"box_only": 2}
    assert annotation_files.read(folder).annotations == []
    kept = annotation_files.read(folder, choices=BOXES).annotations
    np.testing.assert_array_equal(rle.decode([kept[0].amodal], SIZE)[0], CUP)
    assert kept[1].extra == {"score": 0.5}


def test_yolos_parts_joined_by_bridges(tmp_path: Path):
    """As ultralytics joins the parts of an object: there along a line, around the other part, and back."""
    first, second = [(1, 1), (3, 1), (3, 3), (1, 3)], [(5, 2), (7, 2), (7, 5), (5, 5)]
    joined = [*first[:3], *second, second[0], *first[2:], first[0]]
    result = annotation_files.read(yolo(tmp_path, f"0 {shares(*(value for point in joined for value in point))}"))
    expected = pixels("", ".##", ".##..##", ".....##", ".....##")
    np.testing.assert_array_equal(rle.decode([result.annotations[0].amodal], SIZE)[0], expected)


def test_negative_zeros_are_zeros(tmp_path: Path):
    line = "0 -0.0 -0 0.5 -0.000000 0.5 0.5 -0.0 0.5"
    whole = annotation_files.read(yolo(tmp_path / "yolo", line)).annotations[0]
    content = plain({"segmentation": [[-0.0, -0.0, 4, -0.0, 4, 3, -0.0, 3]], "bbox": [-0.0, -0.0, 4, 3], "area": 12})
    other = check(save(content, tmp_path / "in.json"))
    assert whole.amodal == other.repaired.annotations[0].amodal
    assert set(other.counts) <= {"images_unseen"}
    annotation_files.WRITERS["d2sa"](other.repaired, tmp_path / "out.json")
    assert "-0" not in (tmp_path / "out.json").read_text()


def test_results_of_other_tools(tmp_path: Path):
    """Ultralytics' and detectron2's files: run lengths as text, boxes of three decimals, fields of their own."""
    mask = rle.to_json(rle.encode(CUP[None])[0])
    ultralytics = detection("a", segmentation=mask, bbox=[1.0, 1.0, 4.0, 3.0], file_name="a.png")
    detectron2 = detection(10, segmentation=mask, bbox=[1.0, 1.0, 3.999, 3.001])
    known = annotation_files.read(save(copy.deepcopy(d2sa()), tmp_path / "truth.json"))
    for content in (ultralytics, detectron2):
        found = result_files.read(save([content], tmp_path / "r.json"), known, segmentation="visible")
        assert (found[0].image_id, found[0].visible is None, found[0].amodal) == (10, False, None)
    assert json.loads((tmp_path / "r.json").read_text())[0]["image_id"] == 10
