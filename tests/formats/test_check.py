"""The check-up: every pitfall is found, counted, and mended where it can be; a mended file is clean."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal.cli import main
from amodal.commands.data import data_check
from amodal.errors import UserError
from amodal.formats import annotation_files, coco
from amodal.formats.check import NUM_EXAMPLES, CheckUp, check
from amodal.formats.problems import KINDS
from tests.annotation_files import (
    CUP,
    CUP_SEEN,
    cocoa,
    d2sa,
    image_entry,
    kins,
    kins2020,
    labelme,
    pixels,
    save,
    save_image,
    text_rle,
)


def checked(content: Any, folder: Path) -> CheckUp:
    if not (folder / "a.png").exists():
        save_image(folder / "a.png")
    return check(save(content, folder / "file.json"))


@pytest.mark.parametrize("content", [d2sa(), kins2020(), cocoa(), labelme()])
def test_a_sound_file_is_clean(content: Any, tmp_path: Path):
    result = checked(content, tmp_path)
    assert result.is_clean
    assert result.counts == {}


def test_an_empty_category_is_noted_and_still_clean(tmp_path: Path):
    result = checked(kins(), tmp_path)
    assert result.counts == {"category_empty": 1}
    assert result.is_clean


Change = Callable[[dict[str, Any]], object]


def cup(**keys: Any) -> Change:
    return lambda content: content["annotations"][0].update(keys)


def add(place: str, *records: Any) -> Change:
    return lambda content: content[place].extend(records)


OUTSIDE = text_rle(CUP_SEEN | pixels("##"))
CASES: dict[str, tuple[Change, dict[str, int]]] = {
    "bad_record": (cup(id=None), {"bad_record": 1, "category_empty": 1}),
    "unknown_image": (cup(image_id=99), {"unknown_image": 1, "category_empty": 1}),
    "unknown_category": (cup(category_id=99), {"unknown_category": 1, "category_empty": 1}),
    "bad_mask": (cup(segmentation={"size": [6, 8], "counts": "zz"}), {"bad_mask": 1, "category_empty": 1}),
    "mask_size": (cup(visible_mask=text_rle(np.ones((8, 6), bool))), {"mask_size": 1, "category_empty": 1}),
    "duplicate_image": (add("images", image_entry()), {"duplicate_image": 1}),
    "duplicate_category": (add("categories", {"id": 2, "name": "mug"}), {"duplicate_category": 1}),
    "duplicate_id": (cup(id=9), {"duplicate_id": 1}),
    "visible_outside": (cup(visible_mask=OUTSIDE), {"visible_outside": 1}),
    "amodal_empty": (
        cup(segmentation=text_rle(pixels()), visible_mask=None, invisible_mask=None),
        {"amodal_empty": 1, "category_empty": 1},
    ),
    "polygon_dropped": (
        cup(segmentation=[[1, 1, 5, 1, 5, 4, 1, 4], [0, 0, 1, 1]]),
        {"polygon_dropped": 1},
    ),
    "area": (cup(area=6 - 3), {"area": 1}),
    "area of the wrong type": (cup(area="12"), {"area": 1}),
    "box": (cup(bbox=[1, 1, 4, 6]), {"box": 1}),
    "box of the wrong type": (cup(bbox=[1, 1, None, 3]), {"box": 1}),
    "box of the wrong length": (cup(bbox=[1, 1, 4]), {"box": 1}),
    "occlusion_rate": (cup(occlude_rate=0.4), {"occlusion_rate": 1}),
    "occlusion rate that is no number": (cup(occlude_rate=float("nan")), {"occlusion_rate": 1}),
    "visible_empty": (cup(visible_mask=text_rle(pixels()), occlude_rate=1.0), {"visible_empty": 1}),
    "category_empty": (add("categories", {"id": 8, "name": "rider"}), {"category_empty": 1}),
    "image_missing": (add("images", image_entry(11, "b.png")), {"image_missing": 1}),
    "image_size": (add("images", image_entry(11, "small.png")), {"image_size": 1}),
    "image_damaged": (add("images", image_entry(11, "cut.png")), {"image_damaged": 1}),
    "damaged JPEG": (add("images", image_entry(11, "cut.jpg")), {"image_damaged": 1}),
    "no image at all": (add("images", image_entry(11, "text.png")), {"image_damaged": 1}),
    "image_empty": (add("images", image_entry(11, "whole.png")), {"image_empty": 1}),
}


def save_images(folder: Path) -> None:
    save_image(folder / "small.png", (3, 4))
    save_image(folder / "whole.png")
    for name in ("cut.png", "cut.jpg"):
        whole = save_image(folder / name).read_bytes()
        (folder / name).write_bytes(whole[: len(whole) - 20])
    (folder / "text.png").write_text("no image")


@pytest.mark.parametrize("name", CASES)
def test_each_pitfall_is_found_and_nothing_else(name: str, tmp_path: Path):
    change, counts = CASES[name]
    content = copy.deepcopy(d2sa())
    change(content)
    save_images(tmp_path)
    result = checked(content, tmp_path)
    assert dict(result.counts) == counts
    assert result.is_clean == all(KINDS[kind].outcome == "noted" for kind in counts)
    assert all(example.kind == kind for kind, examples in result.examples.items() for example in examples)


@pytest.mark.parametrize("name", CASES)
def test_what_is_mended_is_clean(name: str, tmp_path: Path):
    content = copy.deepcopy(d2sa())
    CASES[name][0](content)
    save_images(tmp_path)
    mended = checked(content, tmp_path).repaired
    coco.write(mended, tmp_path / "mended.json")
    again = check(tmp_path / "mended.json")
    assert again.is_clean
    assert again.repaired == mended
    assert annotation_files.read(tmp_path / "mended.json") == mended


@pytest.mark.parametrize("name", CASES)
def test_reading_refuses_mends_or_keeps_as_the_check_up_says(name: str, tmp_path: Path):
    change, counts = CASES[name]
    content = copy.deepcopy(d2sa())
    change(content)
    path = save(content, tmp_path / "file.json")
    outcomes = {kind: KINDS[kind].outcome for kind in counts if not kind.startswith("image_")}
    if "refused" in outcomes.values():
        with pytest.raises(UserError, match="amodal data check"):
            annotation_files.read(path)
    else:  # areas, boxes and rates are not even read
        derived = {"area", "box", "occlusion_rate"}
        assert set(annotation_files.read(path).repairs) == {k for k, v in outcomes.items() if v == "repaired"} - derived


def test_every_kind_has_a_case():
    found = {kind for _, counts in CASES.values() for kind in counts}
    # Of other formats: the tests below, and those of each format.
    elsewhere = {"second_annotator", "unpaired", "images_unseen", "no_area", "box_as_mask", "stuff_left_out"}
    elsewhere |= {"box_only", "crowd", "category_parent"}  # tests/test_formats_habits.py
    assert found | elsewhere == set(KINDS)


def test_kinds_of_other_formats(tmp_path: Path):
    twice = cocoa()
    twice["annotations"].append(twice["annotations"][0] | {"id": 2})
    assert checked(twice, tmp_path).counts == {"second_annotator": 1}
    lone = labelme({"label": "cup_visible", "points": [[0, 0], [3, 0], [3, 3]]})
    assert checked(lone, tmp_path).counts == {"unpaired": 1, "image_empty": 1}


def test_without_an_image_folder_the_check_up_says_so(tmp_path: Path):
    result = check(save(d2sa(), tmp_path / "file.json"))
    assert result.counts == {"images_unseen": 1}
    assert result.is_clean


def test_it_does_not_stop_at_the_first(tmp_path: Path):
    content = d2sa()
    content["annotations"] = [content["annotations"][0] | {"id": number, "category_id": 99} for number in range(8)]
    content["annotations"] += d2sa()["annotations"]
    result = checked(content, tmp_path)
    assert result.counts["unknown_category"] == 8
    assert len(result.examples["unknown_category"]) == NUM_EXAMPLES
    assert [a.id for a in result.repaired.annotations] == [7, 9]
    text = "\n".join(result.lines())
    assert "unknown_category" in text
    assert "annotation 4: category_id 99" in text
    assert f"and {8 - NUM_EXAMPLES} more" in text


def test_images_that_cannot_be_opened_take_their_annotations_with_them(tmp_path: Path):
    content = d2sa()
    content["images"] = [image_entry(), image_entry(11, "gone.png")]
    content["annotations"].append(content["annotations"][0] | {"id": 70, "image_id": 11})
    repaired = checked(content, tmp_path).repaired
    assert [image.id for image in repaired.images] == [10]
    assert [a.id for a in repaired.annotations] == [7, 9]


def test_the_command_tells_ci_by_its_status(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    save_image(tmp_path / "a.png")
    data_check(save(d2sa(), tmp_path / "good.json"))
    assert "nothing to mend" in capsys.readouterr().out
    bad = copy.deepcopy(d2sa())
    bad["annotations"][0] |= {"visible_mask": OUTSIDE, "area": 3}
    with pytest.raises(SystemExit) as caught:
        data_check(save(bad, tmp_path / "bad.json"), fix=tmp_path / "fixed.json")
    assert caught.value.code == 1
    assert "visible_outside" in capsys.readouterr().out
    data_check(tmp_path / "fixed.json")
    assert np.array_equal(
        annotation_files.read(tmp_path / "fixed.json").annotations,
        annotation_files.read(tmp_path / "good.json").annotations,
    )


def test_the_original_is_never_replaced(tmp_path: Path):
    path = save(d2sa(), tmp_path / "x.json")
    before = path.read_bytes()
    with pytest.raises(SystemExit) as caught:
        main(["data", "check", str(path), "--fix", str(path), "--overwrite"])
    assert caught.value.code == 2
    assert path.read_bytes() == before


def test_masks_that_differ_only_by_rounding_are_fine(tmp_path: Path):
    content = kins()
    content["annotations"][0] |= {"segmentation": [[1.2, 1.1, 4.9, 1.3, 4.8, 3.9, 1.1, 3.8]], "area": 9.8}
    content["annotations"][0]["inmodal_seg"] = text_rle(CUP & CUP_SEEN)
    assert not {"area", "box"} & set(checked(content, tmp_path).counts)


def test_the_wrong_image_folder_does_not_mend_everything_away(tmp_path: Path):
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match=r"none of its images was found.*--images"):
        data_check(save(d2sa(), tmp_path / "in.json"), images=tmp_path / "elsewhere", fix=tmp_path / "fixed.json")
    assert not (tmp_path / "fixed.json").exists()
