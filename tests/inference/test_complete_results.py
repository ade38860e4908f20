"""Other people's detections are completed: scores, categories and order stay."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import Category
from amodal.commands.complete import How, complete
from amodal.completion import checkpoint
from amodal.completion.network import build
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.inference import model_files
from amodal.inference.completer import Completer
from amodal.inference.predictor import Predictor
from amodal.results.result import Result
from tests import photographs
from tests.completion.test_completion import TINY, network_that_grows

SIZE = (90, 120)
IMAGE = np.zeros((*SIZE, 3), dtype=np.uint8)
MASKS = np.stack([mask for _, mask in photographs.objects()[:3]])
GROWING = Predictor(Completer(network_that_grows(0.9)))


@pytest.fixture(autouse=True)
def packaged(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """A completer that was trained on nothing stands in for the one of the package."""
    folder = tmp_path_factory.mktemp("weights")
    checkpoint.save(folder / "completer.safetensors", build(TINY), {})
    monkeypatch.setattr(model_files, "PACKAGED", folder)


def records(image_ids: list[int], key: str = "segmentation") -> list[dict]:
    """Three detections for each image, worst first."""
    return [
        {"image_id": image, "category_id": 17 + n, "score": 0.2 + 0.3 * n, key: rle.to_json(rle.encode(mask[None])[0])}
        for image in image_ids
        for n, mask in enumerate(MASKS)
    ]


def write(path: Path, content: list[dict]) -> Path:
    path.write_text(json.dumps(content))
    return path


def pictures(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for name in names:
        Image.fromarray(IMAGE).save(folder / name)
    return folder


@pytest.mark.parametrize("key", ["segmentation", "visible_mask"])
def test_results_of_a_folder_of_pictures(tmp_path: Path, key: str, capsys: pytest.CaptureFixture[str]):
    folder = pictures(tmp_path / "pictures", "12.png", "7.png")
    given = write(tmp_path / "results.json", records([12, 7], key))
    complete(folder, out=tmp_path / "whole.json", how=How(predictions=given, device="cpu"))
    found = json.loads((tmp_path / "whole.json").read_text())
    assert [(r["image_id"], r["category_id"], r["score"]) for r in found] == [
        (r["image_id"], r["category_id"], r["score"]) for r in records([12, 7])
    ]
    for record, mask in zip(found, [*MASKS, *MASKS], strict=True):
        visible, amodal = rle.decode(
            [rle.from_json(record[k], SIZE)[0] for k in ("visible_mask", "segmentation")], SIZE
        )
        np.testing.assert_array_equal(visible, mask)
        assert (amodal >= visible).all()
    assert "6 objects in 2 images" in capsys.readouterr().out


def test_results_of_annotated_images_as_annotations(tmp_path: Path):
    source = photographs.write(tmp_path / "photographs", images=2)
    content = [{**record, "category_id": 1} for record in records([2])]
    given = write(tmp_path / "results.json", content)
    complete(source, out=tmp_path / "whole.json", to="d2sa", how=How(predictions=given, device="cpu"))
    after = annotation_files.read(tmp_path / "whole.json", tmp_path / "photographs" / "images")
    assert [a.image_id for a in after.annotations] == [2, 2, 2]
    assert len(after.images) == 2
    assert after.categories == photographs.CATEGORIES
    np.testing.assert_array_equal(rle.decode([a.visible for a in after.annotations], SIZE), MASKS)


def test_annotations_of_any_category_need_no_checkpoint(tmp_path: Path):
    source = photographs.write(tmp_path / "photographs", images=1)
    complete(source, out=tmp_path / "whole.json", how=How(device="cpu"))
    before, after = (
        annotation_files.read(source),
        annotation_files.read(tmp_path / "whole.json", tmp_path / "photographs" / "images"),
    )
    assert [(a.id, a.category_id) for a in after.annotations] == [(a.id, a.category_id) for a in before.annotations]
    assert [a.visible for a in after.annotations] == [a.visible for a in before.annotations]


def test_segment_anything_s_masks(tmp_path: Path):
    folder = pictures(tmp_path / "pictures", "sa_1.png")
    masks = [
        {"id": n, "segmentation": rle.to_json(rle.encode(mask[None])[0]), "bbox": [0, 0, 1, 1], "area": int(mask.sum())}
        for n, mask in enumerate(MASKS, start=1)
    ]
    image = {"image_id": 1, "file_name": "sa_1.png", "height": 90, "width": 120}
    (folder / "sa_1.json").write_text(json.dumps({"image": image, "annotations": masks}))
    complete(folder / "sa_1.json", out=tmp_path / "whole.json", how=How(device="cpu"))
    after = annotation_files.read(tmp_path / "whole.json", folder)
    assert [category.name for category in after.categories] == ["object"]
    np.testing.assert_array_equal(rle.decode([a.visible for a in after.annotations], SIZE), MASKS)


def test_bad_results_are_named(tmp_path: Path):
    folder, out = pictures(tmp_path / "pictures", "a.png"), tmp_path / "whole.json"
    with pytest.raises(UserError, match="image 5 is not in the data set"):
        complete(folder, out=out, how=How(predictions=write(tmp_path / "a.json", records([5])), device="cpu"))
    with pytest.raises(UserError, match="not COCO results"):
        complete(folder, out=out, how=How(predictions=write(tmp_path / "b.json", {"annotations": []}), device="cpu"))  # type: ignore[arg-type]
    boxes = [{"image_id": 1, "category_id": 3, "score": 0.5, "bbox": [5, 5, 20, 20]}]
    with pytest.raises(UserError, match="needs visible masks"):
        complete(folder, out=out, how=How(predictions=write(tmp_path / "c.json", boxes), device="cpu"))
    with pytest.raises(UserError, match="annotations have no scores"):
        complete(photographs.write(tmp_path / "photographs", images=1), out=out, to="results")
    assert not out.exists()


@pytest.mark.filterwarnings("ignore:OpenCV")  # supervision says that it does without
def test_supervision_s_detections():
    supervision = pytest.importorskip("supervision")
    boxes = np.array([[0.0, 0, 9, 9]] * 3, dtype=np.float32)
    given = supervision.Detections(
        xyxy=boxes,
        mask=MASKS,
        confidence=np.array([0.3, 0.9, 0.6], dtype=np.float32),
        class_id=np.array([5, 2, 5]),
        data={"class_name": np.array(["bus", "car", "bus"])},
    )
    result = GROWING.complete(IMAGE, given)
    assert result.names == ("bus", "car", "bus")
    assert result.scores.tolist() == pytest.approx([0.3, 0.9, 0.6])
    assert [record["category_id"] for record in result.to_coco()] == [5, 2, 5]
    np.testing.assert_array_equal(result.visible_masks, MASKS)
    assert (result.masks.sum((1, 2)) > MASKS.sum((1, 2))).all()
    bare = GROWING.complete(IMAGE, supervision.Detections(xyxy=boxes, mask=MASKS))
    assert bare.names == ("0", "0", "0")
    assert len(GROWING.complete(IMAGE, supervision.Detections.empty(), occluders="given")) == 0


def test_a_result_of_visible_masks():
    categories = (Category(3, "bird"), Category(8, "boat"))
    scores = np.array([0.9, 0.5, 0.4], dtype=np.float32)
    given = Result(np.zeros((3, 4), np.float32), np.array([2, 1, 2]), scores, categories, None, MASKS)
    result = GROWING.complete(IMAGE, given)
    assert result.categories == categories
    assert result.names == ("boat", "bird", "boat")
    assert result.scores.tolist() == scores.tolist()
    with pytest.raises(UserError, match="no visible masks"):
        GROWING.complete(IMAGE, Result(given.boxes, given.labels, scores, categories, MASKS, None))


def test_far_pieces_stay_in_the_masks_and_blow_nothing_up():
    body = photographs.square(SIZE, 20, 20, 12)
    crumb = photographs.square(SIZE, 112, 80, 3)
    result = GROWING.complete(IMAGE, visible_masks=np.stack([body | crumb]))
    assert result.amodal_masks is not None
    assert (result.amodal_masks[0] >= (body | crumb)).all()
    assert result.boxes[0].tolist() == [13, 13, 39, 39]  # 2.2 times the body, and no farther
    assert result.amodal_masks.sum() == 26 * 26 + 9
