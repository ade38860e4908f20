"""What a file holds beyond masks and names: kept by every format that has a place for it, else said once."""

import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.commands.convert import convert
from amodal.commands.data import data_check
from amodal.data.merging import merge
from amodal.formats import annotation_files
from amodal.formats.losses import FIELDS, losses
from tests.annotation_files import CUP, CUP_SEEN, JUG, cocoa, d2sa, kins, kins2020, save, save_image

COCO_LIKE = ("d2sa", "coco-amodal", "coco-visible", "kins")
DOCUMENT = {"info": {"year": 2026}, "licenses": [{"id": 1, "name": "CC0"}], "dataset": "shelf"}
IMAGE = {"coco_url": "http://x/a.png", "license": 1}
ANNOTATION = {"attributes": {"colour": "red"}, "track_id": 4, "keypoints": [1, 2, 2], "num_keypoints": 1}
CATEGORY = {"keypoints": ["handle"], "skeleton": [[1, 1]]}


def rich(content: dict[str, Any], trailing: bool = False) -> dict[str, Any]:
    """A file with fields of all kinds that this package gives no meaning to."""
    content = copy.deepcopy(content)
    content["images"][0] |= IMAGE
    content["annotations"][0] |= ANNOTATION
    content["categories"][0] |= CATEGORY
    rest = {key: value for key, value in content.items() if key not in DOCUMENT}
    return rest | DOCUMENT if trailing else DOCUMENT | rest


def assert_kept(path: Path) -> None:
    content = json.loads(path.read_text())
    assert {key: content[key] for key in DOCUMENT} == DOCUMENT
    assert content["images"][0].items() >= IMAGE.items()
    assert content["annotations"][0].items() >= ANNOTATION.items()
    assert content["categories"][0].items() >= CATEGORY.items()


@pytest.mark.parametrize("trailing", [False, True])
@pytest.mark.parametrize("content", [d2sa(), kins(), kins2020()])
@pytest.mark.parametrize("to", COCO_LIKE)
def test_every_field_goes_through_coco_like_formats(to: Any, content: Any, trailing: bool, tmp_path: Path):
    convert(save(rich(content, trailing), tmp_path / "in.json"), tmp_path / "out.json", to=to)
    assert_kept(tmp_path / "out.json")
    convert(tmp_path / "out.json", tmp_path / "again.json", to="d2sa")
    assert_kept(tmp_path / "again.json")


def test_every_field_goes_through_the_check_up(tmp_path: Path):
    save_image(tmp_path / "a.png")
    content = rich(d2sa())
    content["annotations"][1]["area"] = 3
    with pytest.raises(SystemExit):
        data_check(save(content, tmp_path / "in.json"), fix=tmp_path / "out.json")
    assert_kept(tmp_path / "out.json")


def test_cocoa_keeps_fields_of_regions_images_and_the_file(tmp_path: Path):
    content = cocoa()
    content["images"][0] |= IMAGE
    content["annotations"][0]["regions"][0]["score"] = 0.5
    convert(save(content | DOCUMENT, tmp_path / "in.json"), tmp_path / "out.json", to="cocoa")
    written = json.loads((tmp_path / "out.json").read_text())
    assert written["images"][0].items() >= IMAGE.items()
    assert written["annotations"][0]["regions"][0]["score"] == 0.5
    assert {key: written[key] for key in DOCUMENT} == DOCUMENT


def test_files_read_together_keep_the_fields_of_both(tmp_path: Path):
    first = annotation_files.read(save(rich(d2sa()), tmp_path / "a.json"))
    second = annotation_files.read(save(d2sa() | {"contributor": "x"}, tmp_path / "b.json"))
    both = merge(first, second)
    assert both.document == DOCUMENT | {"contributor": "x"}
    assert both.annotations[0].extra and both.annotations[0].extra.items() >= ANNOTATION.items()


def test_nothing_extra_takes_no_memory(tmp_path: Path):
    content = d2sa()
    for key in ("amodal_region", "amodal_base"):
        del content["annotations"][0][key]
    found = annotation_files.read(save(content, tmp_path / "in.json"))
    assert [a.extra for a in found.annotations] == [None, None]
    assert found.images[0].extra is None


