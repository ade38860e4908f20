"""The walk of docs/label-tools.md with each tool: label, check, train, predict, correct, train again."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import AnnotationSet, Category
from amodal.cli import main
from amodal.data.dataset import AnnotatedImages
from amodal.files import write_json
from amodal.formats import annotation_files, cvat_shapes
from amodal.formats.check import check
from amodal.formats.label_studio_brush import encode
from amodal.results import result_files
from amodal.results.result import Result
from tests.annotation_files import (
    CUP,
    CUP_POLYGON,
    CUP_SEEN,
    CUP_SEEN_POLYGON,
    JUG,
    JUG_POLYGON,
    SIZE,
    pixels,
    save,
    save_image,
    shape,
)
from tests.annotation_files import labelme as labelme_file

SEEN_AFTER = pixels("", ".#", ".#", ".#")
"""What a person says is seen of the cup, after looking at what was predicted."""


def labelled_in_labelme(folder: Path) -> Path:
    shapes = (
        shape("cup_amodal", CUP_POLYGON, 1),
        shape("cup_visible", CUP_SEEN_POLYGON, 1),
        shape("jug", JUG_POLYGON),
    )
    save(labelme_file(*shapes, image="../images/a.png"), folder / "labels" / "a.json")
    return folder / "labels"


def labelled_in_cvat(folder: Path) -> Path:
    shapes = "".join(
        f'<polygon label="{label}" points="{points}" z_order="{z}"/>'
        for label, points, z in (("cup", "1,1;5,1;5,4;1,4", 0), ("jug", "3,0;6,0;6,5;3,5", 1))
    )
    text = f'<annotations><image id="7" name="a.png" width="8" height="6">{shapes}</image></annotations>'
    (folder / "annotations.xml").write_text(text)
    return folder / "annotations.xml"


def labelled_in_label_studio(folder: Path) -> Path:
    drawn = {"cup_amodal": CUP_POLYGON, "cup_visible": CUP_SEEN_POLYGON, "jug": JUG_POLYGON}
    regions = [
        {
            "id": label,
            "type": "polygonlabels",
            "original_width": 8,
            "original_height": 6,
            "value": {
                "points": [[x / 0.08, y / 0.06] for x, y in zip(corners[0::2], corners[1::2], strict=True)],
                "polygonlabels": [label],
            },
        }
        for label, corners in drawn.items()
    ]
    task = {"id": 7, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"result": regions}]}
    return save([task], folder / "export.json")


def corrected_in_labelme(out: Path) -> None:
    path = out / "a.json"
    content = json.loads(path.read_text())
    for one in content["shapes"]:
        if one["label"] == "cup_visible":
            one["points"] = [[1, 1], [2, 1], [2, 4], [1, 4]]
    path.write_text(json.dumps(content))


def corrected_in_cvat(out: Path) -> None:
    """The jug is drawn a column wider, so that less is seen of the cup: nobody draws what is seen."""
    tree = ElementTree.parse(out)
    for mask in tree.getroot().iter("mask"):
        if mask.get("label") == "jug":
            wider = rle.encode(pixels(*["..####"] * 5)[None])[0]
            mask.attrib |= cvat_shapes.written(wider)
    tree.write(out)


def corrected_in_label_studio(out: Path) -> None:
    tasks = json.loads(out.read_text())
    for region in tasks[0]["annotations"][0]["result"]:
        if region.get("value", {}).get("brushlabels") == ["cup_visible"]:
            region["value"]["rle"] = encode(SEEN_AFTER)
    out.write_text(json.dumps(tasks))


Walk = tuple[str, Callable[[Path], Path], Callable[[Path], None]]
WALKS: list[Walk] = [
    ("labelme", labelled_in_labelme, corrected_in_labelme),
    ("cvat", labelled_in_cvat, corrected_in_cvat),
    ("label-studio", labelled_in_label_studio, corrected_in_label_studio),
]


def masks(annotation_set: AnnotationSet) -> dict[str, list[Any]]:
    names = {category.id: category.name for category in annotation_set.categories}
    return {names[a.category_id]: rle.decode([a.amodal, a.visible], SIZE).tolist() for a in annotation_set.annotations}


def predicted(folder: Path, known: AnnotationSet, photograph: Path) -> None:
    """What `amodal predict` writes, of a model that finds just what was labelled."""
    order = {"jug": 0, "cup": 1}
    categories = tuple(Category(number, name) for number, name in enumerate(order, start=1))
    found = {name: np.array(both, dtype=bool) for name, both in masks(known).items()}
    amodal, visible = (np.stack([found[name][kind] for name in order]) for kind in (0, 1))
    corners = rle.boxes(rle.encode(amodal))
    corners[:, 2:] += corners[:, :2]
    boxes, labels = corners.astype(np.float32), np.array([1, 2])
    result = Result(boxes, labels, np.array([0.9, 0.8], np.float32), categories, amodal, visible, np.array([0, 1]))
    result_files.write(result.to_detections(1), folder / "predictions.json")
    listed = [{"id": 1, "file_name": str(photograph), "height": 6, "width": 8, "picture": "a.jpg"}]
    write_json(
        folder / "images.json", {"images": listed, "categories": [{"id": 1, "name": "jug"}, {"id": 2, "name": "cup"}]}
    )


@pytest.mark.parametrize(("tool", "label", "correct"), WALKS, ids=[walk[0] for walk in WALKS])
def test_label_check_train_predict_correct_and_train_again(
    tool: str, label: Callable[[Path], Path], correct: Callable[[Path], None], tmp_path: Path
):
    photograph = save_image(tmp_path / "images" / "a.png")
    labels = label(tmp_path)
    looked_at = check(labels)
    assert looked_at.is_clean
    assert looked_at.counts == {}

    known = annotation_files.read(labels)
    expected = {"cup": [CUP.tolist(), CUP_SEEN.tolist()], "jug": [JUG.tolist(), JUG.tolist()]}
    assert masks(known) == expected
    assert known.image_folder is not None
    assert (known.image_folder / known.images[0].file_name).resolve() == photograph.resolve()

    target = AnnotatedImages(known)[0]["target"]  # what training gets
    both = [list(pair) for pair in zip(target["amodal_masks"].tolist(), target["visible_masks"].tolist(), strict=True)]
    assert both == [expected["cup"], expected["jug"]]

    predicted(tmp_path / "seen", known, photograph)
    assert masks(annotation_files.read(tmp_path / "seen")) == expected
    out = tmp_path / ("by-hand" if tool in annotation_files.FOLDERS else "by-hand.file")
    main(["convert", str(tmp_path / "seen"), str(out), "--to", tool])
    assert masks(annotation_files.read(out)) == expected

    correct(out)
    assert check(out).is_clean
    again = masks(annotation_files.read(out))
    assert again["cup"] == [CUP.tolist(), SEEN_AFTER.tolist()]
    main(["convert", str(out), str(tmp_path / "again.json"), "--to", "d2sa"])
    assert masks(annotation_files.read(tmp_path / "again.json")) == again


def test_predictions_keep_their_scores_and_depth(tmp_path: Path):
    photograph = save_image(tmp_path / "images" / "a.png")
    predicted(tmp_path / "seen", annotation_files.read(labelled_in_cvat(tmp_path)), photograph)
    found = annotation_files.read(tmp_path / "seen")
    assert [a.extra and round(a.extra["score"], 3) for a in found.annotations] == [0.9, 0.8]
    assert [a.depth_order for a in found.annotations] == [0, 1]
    assert (found.images[0].file_name, found.image_folder) == ("a.png", tmp_path / "images")
