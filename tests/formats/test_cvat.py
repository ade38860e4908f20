"""CVAT's XML "for images": shapes in layers are amodal labels; damaged files give one line."""

import random
import re
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files, cvat
from amodal.formats.check import check
from tests.annotation_files import CUP, CUP_SEEN, JUG, SIZE, d2sa, pixels, save

JUG_POINTS, CUP_POINTS = "3,0;6,0;6,5;3,5", "1,1;5.0,1;5,4;1,4"
CUP_BEHIND = f'<polygon label="cup" occluded="0" source="manual" points="{CUP_POINTS}" z_order="0"/>'
JUG_BEFORE = f'<polygon label="jug" occluded="0" source="manual" points="{JUG_POINTS}" z_order="3"/>'
LABELS = "<meta><task><labels><label><name>jug</name></label><label><name>cup</name></label></labels></task></meta>"


def file(*shapes: str, meta: str = LABELS, image: str = 'id="0" name="a.png" width="8" height="6"') -> str:
    return (
        f'<?xml version="1.0" encoding="utf-8"?><annotations><version>1.1</version>{meta}'
        f"<image {image}>{''.join(shapes)}</image></annotations>"
    )


def read(folder: Path, text: str) -> AnnotationSet:
    (folder / "annotations.xml").write_text(text, encoding="utf-8")
    return annotation_files.read(folder / "annotations.xml")


def masks(result: AnnotationSet, place: int = 0) -> np.ndarray:
    annotation = result.annotations[place]
    return rle.decode([annotation.amodal, annotation.visible], SIZE)


def test_layers_tell_what_is_seen_and_the_order_in_depth(tmp_path: Path):
    result = read(tmp_path, file(CUP_BEHIND, JUG_BEFORE))
    assert [(c.id, c.name) for c in result.categories] == [(1, "jug"), (2, "cup")]  # as the task lists them
    assert [(i.id, i.file_name, i.height, i.width) for i in result.images] == [(0, "a.png", 6, 8)]
    assert [(a.id, a.image_id, a.category_id, a.depth_order) for a in result.annotations] == [
        (1, 0, 2, 1),
        (2, 0, 1, 0),
    ]
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP_SEEN])
    np.testing.assert_array_equal(masks(result, 1), [JUG, JUG])
    assert annotation_files.contents(tmp_path).format == "cvat"  # the folder is the data set too


def test_three_layers_hide_one_another(tmp_path: Path):
    last = '<box label="cup" xtl="0" ytl="0" xbr="8" ybr="6" z_order="-1"/>'
    result = read(tmp_path, file(last, CUP_BEHIND, JUG_BEFORE))
    np.testing.assert_array_equal(masks(result, 0), [np.ones(SIZE, bool), ~(CUP | JUG)])
    assert [a.depth_order for a in result.annotations] == [2, 1, 0]
    assert result.repairs == {"box_as_mask": 1}


def test_one_layer_tells_nothing(tmp_path: Path):
    result = read(tmp_path, file(CUP_BEHIND, JUG_BEFORE.replace('"3"', '"0"')))
    np.testing.assert_array_equal(masks(result, 0), [CUP, CUP])
    assert [a.depth_order for a in result.annotations] == [None, None]


def test_a_brushs_mask_counts_rows_of_its_own_box(tmp_path: Path):
    drawn = pixels("", "", "..#.#", "..###", "...#.")
    rows = drawn[2:5, 2:5].ravel().astype(int)
    runs, value = [0], 0
    for pixel in rows:
        if pixel != value:
            runs.append(0)
            value = pixel
        runs[-1] += 1
    shape = f'<mask label="cup" rle="{", ".join(map(str, runs))}" left="2" top="2" width="3" height="3"/>'
    np.testing.assert_array_equal(masks(read(tmp_path, file(shape)))[0], drawn)


def test_boxes_and_ellipses_may_be_turned(tmp_path: Path):
    box = '<box label="cup" xtl="1" ytl="2" xbr="7" ybr="4" rotation="90.0"/>'  # about (4, 3): 2 wide, 6 high
    np.testing.assert_array_equal(masks(read(tmp_path, file(box)))[0], pixels(*["...##"] * 6))
    ellipse = '<ellipse label="cup" cx="4" cy="3" rx="3" ry="2"/>'
    assert 17 <= masks(read(tmp_path, file(ellipse)))[0].sum() <= 21  # 6 pi


def test_a_group_is_one_object_drawn_twice_or_in_parts(tmp_path: Path):
    seen = '<polygon label="cup" points="1,1;3,1;3,4;1,4" group_id="5" z_order="0"/>'
    whole = CUP_BEHIND.replace("/>", ' group_id="5"/>')
    np.testing.assert_array_equal(masks(read(tmp_path, file(whole, seen))), [CUP, CUP_SEEN])
    far = '<polygon label="cup" points="6,1;8,1;8,3;6,3" group_id="5"/>'
    np.testing.assert_array_equal(masks(read(tmp_path, file(whole, far)))[0], CUP | pixels("", "......##", "......##"))
    named = whole.replace('"cup"', '"cup_amodal"'), seen.replace('"cup"', '"cup_visible"')
    np.testing.assert_array_equal(masks(read(tmp_path, file(*named, meta=""))), [CUP, CUP_SEEN])


def test_attributes_and_the_images_own_fields_are_kept(tmp_path: Path):
    shape = CUP_BEHIND.replace("/>", '><attribute name="colour">red</attribute></polygon>')
    result = read(tmp_path, file(shape, image='id="4" name="a.png" width="8" height="6" subset="Train"'))
    assert result.annotations[0].extra == {"attributes": {"colour": "red"}}
    assert result.images[0].extra == {"subset": "Train"}
    cvat.write(result, tmp_path / "out.xml")
    assert annotation_files.read(tmp_path / "out.xml").annotations[0].extra == {"attributes": {"colour": "red"}}


