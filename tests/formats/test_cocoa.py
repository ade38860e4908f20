"""COCOA's regions: the three real records, the format's particulars, and matching them to COCO's objects."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.formats import annotation_files, cocoa_cls
from amodal.formats.check import check
from amodal.pictures import read_image
from tests.annotation_files import (
    CUP,
    CUP_SEEN,
    JUG,
    SIZE,
    cocoa,
    image_entry,
    kins,
    pixels,
    save,
    save_image,
    square,
    text_rle,
)
from tests.places import SHARED

SAMPLE = SHARED / "data" / "cocoa_sample"
needs_sample = pytest.mark.skipif(not SAMPLE.is_dir(), reason="the COCOA sample is not beside this checkout")


def read(content: Any, folder: Path) -> AnnotationSet:
    return annotation_files.read(save(content, folder / "file.json"))


def test_regions_are_objects_named_in_free_text(tmp_path: Path):
    result = read(cocoa(), tmp_path)
    names = [result.categories[result.label_of[a.category_id] - 1].name for a in result.annotations]
    assert names == ["jug", "coffee cup", "table"]
    assert [a.id for a in result.annotations] == [1, 2, 3]
    assert [a.depth_order for a in result.annotations] == [0, 1, 2]
    assert [a.is_stuff for a in result.annotations] == [False, False, True]
    masks = [rle.decode([a.amodal, a.visible], SIZE) for a in result.annotations[:2]]
    np.testing.assert_array_equal(masks, [[JUG, JUG], [CUP, CUP_SEEN]])


def test_of_several_annotators_the_first_is_read(tmp_path: Path):
    content = cocoa()
    content["annotations"].append(copy.deepcopy(content["annotations"][0]) | {"id": 2, "author": "y"})
    result = read(content, tmp_path)
    assert len(result.annotations) == 3
    assert result.repairs == {"second_annotator": 1}


def test_a_wholly_hidden_region(tmp_path: Path):
    content = cocoa()
    content["annotations"][0]["regions"][1] |= {"visible_mask": text_rle(pixels()), "invisible_mask": text_rle(CUP)}
    assert rle.areas([read(content, tmp_path).annotations[1].visible]).tolist() == [0]


@pytest.mark.parametrize("regions", [None, {}, [3], [{"name": "cup"}]])
def test_damaged_regions_are_named(regions: Any, tmp_path: Path):
    content = cocoa()
    content["annotations"][0]["regions"] = regions
    # Without regions at all the file is no longer known for COCOA's.
    message = "annotation 1 region 1" if isinstance(regions, list) else "regions|categories"
    with pytest.raises(UserError, match=message):
        read(content, tmp_path)


def test_a_single_record_has_its_image_beside_it(tmp_path: Path):
    save_image(tmp_path / "one.jpg")
    result = annotation_files.read(save(cocoa()["annotations"][0], tmp_path / "one.json"))
    assert result.images == [ImageRecord(10, "one.jpg", 6, 8)]
    assert result.image_folder == tmp_path


@needs_sample
def test_the_real_records():
    result = annotation_files.read(SAMPLE)
    assert [(image.id, image.file_name) for image in result.images] == [
        (188819, "1.jpg"),
        (343254, "2.jpg"),
        (6608, "3.jpg"),
    ]
    assert len(result.annotations) == 32
    assert result.repairs == {}
    for image in result.images:
        assert read_image(SAMPLE / image.file_name).shape == (image.height, image.width, 3)
        raw = json.loads((SAMPLE / image.file_name).with_suffix(".json").read_text())["regions"]
        ours = result.by_image[image.id]
        assert [a.depth_order for a in ours] == [region["order"] - 1 for region in raw]
        areas, seen = rle.areas([a.amodal for a in ours]), rle.areas([a.visible for a in ours])
        assert areas.tolist() == [region["area"] for region in raw]
        np.testing.assert_allclose(1 - seen / areas, [region["occlude_rate"] for region in raw], atol=1e-12)


@needs_sample
def test_the_real_records_have_nothing_to_mend():
    assert check(SAMPLE).counts == {}


@needs_sample
def test_the_real_records_one_by_one():
    assert [len(annotation_files.read(SAMPLE / f"{number}.json").annotations) for number in (1, 2, 3)] == [2, 11, 19]


def instances(*objects: tuple[int, np.ndarray, int]) -> dict[str, Any]:
    """A COCO instance file of (category id, modal mask, iscrowd)."""
    annotations = [
        {"id": place, "image_id": 10, "category_id": category, "iscrowd": crowd, "segmentation": text_rle(mask)}
        for place, (category, mask, crowd) in enumerate(objects, start=1)
    ]
    kinds = [{"id": 47, "name": "cup"}, {"id": 44, "name": "bottle"}]
    return {"images": [image_entry()], "categories": kinds, "annotations": annotations}


def matched(folder: Path, *objects: tuple[int, np.ndarray, int], min_iou: float = 0.5) -> list[tuple[int, int]]:
    """(annotation id, category id) of the regions that match the objects."""
    coco_objects = annotation_files.read(save(instances(*objects), folder / "instances.json"))
    result = cocoa_cls.match(read(cocoa(), folder), coco_objects, min_iou)
    assert result.categories == [Category(47, "cup"), Category(44, "bottle")]
    return [(a.id, a.category_id) for a in result.annotations]


def test_regions_take_the_category_of_the_object_whose_mask_they_show(tmp_path: Path):
    assert matched(tmp_path, (47, CUP_SEEN, 0), (44, JUG, 0)) == [(1, 44), (2, 47)]
    # What counts is the part that is seen: COCO's masks are of visible parts.
    assert matched(tmp_path, (47, CUP & ~CUP_SEEN, 0)) == []


def test_regions_without_an_object_and_crowds_and_stuff_are_left_out(tmp_path: Path):
    table = rle.decode([rle.from_polygons([square(0, 5, 8, 6)], SIZE)[0]], SIZE)[0]
    assert matched(tmp_path, (44, JUG, 0)) == [(1, 44)]
    assert matched(tmp_path, (44, JUG, 1)) == []
    assert matched(tmp_path, (47, table, 0)) == []
    assert matched(tmp_path) == []


def test_one_object_names_one_region_and_the_least_iou_holds(tmp_path: Path):
    most = JUG & pixels("########", "########", "########", "########")  # 12 of the jug's 15 pixels
    assert matched(tmp_path, (44, most, 0)) == [(1, 44)]
    assert matched(tmp_path, (44, most, 0), min_iou=0.81) == []
    assert matched(tmp_path, (44, most, 0), (47, JUG, 0)) == [(1, 47)]


def test_an_image_that_coco_does_not_list_keeps_nothing(tmp_path: Path):
    other = annotation_files.read(
        save({**kins(), "images": [image_entry(99)], "annotations": []}, tmp_path / "other.json")
    )
    assert cocoa_cls.match(read(cocoa(), tmp_path), other).annotations == []
