"""torchvision's Mask R-CNN as the first half of `amodal.load("coco")`, with random weights."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np
import pytest
import torch
from torchvision.models.detection import MaskRCNN, maskrcnn_resnet50_fpn_v2

import amodal
from amodal.boxed_masks import Prompts
from amodal.cli import main
from amodal.errors import UserError
from amodal.inference import coco_detector, model_files
from amodal.inference.coco_detector import CATEGORIES, CocoDetector
from amodal.inference.completer import Completer
from amodal.inference.paired import Paired
from amodal.inference.predictor import Predictor
from tests.completion.test_completion import network_that_grows

IMAGE = np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def network() -> MaskRCNN:
    """Of the right architecture, looking at small pictures, and taking everything for something."""
    torch.manual_seed(0)
    model = maskrcnn_resnet50_fpn_v2(
        weights=None,
        weights_backbone=None,
        min_size=64,
        max_size=96,
        box_score_thresh=0.0,
        box_detections_per_img=6,
        rpn_post_nms_top_n_test=20,
    )
    with torch.no_grad():
        model.roi_heads.box_predictor.cls_score.weight *= 3  # type: ignore[operator]
    return model.eval()


def test_the_categories_are_coco_s():
    assert len(CATEGORIES) == 80
    ids = {category.name: category.id for category in CATEGORIES}
    assert (ids["person"], ids["cat"], ids["cup"], ids["toothbrush"]) == (1, 17, 47, 90)


@torch.inference_mode()
def test_it_finds_what_torchvision_finds(network: MaskRCNN):
    (theirs,) = network([torch.from_numpy(IMAGE).permute(2, 0, 1).float() / 255])
    (ours,) = CocoDetector(network).detect([IMAGE])
    named = [i for i, label in enumerate(theirs["labels"].tolist()) if label in {c.id for c in CATEGORIES}]
    assert len(ours) == len(named) > 2
    assert [CATEGORIES[label - 1].id for label in ours.labels] == theirs["labels"][named].tolist()
    np.testing.assert_allclose(ours.scores, theirs["scores"][named], atol=1e-5)
    np.testing.assert_allclose(ours.boxes, theirs["boxes"][named], atol=1e-2)
    batch, _ = network.transform([torch.from_numpy(IMAGE).permute(2, 0, 1).float() / 255])
    features = network.backbone(batch.tensors)
    ((inner,), _) = network.roi_heads(features, network.rpn(batch, features)[0], batch.image_sizes)
    assert ours.amodal is None
    np.testing.assert_allclose(ours.visible, inner["masks"][named, 0], atol=1e-5)
    least = float(np.median(ours.scores))
    (sure,) = CocoDetector(network).detect([IMAGE], score_threshold=least)
    assert sure.scores.tolist() == ours.scores[ours.scores >= least].tolist()


def test_given_boxes_are_named_and_drawn(network: MaskRCNN):
    detector = CocoDetector(network)
    boxes = np.array([[5, 5, 30, 30], [20, 10, 55, 38]], dtype=np.float32)
    named = detector.complete(IMAGE, Prompts(boxes))
    assert named.visible is not None
    assert named.visible.shape == (2, 28, 28)
    again = detector.complete(IMAGE, Prompts(boxes, named.labels))
    np.testing.assert_array_equal(again.visible, named.visible)
    assert again.scores.tolist() == [1, 1]


def test_with_the_completer_it_is_one_model(network: MaskRCNN):
    predictor = Predictor(Paired(CocoDetector(network), Completer(network_that_grows(0.9))))
    result = predictor.predict(IMAGE, score_threshold=0)
    assert len(result) > 2
    assert (np.diff(result.scores) <= 0).all()
    assert (result.masks >= result.visible_masks).all()
    record = result.to_coco()[0]
    assert record["category_id"] in {category.id for category in CATEGORIES}
    assert {"segmentation", "visible_mask"} <= record.keys()
    assert len(predictor.complete(IMAGE, [[5, 5, 30, 30]])) == 1


def test_weights_are_fetched_once_and_put_in_place(network: MaskRCNN):
    detector = coco_detector.load("cpu", network.state_dict)
    assert torch.equal(
        detector.model.roi_heads.box_predictor.cls_score.bias, network.roi_heads.box_predictor.cls_score.bias
    )


def refuse(*_: Any, **__: Any) -> Mapping[str, Any]:
    raise URLError("Name or service not known")


def test_without_a_network_it_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    monkeypatch.setattr(model_files, "PACKAGED", tmp_path)
    (tmp_path / "completer.safetensors").touch()
    monkeypatch.setattr(torch.hub, "download_url_to_file", refuse)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("no retries"))
    with pytest.raises(UserError, match=r"could not be downloaded \(Name or service not known\)"):
        amodal.load("coco", "cpu")
    with pytest.raises(SystemExit):
        main(["predict", str(amodal.sample()), "--model", "coco", "--out", str(tmp_path / "out"), "--device", "cpu"])
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_a_damaged_download_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / coco_detector.WEIGHTS.url.rsplit("/", 1)[-1]).write_bytes(b"half a file")
    with pytest.raises(UserError, match="is damaged"):
        coco_detector.downloaded()


def test_the_completer_is_missed_before_anything_is_downloaded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(model_files, "PACKAGED", tmp_path)
    monkeypatch.setattr(coco_detector, "downloaded", lambda: pytest.fail("downloaded"))
    with pytest.raises(UserError, match="no model in the package is called 'completer'"):
        amodal.load("coco", "cpu")