def test_what_encloses_no_area_is_left_out_and_counted(tmp_path: Path):
    others = '<points label="cup" points="1,1"/>', '<polyline label="cup" points="1,1;2,2"/>', '<tag label="cup"/>'
    result = read(tmp_path, file(*others, JUG_BEFORE))
    assert len(result.annotations) == 1
    assert result.repairs == {"no_area": 3}
    assert check(tmp_path / "annotations.xml").counts["no_area"] == 3


def test_what_is_written_can_be_corrected_and_read_again(tmp_path: Path):
    """Layers carry what is seen: it need not be drawn, and follows a correction of what is in front."""
    given = annotation_files.read(save(d2sa(), tmp_path / "in.json"))
    cvat.write(given, tmp_path / "out.xml")
    root = ElementTree.parse(tmp_path / "out.xml").getroot()
    assert [m.get("label") for m in root.iter("mask")] == ["cup", "jug"]  # each once, the jug above
    assert [m.get("z_order") for m in root.iter("mask")] == ["0", "1"]
    jug = root.findall("image/mask")[1]
    jug.attrib |= {"left": "4", "width": "2", "height": "5", "top": "0", "rle": "0, 10"}  # a column less
    ElementTree.ElementTree(root).write(tmp_path / "corrected.xml")
    result = annotation_files.read(tmp_path / "corrected.xml")
    np.testing.assert_array_equal(masks(result, 0), [CUP, pixels("", ".###", ".###", ".###")])


def test_what_nothing_drawn_hides_is_drawn_twice(tmp_path: Path):
    content: dict[str, Any] = d2sa()
    content["annotations"] = content["annotations"][:1]
    cvat.write(annotation_files.read(save(content, tmp_path / "in.json")), tmp_path / "out.xml")
    drawn = list(ElementTree.parse(tmp_path / "out.xml").getroot().iter("mask"))
    assert [m.get("group_id") for m in drawn] == ["1", "1"]
    np.testing.assert_array_equal(masks(annotation_files.read(tmp_path / "out.xml")), [CUP, CUP_SEEN])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("<annotations>", "not valid XML"),
        ("<annotations/>", "no 'annotations' with an 'image'"),
        ("<annotation><image/></annotation>", "CVAT for images"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><annotations><image/></annotations>', "document type"),
        (file(CUP_BEHIND.replace("1,1;", "1;")), r"image 0 polygon 1: its points are not pairs"),
        (file(CUP_BEHIND.replace("1,1;", "nan,1;")), "holds NaN"),
        (file(CUP_BEHIND.replace(CUP_POINTS, "1,1;2,2")), "a polygon of 2 points"),
        (file(CUP_BEHIND.replace('label="cup"', "")), "no 'label'"),
        (file(CUP_BEHIND.replace('z_order="0"', 'z_order="up"')), "'z_order' is 'up'"),
        (file('<box label="cup" xtl="1"/>'), "'ytl' is None"),
        (file('<mask label="cup" rle="5" left="0" top="0" width="2" height="2"/>'), "do not add up to 2 x 2"),
        (file('<mask label="cup" rle="x" left="0" top="0" width="2" height="2"/>'), "not whole numbers"),
        (file('<mask label="cup" rle="4" left="7" top="0" width="2" height="2"/>'), "leaves the image"),
        (file('<mask label="cup" rle="4" left="inf" top="0" width="2" height="2"/>'), "'left' is inf"),
        (file(f'<mask label="cup" rle="{10**30}" left="0" top="0" width="2" height="2"/>'), "not whole numbers|add up"),
        (file(image='id="" name="a.png" width="8" height="6"'), "'id' is ''"),
        (file(image='id="0" name="a.png" width="-8" height="6"'), "no size of an image"),
    ],
)
def test_damage_is_one_line(text: str, message: str, tmp_path: Path):
    with pytest.raises(UserError) as caught:
        read(tmp_path, text)
    assert re.search(message, str(caught.value)), str(caught.value)
    assert str(caught.value).startswith(str(tmp_path / "annotations.xml"))
    assert "\n" not in str(caught.value)


def test_names_that_xml_cannot_hold_do_not_break_the_file(tmp_path: Path):
    content = d2sa()
    content["categories"] = [{"id": 2, "name": 'c\u0001up<&"'}, {"id": 5, "name": "Schüssel"}]
    cvat.write(annotation_files.read(save(content, tmp_path / "in.json")), tmp_path / "out.xml")
    assert [c.name for c in annotation_files.read(tmp_path / "out.xml").categories] == ['c?up<&"', "Schüssel"]


def test_files_with_a_wrong_character_are_read_or_give_one_line(tmp_path: Path):
    text = file(CUP_BEHIND, JUG_BEFORE, '<mask label="cup" rle="1, 3" left="2" top="2" width="2" height="2"/>')
    outcomes = set()
    for seed in range(400):
        rng = random.Random(seed)
        at = rng.randrange(len(text))
        path = tmp_path / "annotations.xml"
        path.write_text(text[:at] + rng.choice(["", "<", "9" * 5000, "-", '"', "é", "x", "\x00"]) + text[at + 1 :])
        try:
            annotation_files.read(path)
            outcomes.add("read")
        except UserError as error:
            outcomes.add("refused")
            assert "\n" not in str(error), str(error)
    assert outcomes == {"read", "refused"}
