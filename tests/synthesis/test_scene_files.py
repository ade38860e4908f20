"""`amodal synth`: the files it writes, read back by this package and by pycocotools."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image
from pycocotools import mask as codec
from pycocotools.coco import COCO

from amodal.annotations import Category
from amodal.commands.declared import checked
from amodal.commands.synth import SceneOutput, SceneParts, synth
from amodal.errors import UserError
from amodal.formats import annotation_files, coco
from amodal.synthesis import scene_files
from amodal.synthesis.backgrounds import PlainBackgrounds
from amodal.synthesis.composition import compose, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.scene_files import SceneSeries, write_scenes
from amodal.synthesis.shapes import DRAWINGS, DrawnCutOuts

# pycocotools' decoder still hands numpy an array without the `copy` keyword.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept:DeprecationWarning")

SMALL = SceneConfig(size=(64, 80), num_objects=(3, 5), min_visible_area=20)
PLAIN = SceneParts(backgrounds="plain", split="val")


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scenes")
    synth(SceneOutput(out, count=6, seed=5, image_format="png"), PLAIN, SMALL, workers=1)
    return out


def test_pycocotools_and_this_package_read_what_was_composed(written: Path):
    coco, ours = COCO(str(written / "annotations.json")), annotation_files.read(written / "annotations.json")
    source = DrawnCutOuts("val")
    assert [c["name"] for c in coco.loadCats(coco.getCatIds())] == list(DRAWINGS)
    for index in range(6):
        scene = compose(source, PlainBackgrounds(), SMALL, scene_rng(5, index))
        record = coco.loadImgs(index + 1)[0]
        assert (record["file_name"], record["height"], record["width"]) == (f"{index:06d}.png", 64, 80)
        with Image.open(written / "images" / record["file_name"]) as image:
            assert_array_equal(np.asarray(image), scene.image)
        annotations = coco.loadAnns(coco.getAnnIds(index + 1))
        assert_array_equal(np.stack([coco.annToMask(a) for a in annotations]), scene.amodal)
        assert_array_equal(np.stack([codec.decode(a["visible_mask"]) for a in annotations]), scene.visible)
        assert [a["category_id"] for a in annotations] == scene.labels.tolist()
        assert [a["occl_depth"] for a in annotations] == scene.depth_order.tolist()
        for annotation, amodal, visible, box in zip(annotations, scene.amodal, scene.visible, scene.boxes, strict=True):
            left, top, width, height = annotation["bbox"]
            assert [left, top, left + width, top + height] == box.tolist()
            assert annotation["area"] == amodal.sum()
            assert annotation["occlude_rate"] == pytest.approx(1 - visible.sum() / amodal.sum())
        assert len(ours.by_image[index + 1]) == len(annotations)
    assert len({a["id"] for a in coco.dataset["annotations"]}) == len(coco.dataset["annotations"])


def test_the_number_of_processes_does_not_change_the_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(scene_files, "SCENES_A_PROCESS", 2)
    for workers in (1, 2):
        output = SceneOutput(tmp_path / str(workers), count=6, seed=1)
        synth(output, PLAIN, SMALL, workers=workers)
    first, second = (sorted(p for p in (tmp_path / n).rglob("*") if p.is_file()) for n in ("1", "2"))
    assert len(first) == 7
    for one, other in zip(first, second, strict=True):
        assert one.name == other.name
        assert one.read_bytes() == other.read_bytes()


def test_scenes_of_a_seed_do_not_depend_on_how_many_there_are(written: Path, tmp_path: Path):
    synth(SceneOutput(tmp_path, count=2, seed=5, image_format="png"), PLAIN, SMALL, workers=1)
    for name in ("000000.png", "000001.png"):
        assert (tmp_path / "images" / name).read_bytes() == (written / "images" / name).read_bytes()


def test_composed_scenes_serve_as_cut_outs_with_their_categories_kept(tmp_path: Path):
    large = SceneConfig(size=(200, 240), num_objects=(3, 4))
    synth(SceneOutput(tmp_path / "first", count=2), PLAIN, large, workers=1)
    path = tmp_path / "first" / "annotations.json"
    content = json.loads(path.read_text())
    for entry in (*content["categories"], *content["annotations"]):
        entry["id" if "name" in entry else "category_id"] *= 10
    path.write_text(json.dumps(content))
    parts = SceneParts(cutouts=str(path), backgrounds="plain")
    synth(SceneOutput(tmp_path, count=3), parts, SMALL, workers=1)
    again = annotation_files.read(tmp_path / "annotations.json")
    assert [category.id for category in again.categories] == [10 * i for i in range(1, len(DRAWINGS) + 1)]
    assert {a.category_id for a in again.annotations} <= {a["category_id"] for a in content["annotations"]}


def test_mistakes_are_refused_before_anything_is_written(written: Path, tmp_path: Path):
    before = (written / "annotations.json").read_bytes()
    with pytest.raises(UserError, match=r"annotations\.json: is there already.*--overwrite"):
        checked(synth)(SceneOutput(written, count=1), PLAIN, SMALL, workers=1)
    assert (written / "annotations.json").read_bytes() == before
    out = tmp_path / "new"
    with pytest.raises(UserError, match="no such folder of cut-outs"):
        synth(SceneOutput(out), SceneParts(cutouts=str(tmp_path / "nowhere")))
    with pytest.raises(UserError, match="no such file"):
        synth(SceneOutput(out), SceneParts(cutouts=str(tmp_path / "nowhere.json")))
    with pytest.raises(UserError, match="no such folder of backgrounds"):
        synth(SceneOutput(out), SceneParts(backgrounds=str(tmp_path / "nowhere")))
    assert not out.exists()


def test_a_folder_of_images_is_not_mixed_with_scenes(tmp_path: Path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000000.jpg").write_bytes(b"a photograph")
    (tmp_path / "images" / "other.jpg").write_bytes(b"another")
    with pytest.raises(UserError, match=r"000000\.jpg: is there already \(and 1 more .*--overwrite"):
        checked(synth)(SceneOutput(tmp_path, count=1), PLAIN, SMALL, workers=1)
    assert (tmp_path / "images" / "000000.jpg").read_bytes() == b"a photograph"
    backgrounds = SceneParts(backgrounds=str(tmp_path / "images"))
    with pytest.raises(UserError, match="lies in a folder that is read"):
        checked(synth)(SceneOutput(tmp_path, count=1, overwrite=True), backgrounds, SMALL, workers=1)


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("image_format", ["png", "jpg"])
def test_overwriting_replaces_all_scenes_and_nothing_else(tmp_path: Path, image_format: Any):
    for count, seed in ((4, 0), (2, 1)):
        output = SceneOutput(tmp_path / "scenes", count, seed, image_format=image_format, overwrite=True)
        synth(output, PLAIN, SMALL, workers=1)
        (tmp_path / "scenes" / "images" / "mine.jpg").write_bytes(b"no scene")
    fresh = SceneOutput(tmp_path / "fresh", count=2, seed=1, image_format=image_format)
    synth(fresh, PLAIN, SMALL, workers=1)
    assert files(tmp_path / "scenes") == files(tmp_path / "fresh") | {"images/mine.jpg": b"no scene"}


def test_pictures_that_are_no_scenes_stay(tmp_path: Path):
    """Numbered, and listed in annotations of that name, as in a data set of somebody's own."""
    content = {"images": [{"id": 7, "file_name": "000003.png", "height": 6, "width": 8}], "categories": []}
    (tmp_path / "annotations.json").write_text(json.dumps(content | {"annotations": []}))
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "000003.png").write_bytes(b"a photograph")
    synth(SceneOutput(tmp_path, count=1, overwrite=True), PLAIN, SMALL, workers=1)
    assert (tmp_path / "images" / "000003.png").read_bytes() == b"a photograph"


@pytest.mark.parametrize("there", [False, True])
def test_where_the_annotations_cannot_be_written_all_stays(there: bool, tmp_path: Path, monkeypatch):
    out = tmp_path / "new" / "scenes"
    if there:
        synth(SceneOutput(out, count=3), PLAIN, SMALL, workers=1)
    before = files(tmp_path)

    def full(*_: object) -> None:
        raise UserError("no space left")

    monkeypatch.setattr(coco, "write", full)
    with pytest.raises(UserError, match="no space left"):
        synth(SceneOutput(out, count=2, seed=1, overwrite=True), PLAIN, SMALL, workers=1)
    assert files(tmp_path) == before
    assert [path.name for path in tmp_path.iterdir()] == (["new"] if there else [])


def test_scenes_in_which_nothing_fits_are_an_error(tmp_path: Path):
    config = SceneConfig(size=(32, 32), min_visible_area=1025)
    series = SceneSeries(DrawnCutOuts(side=32), PlainBackgrounds(), config, 0, tuple(range(1, 17)))
    with pytest.raises(UserError, match="found a place"):
        write_scenes(series, tmp_path, 2, [Category(1, "apple")])
