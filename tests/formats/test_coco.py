"""D2SA, COCOA-cls, KINS of both years, aistron's and plain COCO files: what each key means, every pitfall."""

import copy
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.formats import annotation_files, coco
from tests.annotation_files import (
    CUP,
    CUP_POLYGON,
    CUP_SEEN,
    CUP_SEEN_POLYGON,
    JUG,
    SIZE,
    aistron,
    d2sa,
    image_entry,
    kins,
    kins2020,
    pixels,
    save,
    save_image,
    square,
    text_rle,
)


def read(content: Any, folder: Path) -> AnnotationSet:
    return annotation_files.read(save(content, folder / "file.json"))


def masks(annotation_set: AnnotationSet, place: int) -> np.ndarray:
    """The amodal and visible mask of an annotation, bool (2, 6, 8)."""
    annotation = annotation_set.annotations[place]
    return rle.decode([annotation.amodal, annotation.visible], SIZE)


WITH_ORDER = [d2sa(), kins2020()]
ALL = [*WITH_ORDER, kins(), aistron(), aistron("amodal_seg", "visible_seg")]


@pytest.mark.parametrize("content", ALL)
def test_every_dialect_tells_the_same_scene(content: dict[str, Any], tmp_path: Path):
    result = read(content, tmp_path)
    assert result.images == [ImageRecord(10, "a.png", 6, 8)]
    assert result.categories[:2] == [Category(2, "cup", "thing"), Category(5, "jug", "thing")]
    assert [(a.id, a.image_id, a.category_id) for a in result.annotations] == [(7, 10, 2), (9, 10, 5)]
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP_SEEN])
    np.testing.assert_array_equal(masks(result, 1), [JUG, JUG])
    assert not any(a.is_crowd or a.is_stuff for a in result.annotations)
    assert result.repairs == {}


@pytest.mark.parametrize("content", WITH_ORDER)
def test_depth_order_counts_from_the_front(content: dict[str, Any], tmp_path: Path):
    assert [a.depth_order for a in read(content, tmp_path).annotations] == [1, 0]


def test_kins_2020_alone_means_nearest(tmp_path: Path):
    content = kins2020()
    content["annotations"][1]["ico_id"] = 0
    assert [a.depth_order for a in read(content, tmp_path).annotations] == [1, 0]


@pytest.mark.parametrize(
    ("content", "key"),
    [(d2sa(), "visible_mask"), (kins(), "inmodal_seg"), (kins2020(), "i_segm"), (aistron(), "visible_segm")],
)
def test_a_missing_visible_mask_means_fully_visible(content: dict[str, Any], key: str, tmp_path: Path):
    for absent in (False, True):
        changed = copy.deepcopy(content)
        if absent:
            del changed["annotations"][1][key]
        else:
            changed["annotations"][1][key] = None
        np.testing.assert_array_equal(masks(read(changed, tmp_path), 1), [JUG, JUG])


def test_a_lone_invisible_mask_tells_the_visible_one(tmp_path: Path):
    content = d2sa()
    del content["annotations"][0]["visible_mask"]
    np.testing.assert_array_equal(masks(read(content, tmp_path), 0), [CUP, CUP_SEEN])


def test_plain_coco_is_fully_visible(tmp_path: Path):
    content = kins()
    for record in content["annotations"]:
        del record["inmodal_seg"], record["inmodal_bbox"]
    result = read(content, tmp_path)
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP])
    assert annotation_files.contents(tmp_path / "file.json").format == "coco"


def test_formats_are_recognised_by_their_keys(tmp_path: Path):
    for name, content in [("d2sa", d2sa()), ("kins", kins()), ("kins2020", kins2020()), ("aistron", aistron())]:
        assert annotation_files.contents(save(content, tmp_path / f"{name}.json")).format == name


def test_encodings_may_differ_from_record_to_record(tmp_path: Path):
    content = d2sa()
    runs = rle.runs(rle.encode(CUP_SEEN[None])[0]).tolist()
    content["annotations"][0] |= {"segmentation": [CUP_POLYGON], "visible_mask": {"size": [6, 8], "counts": runs}}
    np.testing.assert_array_equal(masks(read(content, tmp_path), 0), [CUP, CUP_SEEN])
    np.testing.assert_array_equal(masks(read(content, tmp_path), 1), [JUG, JUG])


@pytest.mark.parametrize(("stated", "is_crowd"), [(False, False), (True, True), (0, False), (1, True), (None, False)])
def test_iscrowd_may_be_a_boolean(stated: object, is_crowd: bool, tmp_path: Path):
    content = d2sa()
    content["annotations"][0]["iscrowd"] = stated
    assert read(content, tmp_path).annotations[0].is_crowd is is_crowd


def test_an_empty_visible_mask_is_a_wholly_hidden_object(tmp_path: Path):
    content = d2sa()
    content["annotations"][0]["visible_mask"] = text_rle(pixels())
    np.testing.assert_array_equal(masks(read(content, tmp_path), 0), [CUP, pixels()])


def test_the_visible_mask_is_cut_to_the_amodal_one_and_counted(tmp_path: Path):
    content = d2sa()
    content["annotations"][0]["visible_mask"] = text_rle(CUP_SEEN | pixels("##"))
    result = read(content, tmp_path)
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP_SEEN])
    assert result.repairs == {"visible_outside": 1}


def test_an_empty_amodal_mask_is_dropped_and_counted(tmp_path: Path):
    content = d2sa()
    content["annotations"][0]["segmentation"] = [[1, 1, 2, 2, 3]]
    result = read(content, tmp_path)
    assert [a.id for a in result.annotations] == [9]
    assert result.repairs == {"polygon_dropped": 1, "visible_outside": 1, "amodal_empty": 1}