def everything() -> AnnotationSet:
    """One of each of what a format may have no place for."""
    cup, seen, jug, nothing = rle.encode(np.stack([CUP, CUP_SEEN, JUG, CUP & ~CUP]))
    annotations = [
        Annotation(7, 1, 3, cup, seen, depth_order=1, extra={"track_id": 4}),
        Annotation(8, 1, 3, jug, nothing, is_stuff=True),
        Annotation(9, 1, 3, jug, jug, is_crowd=True),
    ]
    image = ImageRecord(1, "a.png", 6, 8, {"coco_url": "http://x"})
    more = {"document": {"info": {}}, "category_fields": {3: {"skeleton": []}}}
    return AnnotationSet([image], annotations, [Category(3, "cup", "thing")], **more)  # type: ignore[arg-type]


def test_each_loss_is_counted_once():
    assert losses(everything(), frozenset(FIELDS)) == {}
    assert losses(everything(), frozenset()) == {
        "amodal mask beside the visible one": 2,
        "visible mask beside the amodal one": 2,
        "wholly hidden object": 1,
        "crowd": 1,
        "mark of a crowd": 1,
        "mark of stuff (isStuff)": 1,
        "depth order": 1,
        "annotation id": 3,
        "supercategory": 1,
        "'track_id' of the annotation": 1,
        "'coco_url' of the image": 1,
        "'skeleton' of the category": 1,
        "'info' of the file": 1,
    }
    assert "'track_id' of the annotation" not in losses(everything(), {"track_id"})


@pytest.mark.parametrize("to", list(annotation_files.WRITERS))
def test_what_is_declared_as_held_comes_back(to: str, tmp_path: Path):
    """Written and read again, a set has lost just what was said to be lost: nothing more, and nothing less."""
    save_image(tmp_path / "photos" / "a.png")
    given = everything()
    object.__setattr__(given, "image_folder", tmp_path / "photos")
    out = tmp_path / ("out" if to in annotation_files.FOLDERS else "out.json")
    annotation_files.WRITERS[to](given, out)
    back = annotation_files.read(out)
    holds = annotation_files.WRITERS[to].holds
    # Of what comes back, all is of a kind that the format says to hold: YOLO cannot give back a crowd that it left out.
    assert {name for name, (_, count) in FIELDS.items() if count(back)} <= holds | {"ids", "amodal", "visible"}
    kept = {"depth_order", "stuff", "supercategories"} & holds
    kept |= {"hidden_objects"} & holds if "visible" in holds else set()
    kept |= {"crowd_marks"} & holds if "crowds" in holds else set()
    for name in kept:  # COCOA numbers all objects of an image in depth, also those without an order
        assert FIELDS[name][1](back) >= FIELDS[name][1](given), name
    if "amodal" in holds and "visible" in holds and "crowds" in holds:
        assert FIELDS["visible"][1](back) == 2
    if "annotation_fields" in holds:
        assert any((a.extra or {}).get("track_id") == 4 for a in back.annotations)
    if "image_fields" in holds:
        assert (back.images[0].extra or {}).get("coco_url") == "http://x"


def test_a_conversion_says_once_what_it_drops(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content = rich(d2sa())
    content["annotations"][1]["isStuff"] = 1
    path = save(content, tmp_path / "in.json")
    convert(path, tmp_path / "out.json", to="kins")
    assert "kins has no place for: mark of stuff (isStuff) (1), depth order (2)\n" in capsys.readouterr().out
    convert(path, tmp_path / "labels", to="labelme")
    said = capsys.readouterr().out
    assert said.count("has no place for") == 1
    assert "'track_id' of the annotation (1)" in said
    convert(path, tmp_path / "all.json", to="d2sa")
    assert "no place" not in capsys.readouterr().out


@pytest.mark.parametrize(("mask", "cup", "count"), [("amodal", CUP, 3), ("visible", CUP_SEEN, 2)])
def test_plain_coco_has_one_mask_an_object(mask: str, cup: np.ndarray, count: int, tmp_path: Path):
    annotation_files.WRITERS[f"coco-{mask}"](everything(), tmp_path / "x.json")
    written = json.loads((tmp_path / "x.json").read_text())
    first, *_, crowd = written["annotations"]
    assert len(written["annotations"]) == count
    assert isinstance(first["segmentation"], list)
    assert isinstance(crowd["segmentation"], dict)
    assert not {"visible_mask", "occlude_rate"} & set(first)
    back = annotation_files.read(tmp_path / "x.json").annotations[0]
    assert np.array_equal(rle.decode([back.amodal, back.visible], (6, 8)), [cup, cup])
    assert (first["area"], first["bbox"]) == (int(cup.sum()), rle.boxes([back.amodal])[0].tolist())
