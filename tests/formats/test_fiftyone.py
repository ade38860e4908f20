"""FiftyOne's data sets on disk: what is written, what FiftyOne exports, and FiftyOne itself where it is installed.

FiftyOne wants other versions of our dependencies, so it has an environment of its own. With the path of its
interpreter, its own reader is tried:

    FIFTYONE_PYTHON=/path/to/python python -m pytest tests/formats/test_fiftyone.py
"""

import base64
import copy
import io
import json
import os
import random
import subprocess
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from benchmarks.fuzz.mutators import damage

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files, fiftyone
from amodal.formats.check import check
from amodal.formats.choices import Choices
from tests.annotation_files import CUP, CUP_SEEN, JUG, d2sa, save, save_image

OTHER = os.environ.get("FIFTYONE_PYTHON")
"""An interpreter that has FiftyOne."""


def written(folder: Path) -> AnnotationSet:
    """The cup behind the jug, written to `folder / "out"`."""
    save_image(folder / "images" / "a.png")
    given = annotation_files.read(save(d2sa(), folder / "in.json"), folder / "images")
    fiftyone.write(given, folder / "out")
    return given


def binary(pixels: np.ndarray) -> dict[str, Any]:
    """A mask as FiftyOne's documentation has it: NumPy's bytes, deflated, in MongoDB's extended JSON."""
    buffer = io.BytesIO()
    np.save(buffer, pixels)
    return {"$binary": {"base64": base64.b64encode(zlib.compress(buffer.getvalue())).decode(), "subType": "00"}}


def exported(folder: Path, *detections: dict[str, Any], field: str = "ground_truth", size: bool = True) -> Path:
    """What FiftyOne 1.22 exports of one image of 6 x 8 pixels, as far as it matters."""
    save_image(folder / "data" / "a.png")
    objects = [{"_id": {"$oid": "0" * 24}, "_cls": "Detection", "tags": [], "attributes": {}} | d for d in detections]
    metadata = {"_cls": "ImageMetadata", "size_bytes": 72, "mime_type": "image/png", "width": 8, "height": 6}
    sample = {
        "_id": {"$oid": "1" * 24},
        "filepath": "data/a.png",
        "_media_type": "image",
        "metadata": metadata if size else None,
        field: {"_cls": "Detections", "detections": objects},
    }
    save({"samples": [sample]}, folder / "samples.json")
    return save(
        {"name": "shelf", "version": "1.22.1", "default_classes": ["jug", "cup"]}, folder / "metadata.json"
    ).parent


def masks(annotation_set: AnnotationSet) -> dict[str, list[np.ndarray]]:
    names = {c.id: c.name for c in annotation_set.categories}
    return {names[a.category_id]: list(rle.decode([a.amodal, a.visible], (6, 8))) for a in annotation_set.annotations}


def test_what_the_format_states(tmp_path: Path):
    written(tmp_path)
    sample = json.loads((tmp_path / "out" / "samples.json").read_text())["samples"][0]
    assert sample["filepath"] == "data/a.png"
    assert (tmp_path / "out" / "data" / "a.png").is_file()
    cup, jug = sample["amodal"]["detections"]
    assert (cup["label"], cup["bounding_box"], cup["occlusion_rate"]) == ("cup", [1 / 8, 1 / 6, 4 / 8, 3 / 6], 0.5)
    assert (jug["label"], jug["index"], jug["depth_order"]) == ("jug", 9, 0)
    assert len(sample["visible"]["detections"]) == 2
    assert sample["visible"]["detections"][0]["bounding_box"] == [1 / 8, 1 / 6, 2 / 8, 3 / 6]


