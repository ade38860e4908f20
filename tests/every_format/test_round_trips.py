"""Written and read again: every mask to the pixel, and all else that a format has a place for."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.formats import annotation_files, coco, cocoa, cvat, kins, label_studio, labelme, yolo
from tests.annotation_files import CUP, CUP_SEEN, JUG, d2sa, pixels, save, save_image

NAMES = ["cup", "jug", "tea pot", "Schüssel"]


@st.composite
def annotation_sets(draw: st.DrawFn) -> AnnotationSet:
    """Two images of objects with any masks: holes, pieces, wholly hidden, crowds; ids in any order."""
    images = [ImageRecord(30, "a.png", 6, 9), ImageRecord(4, "sub/b.png", 8, 5)]
    categories = [Category(3, NAMES[0], "thing"), Category(90, NAMES[1], ""), Category(7, NAMES[2], "")]
    annotations = []
    for identity in draw(st.lists(st.integers(1, 500), unique=True, max_size=5)):
        image = draw(st.sampled_from(images))
        amodal = draw(arrays(bool, (image.height, image.width)))
        amodal[draw(st.integers(0, image.height - 1)), draw(st.integers(0, image.width - 1))] = True
        visible = amodal & draw(arrays(bool, amodal.shape))
        masks = rle.encode(np.stack([amodal, visible]))
        category = draw(st.sampled_from(categories)).id
        annotations.append(Annotation(identity, image.id, category, *masks, is_crowd=draw(st.booleans())))
    order = list(range(len(annotations)))
    ordered = [
        replace(a, depth_order=place) for a, place in zip(annotations, draw(st.permutations(order)), strict=True)
    ]
    return AnnotationSet(images, ordered, categories)


def told(annotation_set: AnnotationSet, *fields: str) -> list[tuple[object, ...]]:
    """Per annotation: image's name, category's name, the fields asked for and both masks; sorted."""
    images = {image.id: image.file_name for image in annotation_set.images}
    names = {category.id: category.name for category in annotation_set.categories}
    return sorted(
        (
            images[a.image_id],
            names[a.category_id],
            *(getattr(a, field) for field in fields),
            a.amodal["counts"],
            a.visible["counts"],
        )
        for a in annotation_set.annotations
    )


def there_and_back(
    annotation_set: AnnotationSet, write: Callable[[AnnotationSet, Path], None], path: Path
) -> AnnotationSet:
    write(annotation_set, path)
    result = annotation_files.read(path)
    assert set(result.repairs) <= {"crowd"}
    return result


quick = settings(max_examples=40)


@quick
@given(annotation_sets())
def test_d2sa_holds_everything(tmp_path: Path, annotation_set: AnnotationSet):
    assert there_and_back(annotation_set, coco.write, tmp_path / "x.json") == annotation_set


@quick
@given(annotation_sets())
def test_kins_holds_all_but_the_order(tmp_path: Path, annotation_set: AnnotationSet):
    result = there_and_back(annotation_set, kins.write, tmp_path / "x.json")
    without = [replace(a, depth_order=None) for a in annotation_set.annotations]
    assert result == replace(annotation_set, annotations=without)


@quick
@given(annotation_sets())
def test_cocoa_holds_masks_names_and_order(tmp_path: Path, annotation_set: AnnotationSet):
    result = there_and_back(annotation_set, cocoa.write, tmp_path / "x.json")
    assert told(result, "depth_order") == told(annotation_set, "depth_order")
    assert result.images == annotation_set.images


@quick
@given(annotation_sets())
def test_labelme_holds_masks_and_names(tmp_path_factory: pytest.TempPathFactory, annotation_set: AnnotationSet):
    result = there_and_back(annotation_set, labelme.write, tmp_path_factory.mktemp("labelme"))
    assert told(result) == told(annotation_set)


@quick
@given(annotation_sets())
def test_label_studio_holds_masks_names_and_image_ids(tmp_path: Path, annotation_set: AnnotationSet):
    result = there_and_back(annotation_set, label_studio.write, tmp_path / "x.json")
    assert told(result) == told(annotation_set)
    named = {i.id: i.file_name for i in annotation_set.images if annotation_set.by_image[i.id]}
    assert {i.id: i.file_name for i in result.images if i.id in named} == named


@quick
@given(annotation_sets())
def test_cvat_holds_masks_names_and_the_places_in_depth(tmp_path: Path, annotation_set: AnnotationSet):
    """Whatever hides what: the visible masks here follow from no order at all."""
    result = there_and_back(annotation_set, cvat.write, tmp_path / "x.xml")
    assert told(result) == told(annotation_set)
    assert [(i.id, i.file_name, i.height, i.width) for i in result.images] == [
        (i.id, i.file_name, i.height, i.width) for i in annotation_set.images
    ]
    for image in annotation_set.images:
        orders = sorted(a.depth_order for a in annotation_set.by_image[image.id] if a.depth_order is not None)
        place_of = {a.amodal["counts"] + a.visible["counts"]: a.depth_order for a in result.by_image[image.id]}
        for a in annotation_set.by_image[image.id]:
            same = [b for b in annotation_set.by_image[image.id] if (b.amodal, b.visible) == (a.amodal, a.visible)]
            if len(same) == 1 and a.depth_order is not None:
                assert place_of[a.amodal["counts"] + a.visible["counts"]] == orders.index(a.depth_order)


@quick
@given(annotation_sets(), st.sampled_from(["amodal", "visible"]))
def test_yolo_holds_one_mask_and_the_name(
    tmp_path_factory: pytest.TempPathFactory, annotation_set: AnnotationSet, mask: str
):
    folder = tmp_path_factory.mktemp("yolo")
    for image in annotation_set.images:
        save_image(folder / "photos" / image.file_name, (image.height, image.width))
    placed = replace(annotation_set, image_folder=folder / "photos")
    result = there_and_back(placed, annotation_files.WRITERS[f"yolo-{mask}"], folder / "out")
    kept = [
        replace(a, amodal=getattr(a, mask), visible=getattr(a, mask))
        for a in annotation_set.annotations
        if not a.is_crowd and rle.areas([getattr(a, mask)])[0]
    ]
    assert told(result) == told(replace(annotation_set, annotations=kept))


def test_what_cocoas_format_states(tmp_path: Path):
    cocoa.write(annotation_files.read(save(d2sa(), tmp_path / "in.json")), tmp_path / "out.json")
    record = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert record["depth_constraint"] == "1-2"  # the jug, first, is in front of the cup
    cup, jug = record["regions"]
    assert (cup["name"], cup["order"], cup["area"], cup["occlude_rate"]) == ("cup", 2, 12, 0.5)
    assert (jug["name"], jug["order"], jug["isStuff"], jug["segmentation"]) == ("jug", 1, 0, [3, 0, 6, 0, 6, 5, 3, 5])
    assert "visible_mask" in cup
    assert "visible_mask" not in jug


def test_objects_without_a_depth_order_come_last_in_cocoa(tmp_path: Path):
    cup, jug = (rle.encode(np.stack([mask, mask])) for mask in (CUP_SEEN, JUG))
    image, kind = ImageRecord(1, "a.png", 6, 8), Category(1, "cup")
    annotations = [Annotation(1, 1, 1, *cup), Annotation(2, 1, 1, *jug, depth_order=4)]
    result = there_and_back(AnnotationSet([image], annotations, [kind]), cocoa.write, tmp_path / "x.json")
    assert [a.depth_order for a in result.annotations] == [5, 4]


def test_what_kins_format_states(tmp_path: Path):
    kins.write(annotation_files.read(save(d2sa(), tmp_path / "in.json")), tmp_path / "out.json")
    cup = json.loads((tmp_path / "out.json").read_text())["annotations"][0]
    assert cup["segmentation"] == [[1, 1, 5, 1, 5, 4, 1, 4]]
    assert (cup["bbox"], cup["inmodal_bbox"], cup["area"]) == ([1, 1, 4, 3], [1, 1, 2, 3], 12)


def test_what_yolos_format_states(tmp_path: Path):
    yolo.write(annotation_files.read(save(d2sa(), tmp_path / "in.json")), tmp_path / "out", "visible")
    first, second = (tmp_path / "out" / "labels" / "a.txt").read_text().splitlines()
    assert first == "0 0.125 0.1666667 0.375 0.1666667 0.375 0.6666667 0.125 0.6666667"
    assert second.startswith("1 ")
    assert '  0: "cup"\n  1: "jug"\n' in (tmp_path / "out" / "data.yaml").read_text()


@pytest.mark.parametrize("write", [labelme.write, yolo.write])
@pytest.mark.parametrize("name", ["../a.png", "/a.png", "sub/../../a.png", "..\\a.png", ""])
def test_nothing_is_written_outside_the_folder(write: Callable[..., None], name: str, tmp_path: Path):
    with pytest.raises(UserError, match="leaves its folder"):
        write(AnnotationSet([ImageRecord(1, name, 6, 8)], [], []), tmp_path / "out")
    assert not (tmp_path / "a.json").exists()


def test_labelme_keeps_a_wholly_hidden_object_by_its_flag(tmp_path: Path):
    masks = rle.encode(np.stack([CUP, pixels()]))
    hidden = AnnotationSet([ImageRecord(1, "a.png", 6, 8)], [Annotation(1, 1, 1, *masks)], [Category(1, "cup")])
    assert told(there_and_back(hidden, labelme.write, tmp_path / "out")) == told(hidden)
