"""Label Studio's export: regions in percent, its own brush masks, relations; what is damaged gives one line."""

import copy
import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.formats.label_studio_brush import decode, encode
from tests.annotation_files import CUP, CUP_SEEN, HEIGHT, JUG, SIZE, WIDTH, pixels, save, save_image, square

CORNERS = {"cup_amodal": square(1, 1, 5, 4), "cup_visible": square(1, 1, 3, 4), "jug": square(3, 0, 6, 5)}
ABOUT = {
    "original_width": WIDTH,
    "original_height": HEIGHT,
    "image_rotation": 0,
    "from_name": "label",
    "to_name": "image",
}


def polygon(label: str, identity: str = "", corners: list[float] | None = None, **more: Any) -> dict[str, Any]:
    corners = corners or CORNERS[label]
    points = [[100 * x / WIDTH, 100 * y / HEIGHT] for x, y in zip(corners[0::2], corners[1::2], strict=True)]
    value = {"points": points, "closed": True, "polygonlabels": [label]}
    return {"id": identity or label, "type": "polygonlabels", "value": value} | ABOUT | more


def region(kind: str, label: str = "cup", **value: Any) -> dict[str, Any]:
    return {"id": kind, "type": f"{kind}labels", "value": value | {f"{kind}labels": [label]}} | ABOUT


def task(*regions: Any, image: str = "/data/upload/1/1a2b3c4d-a.png", **more: Any) -> dict[str, Any]:
    return {"id": 41, "data": {"image": image}, "annotations": [{"id": 9, "result": list(regions)}]} | more


def read(folder: Path, *tasks: Any) -> AnnotationSet:
    return annotation_files.read(save(list(tasks), folder / "export.json"))


def masks(result: AnnotationSet, place: int = 0) -> np.ndarray:
    annotation = result.annotations[place]
    return rle.decode([annotation.amodal, annotation.visible], SIZE)


def test_polygons_in_percent_are_paired_by_their_endings(tmp_path: Path):
    result = read(tmp_path, task(polygon("cup_amodal"), polygon("cup_visible"), polygon("jug")))
    assert [(i.id, i.file_name, i.height, i.width) for i in result.images] == [(41, "1a2b3c4d-a.png", 6, 8)]
    assert [c.name for c in result.categories] == ["cup", "jug"]
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP_SEEN])
    np.testing.assert_array_equal(masks(result, 1), [JUG, JUG])
    assert annotation_files.contents(tmp_path / "export.json").format == "label-studio"


def test_a_relation_pairs_what_the_place_would_not(tmp_path: Path):
    """Two cups on one place: the visible part belongs to the one that it is related to."""
    both = polygon("cup_amodal", "a"), polygon("cup_amodal", "b", square(1, 1, 5, 4))
    seen = polygon("cup_visible", "c")
    relation = {"type": "relation", "from_id": "b", "to_id": "c", "direction": "right"}
    found = read(tmp_path, task(*both, seen, relation)).annotations
    assert sorted(rle.areas([a.visible])[0] for a in found) == [6, 12]
    other = polygon("jug", "d"), polygon("jug", "e", square(0, 0, 1, 1))
    relation = {"type": "relation", "from_id": "d", "to_id": "e"}
    assert len(read(tmp_path, task(*other, relation)).annotations) == 2  # no endings: two objects, whatever it means


def test_brush_masks_are_their_alpha(tmp_path: Path):
    brush = region("brush", "cup_amodal", format="rle", rle=encode(CUP))
    np.testing.assert_array_equal(masks(read(tmp_path, task(brush)))[0], CUP)


def test_a_packed_mask_in_full() -> None:
    """Two pixels, the second set: as the format's blocks of plain values have it, bit by bit."""
    bits = f"{8:032b}" + f"{7:05b}" + "0010001101111111"  # 8 values of 8 bits; counts of 3, 4, 8, 16 bits
    bits += "0" + "00" + "111" + "".join(f"{value:08b}" for value in (1, 2, 3, 0, 4, 5, 6, 200))
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]
    assert decode(packed, (1, 2)).tolist() == [[False, True]]


