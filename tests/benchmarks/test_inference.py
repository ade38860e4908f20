"""What the documentation says of exported and prompted models is what was measured, and can be measured again."""

import json
from pathlib import Path

import pytest
import torch
from benchmarks import convolutions, onnx, prompts
from torch import nn

from amodal.models.prompting import GROWTH
from tests.documentation import DOCS, save_model
from tests.places import ROOT

RESULTS = ROOT / "benchmarks" / "results"


def read(name: str) -> dict:
    return json.loads((RESULTS / name).read_text(encoding="utf-8"))


def test_the_table_of_exports_is_the_measured_one():
    assert onnx.section(read("onnx.json")) in (DOCS / "how-to" / "export.md").read_text(encoding="utf-8")


def test_exports_answer_as_pytorch_does():
    pytorch, exported, packed = read("onnx.json")["systems"]
    assert exported["same_detections"] > 99
    assert packed["same_detections"] > 80
    assert packed["megabytes"] < 0.4 * exported["megabytes"]
    assert abs(exported["amodal_ap"] - pytorch["amodal_ap"]) < 0.1
    assert abs(packed["amodal_ap"] - pytorch["amodal_ap"]) < 2


def test_boxes_are_grown_as_far_as_was_measured_to_be_good():
    rows = {row["boxes"]: row for row in read("prompts.json")["rows"]}
    chosen = rows[f"{GROWTH:.0%} of the way to the box head's"]
    for name, row in rows.items():
        if name != "true box":
            losses = [row[key] - chosen[key] for key in ("iou", "iou_occluded", "iou_cut")]
            assert max(losses) < 1, name
            assert sum(losses) < 0.5, name


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_model(tmp_path / "model.safetensors")
    return str(tmp_path / "model.safetensors")


def test_exports_can_be_measured(model, tmp_path):
    pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    onnx.main(onnx.Settings(model, scenes=2, timed=1, repetitions=1, score=0.0, out=tmp_path / "o.json"))
    systems = json.loads((tmp_path / "o.json").read_text())["systems"]
    assert [system["name"] for system in systems] == ["PyTorch", *onnx.EXPORTS]
    assert systems[1]["same_detections"] == 100
    assert systems[1]["threads_2"]["times_faster"] > 0


def test_prompts_can_be_measured(model, tmp_path):
    prompts.main(prompts.Settings(model, scenes=2, margins=(0.0, 0.1), shares=(0.5,), out=tmp_path / "p.json"))
    rows = json.loads((tmp_path / "p.json").read_text())["rows"]
    assert len(rows) == 4
    assert all(0 <= row["iou"] <= 100 for row in rows)


def test_the_page_says_how_convolutions_hold_their_weights():
    assert convolutions.told(read("convolutions.json")) in (DOCS / "performance.md").read_text(encoding="utf-8")


def test_both_ways_of_a_convolution_can_be_measured_and_answer_alike(tmp_path):
    torch.manual_seed(0)
    layer, maps = (
        convolutions.QuickConvolution(nn.Conv2d(8, 6, 3, padding=1), activation="relu6"),
        torch.randn(1, 8, 5, 4),
    )
    with torch.inference_mode():
        torch.testing.assert_close(convolutions.by_packed_weights(layer, maps), layer(maps))
    few = convolutions.Settings(((4, 3),), (("demo", 64, 64, 0.5),), repetitions=1, out=tmp_path / "c.json")
    convolutions.main(few)
    report = json.loads((tmp_path / "c.json").read_text())
    ways = ("channels_last", "packed")
    assert all(each[way] >= 0 for each in (*report["layers"], *report["pictures"]) for way in ways)