def test_a_second_use_of_an_id_gets_a_new_one(tmp_path: Path):
    content = d2sa()
    content["annotations"] += copy.deepcopy(content["annotations"])
    result = read(content, tmp_path)
    assert [a.id for a in result.annotations] == [7, 9, 10, 11]
    assert result.repairs == {"duplicate_id": 2}


def test_images_without_annotations_and_empty_categories_are_kept(tmp_path: Path):
    content = kins()
    content["images"].append(image_entry(11, "b.png"))
    result = read(content, tmp_path)
    assert [image.id for image in result.images] == [10, 11]
    assert result.by_image[11] == []
    assert result.label_of == {2: 1, 3: 2, 5: 3}


def broken(key: str, value: Any, place: str = "annotations") -> dict[str, Any]:
    content = d2sa()
    content[place] = copy.deepcopy(content[place])
    content[place][0][key] = value
    return content


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (broken("category_id", 99), r"annotation 7: category_id 99 is not in 'categories'.*amodal data check"),
        (broken("image_id", 99), r"annotation 7: image_id 99 is not in 'images'"),
        (broken("segmentation", None), r"annotation 7: no amodal mask"),
        (broken("segmentation", text_rle(np.ones((8, 6), bool))), r"annotation 7: mask size \[8, 6\]"),
        (broken("visible_mask", text_rle(np.ones((6, 9), bool))), r"annotation 7: mask size \[6, 9\]"),
        (broken("visible_mask", {"size": [6, 8], "counts": "zz"}), r"annotation 7: run lengths"),
        (broken("id", "seven"), r"annotation at place 0: 'id' is 'seven'"),
        (broken("id", True), r"'id' is True, not a whole number"),
        (broken("id", 2**63), r"'id' is 9223372036854775808, more than 64 bits hold"),
        (broken("height", 0, "images"), r"image 10: height 0 and width 8"),
        (broken("width", 10**9, "images"), r"image 10: height 6 and width 1000000000"),
        (broken("file_name", None, "images"), r"image 10: no 'file_name'"),
        (broken("name", None, "categories"), r"category 2: no 'name'"),
        (broken("id", 5, "categories"), r"category 5: 'jug' and 'cup' share it"),
        ({**d2sa(), "images": [image_entry(), image_entry(10, "b.png")]}, r"image 10: its id is also that of a.png"),
        ({**d2sa(), "annotations": [3]}, r"annotation at place 0: not a JSON object"),
        ({"images": []}, r"no list 'categories'"),
        ([], r"no JSON object"),
    ],
)
def test_unusable_records_give_one_line_that_names_file_record_and_way_out(content: Any, message: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        read(content, tmp_path)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "file.json"))
    assert caught.value.remedy


def test_sizes_that_are_not_stated_are_measured(tmp_path: Path):
    content = d2sa()
    content["images"] = [{"id": 10, "file_name": "a.png"}]
    with pytest.raises(UserError, match="cannot be opened to measure"):
        read(content, tmp_path)
    save_image(tmp_path / "a.png")
    assert read(content, tmp_path).images == [ImageRecord(10, "a.png", 6, 8)]


@pytest.mark.parametrize(
    ("file", "folder"),
    [
        ("x.json", "."),
        ("x.json", "images"),
        ("d2s_amodal_annotations_v1/D2S_amodal_validation.json", "d2s_amodal_images_v1/images"),
        ("annotations/x.json", "images"),
        ("KINS/instances_train.json", "KINS/training/image_2"),
        ("KINS/instances_val.json", "KINS/testing/image_2"),
        ("coco/amodal_annotations/x_train.json", "coco/train2014"),
        ("x.json", None),
    ],
)
def test_the_image_folder_is_found_where_the_archives_put_it(file: str, folder: str | None, tmp_path: Path):
    if folder is not None:
        save_image(tmp_path / folder / "a.png")
    if "KINS" in file:  # KITTI numbers both parts' images alike
        save_image(tmp_path / "KINS/training/image_2/a.png")
        save_image(tmp_path / "KINS/testing/image_2/a.png")
    found = annotation_files.read(save(d2sa(), tmp_path / file)).image_folder
    assert found == (None if folder is None else tmp_path / folder)


def test_an_image_folder_that_is_given_is_taken_or_must_exist(tmp_path: Path):
    path = save(d2sa(), tmp_path / "x.json")
    (tmp_path / "elsewhere").mkdir()
    assert annotation_files.read(path, tmp_path / "elsewhere").image_folder == tmp_path / "elsewhere"
    with pytest.raises(UserError, match="no such image folder"):
        annotation_files.read(path, tmp_path / "nowhere")


def test_what_is_written_is_d2sas_format_and_reads_back_the_same(tmp_path: Path):
    first = read(d2sa(), tmp_path)
    coco.write(first, tmp_path / "out.json")
    assert annotation_files.read(tmp_path / "out.json") == first
    written = json.loads((tmp_path / "out.json").read_text())
    cup, jug = written["annotations"]
    assert cup == d2sa()["annotations"][0] | {"iscrowd": 0}
    assert "invisible_mask" not in jug
    assert written["categories"] == d2sa()["categories"]


def test_visible_polygons_beside_amodal_run_lengths(tmp_path: Path):
    content = kins()
    content["annotations"][0]["inmodal_seg"] = [CUP_SEEN_POLYGON]
    np.testing.assert_array_equal(masks(read(content, tmp_path), 0), [CUP, CUP_SEEN])


def test_masks_never_leave_the_image(tmp_path: Path):
    content = kins()
    content["annotations"][0]["segmentation"] = [square(-4, -2, 20, 3)]
    assert masks(read(content, tmp_path), 0)[0].sum() == 3 * 8