@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_packed_and_unpacked(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


def test_long_runs_take_several_blocks() -> None:
    mask = np.zeros((300, 300), bool)
    mask[10:280] = True
    np.testing.assert_array_equal(decode(encode(mask), mask.shape), mask)


def test_boxes_and_ellipses_turn_in_pixels_not_in_percent(tmp_path: Path):
    box = region("rectangle", x=100 * 4 / WIDTH, y=0, width=100 * 4 / WIDTH, height=100 * 2 / HEIGHT, rotation=90)
    result = read(tmp_path, task(box))  # 4 wide and 2 high, turned about its upper left corner (4, 0)
    np.testing.assert_array_equal(masks(result)[0], pixels(*["..##"] * 4))
    assert result.repairs == {"box_as_mask": 1}
    ellipse = region("ellipse", x=50, y=50, radiusX=100 * 3 / WIDTH, radiusY=100 * 2 / HEIGHT)
    assert 17 <= masks(read(tmp_path, task(ellipse)))[0].sum() <= 21  # 6 pi


def test_a_turned_picture_changes_nothing(tmp_path: Path):
    regions = [polygon("cup_amodal", image_rotation=90), polygon("cup_visible", image_rotation=90)]
    np.testing.assert_array_equal(masks(read(tmp_path, task(*regions))), [CUP, CUP_SEEN])


def test_labels_may_stand_in_an_entry_of_their_own(tmp_path: Path):
    shape = polygon("jug", "r1")
    label = shape | {"type": "labels", "value": {"labels": ["vase"]}}
    del shape["value"]["polygonlabels"]
    note = {"id": "r1", "type": "textarea", "value": {"text": ["nice"]}}
    result = read(tmp_path, task(shape | {"type": "polygon"}, label, note))
    assert ([c.name for c in result.categories], len(result.annotations)) == (["vase"], 1)


@pytest.mark.parametrize(
    ("image", "name"),
    [
        ("/data/upload/3/0123abcd-a.png", "a.png"),
        ("/data/local-files/?d=photos/a.png", "photos/a.png"),
        ("/data/local-files/?d=elsewhere/a.png", "a.png"),
        ("http://x/y/a.png?token=1", "a.png"),
        ("s3://bucket/a%20b.png", "a b.png"),
    ],
)
def test_the_image_is_found_under_the_name_that_it_had(image: str, name: str, tmp_path: Path):
    save_image(tmp_path / "images" / name)
    result = read(tmp_path, task(polygon("jug"), image=image))
    assert result.images[0].file_name == name
    assert result.image_folder == tmp_path / "images"


def test_the_size_of_a_task_without_regions_is_measured(tmp_path: Path):
    save_image(tmp_path / "a.png")
    assert [(i.height, i.width) for i in read(tmp_path, task(image="a.png")).images] == [(6, 8)]


def test_cancelled_and_second_annotations_and_predictions(tmp_path: Path):
    cancelled = {"was_cancelled": True, "result": [polygon("jug")]}
    first, second = {"result": [polygon("cup_amodal")]}, {"result": [polygon("jug")]}
    result = read(tmp_path, task(annotations=[cancelled, first, second]))
    assert [c.name for c in result.categories] == ["cup"]
    assert result.repairs == {"second_annotator": 1}
    assert len(read(tmp_path, task(annotations=[], predictions=[{"result": [polygon("jug")]}])).annotations) == 1


def test_what_is_written_is_corrected_and_read_again(tmp_path: Path):
    given = read(tmp_path, task(polygon("cup_amodal"), polygon("cup_visible"), polygon("jug")))
    annotation_files.WRITERS["label-studio"](given, tmp_path / "out.json")
    tasks = json.loads((tmp_path / "out.json").read_text())
    regions = tasks[0]["annotations"][0]["result"]
    assert [r.get("type") for r in regions] == ["brushlabels", "brushlabels", "relation", "brushlabels"]
    regions[1]["value"]["rle"] = encode(pixels("", ".#", ".#", ".#"))  # less is seen of the cup
    result = read(tmp_path, *tasks)
    np.testing.assert_array_equal(masks(result), [CUP, pixels("", ".#", ".#", ".#")])
    assert result.images[0].file_name == given.images[0].file_name


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([task(polygon("jug") | {"value": {"points": [[1], [2]], "polygonlabels": ["jug"]}})], "not pairs of numbers"),
        ([task(polygon("jug", corners=[1, 1, 2, 2]))], "task 41 region 1: a polygon of 2 points"),
        (
            [task(polygon("jug") | {"value": {"points": [[1e9, 1], [2, 2], [3, 3]], "polygonlabels": ["jug"]}})],
            "far outside",
        ),
        ([task(polygon("jug") | {"value": {"points": CORNERS["jug"]}})], "not pairs|no label"),
        ([task(polygon("cup_visible"))], "no shape 'cup_amodal' covers"),
        ([task(3, polygon("jug"))], "task 41 region 1: no 'type'"),
        ([task({"type": "polygonlabels"} | ABOUT)], "no 'value'"),
        ([task(region("rectangle", x=1, y="a", width=1, height=1))], "no numbers x, y, width, height"),
        ([task(region("rectangle", x=1, y=1, width=1, height=1, rotation="x"))], "its rotation is no number"),
        ([task(region("brush", rle=encode(CUP)[:-3]))], "cut short"),
        ([task(region("brush", rle=[1, 2]))], "cut short"),
        ([task(region("brush", rle="x"))], "no list of bytes"),
        ([task(region("brush", rle=[1, 256]))], "no list of bytes"),
        ([task(region("brush", rle=encode(np.ones((2, 2), bool))))], "16 values, the image 6 x 8 x 4"),
        ([task(polygon("jug", original_width=0))], "no size of an image"),
        ([task(polygon("jug"), id=[1])], r"'id' is \[1\]"),
        ([{"image": "a.png", "label": []}], "JSON-MIN"),
        ([1], "no annotation file"),
    ],
)
def test_damage_is_one_line(content: Any, message: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, *content)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert "\n" not in str(caught.value)


def test_points_and_vectors_are_left_out_and_counted(tmp_path: Path):
    result = read(tmp_path, task(polygon("jug"), region("keypoint", x=1, y=1, width=1), region("vector")))
    assert (len(result.annotations), result.repairs) == (1, {"no_area": 2})


def test_damaged_exports_are_read_or_give_one_line(tmp_path: Path):
    whole = [
        task(polygon("cup_amodal"), region("brush", rle=encode(CUP)), region("ellipse", x=1, y=1, radiusX=1, radiusY=1))
    ]
    junk = [None, True, -1, 1e300, float("nan"), 10**30, "", "x", [], [[]], {}, [1, 2, 3], "\u0000", -(2**63)]
    outcomes = set()
    for seed in range(500):
        rng = random.Random(seed)
        content = copy.deepcopy(whole)
        container, key = rng.choice(list(places(content)))
        container[key] = rng.choice(junk)
        try:
            read(tmp_path, *content)
            outcomes.add("read")
        except UserError as error:
            outcomes.add("refused")
            assert "\n" not in str(error)
    assert outcomes == {"read", "refused"}


def places(tree: Any) -> Any:
    for key, value in tree.items() if isinstance(tree, dict) else enumerate(tree):
        yield tree, key
        if isinstance(value, dict | list):
            yield from places(value)