def test_a_box_is_never_cut_down_by_a_pixel():
    """FiftyOne takes the whole part of a share times the side, where 29 / 160 * 160 may be less than 29."""
    for side in (7, 120, 160, 481, 4032):
        for start in range(0, side, max(1, side // 97)):
            for length in range(1, side - start + 1, max(1, side // 53)):
                first, across = fiftyone.shares(start, length, side)
                assert (int(side * first), int(side * (first + across))) == (start, start + length)
                assert (round(side * first), round(side * across)) == (start, length)


@pytest.mark.parametrize("size", [True, False])
def test_what_fiftyone_exports_is_read(size: bool, tmp_path: Path):
    cup = {"label": "cup", "bounding_box": [1 / 8, 1 / 6, 0.5, 0.5], "mask": binary(CUP[1:4, 1:5]), "confidence": 0.5}
    small = {"label": "jug", "bounding_box": [0, 0, 0.5, 2 / 3], "mask": binary(np.array([[1, 0]], np.uint8) * 255)}
    found = annotation_files.read(exported(tmp_path, cup, small, size=size))
    assert (masks(found)["cup"][0] == CUP).all()
    stretched = np.zeros((6, 8), bool)
    stretched[:4, :2] = True  # two pixels over a box of four
    assert (masks(found)["jug"][1] == stretched).all()
    assert [c.name for c in found.categories] == ["jug", "cup"]
    assert [(a.id, a.extra) for a in found.annotations] == [(1, {"score": 0.5}), (2, None)]
    assert found.images[0].file_name == "a.png"


def test_boxes_without_masks_are_named_as_such(tmp_path: Path):
    folder = exported(tmp_path, {"label": "cup", "bounding_box": [1 / 8, 1 / 6, 0.5, 0.5]})
    assert annotation_files.read(folder).repairs == {"box_only": 1}
    kept = annotation_files.read(folder, choices=Choices(boxes_are_objects=True))
    assert (masks(kept)["cup"][0] == CUP).all()


def test_a_visible_mask_is_paired_by_its_index(tmp_path: Path):
    written(tmp_path)
    path = tmp_path / "out" / "samples.json"
    content = json.loads(path.read_text())
    content["samples"][0]["visible"]["detections"].reverse()
    save(content, path)
    assert (np.array(masks(annotation_files.read(path.parent))["cup"]) == [CUP, CUP_SEEN]).all()
    content["samples"][0]["visible"]["detections"][0]["index"] = 99
    save(content, path)
    assert check(path.parent).counts["unpaired"] == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": "no base64!"}, "its mask is damaged"),
        ({"mask": {"$binary": {"base64": "eJw="}}}, "its mask is"),
        ({"mask": binary(np.ones((2, 2, 2), bool))}, "no array of rows and columns"),
        ({"mask": 5}, "no text in base64"),
        ({"bounding_box": [0, 0, "1", 1]}, "not four shares"),
        ({"bounding_box": [0, 0, float("inf"), 1]}, "not four shares"),
        ({"label": None}, "no 'label'"),
        ({"label": ""}, "no 'label'"),
    ],
)
def test_damage_is_one_line(change: dict[str, Any], message: str, tmp_path: Path):
    cup = {"label": "cup", "bounding_box": [1 / 8, 1 / 6, 0.5, 0.5], "mask": binary(CUP[1:4, 1:5])}
    with pytest.raises(UserError, match=message):
        annotation_files.read(exported(tmp_path, cup | change))


def test_several_fields_are_named(tmp_path: Path):
    folder = exported(tmp_path, field="people")
    content = json.loads((folder / "samples.json").read_text())
    content["samples"][0]["animals"] = content["samples"][0]["people"]
    save(content, folder / "samples.json")
    with pytest.raises(UserError, match="several fields of objects: animals, people"):
        annotation_files.read(folder)


def test_damaged_folders_are_read_or_give_one_line(tmp_path: Path):
    """Wrong members anywhere, and bytes changed inside masks, which other tests of damage do not reach."""
    written(tmp_path)
    path, outcomes = tmp_path / "out" / "samples.json", Counter()
    whole = json.loads(path.read_text())
    for seed in range(400):
        rng, tree = random.Random(seed), copy.deepcopy(whole)
        if seed % 2:
            damage(tree, rng)
        else:
            mask = tree["samples"][0][rng.choice(["amodal", "visible"])]["detections"][0]["mask"]["$binary"]
            array = bytearray(zlib.decompress(base64.b64decode(mask["base64"])))
            array[rng.randrange(len(array))] = rng.randrange(256)
            mask["base64"] = base64.b64encode(zlib.compress(bytes(array))).decode()
        save(tree, path)
        try:
            found = annotation_files.read(path.parent)
        except UserError:
            outcomes["refused"] += 1
            continue
        outcomes["read"] += 1
        assert all(rle.areas([a.amodal])[0] for a in found.annotations)
        assert all(not rle.areas([rle.subtract(a.visible, a.amodal)])[0] for a in found.annotations)
    assert min(outcomes["read"], outcomes["refused"]) > 40


@pytest.mark.skipif(OTHER is None, reason="FIFTYONE_PYTHON names no interpreter with FiftyOne")
def test_fiftyone_itself_reads_it_and_what_it_exports_is_read(tmp_path: Path):
    written(tmp_path)
    command = [str(OTHER), str(Path(__file__).with_name("fiftyone_reader.py")), tmp_path / "out", tmp_path / "again"]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"} | {"FIFTYONE_DO_NOT_TRACK": "true"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=environment)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])["a.png"]
    assert (found["size"], found["classes"]) == ([6, 8], ["cup", "jug"])
    cup, jug = found["amodal"]
    assert cup == ["cup", 7, 0.5, [1 / 8, 1 / 6, 4 / 8, 3 / 6], CUP[1:4, 1:5].astype(int).tolist()]
    assert (jug[0], np.array(jug[-1]).sum()) == ("jug", JUG.sum())
    assert found["visible"][0][-1] == CUP_SEEN[1:4, 1:3].astype(int).tolist()
    assert [found["areas"][field] for field in ("amodal", "visible")] == [[12, JUG.sum()], [6, JUG.sum()]]
    again = masks(annotation_files.read(tmp_path / "again"))
    assert (np.array(again["cup"]) == [CUP, CUP_SEEN]).all()
    assert (np.array(again["jug"]) == [JUG, JUG]).all()
