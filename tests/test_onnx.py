"""Exported models: ONNX Runtime answers as PyTorch does, at sizes other than the traced one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_models import SMALL, small_model, with_method

import amodal
from amodal.annotations import Category
from amodal.commands.export import export
from amodal.errors import UserError
from amodal.export.detector import export_onnx
from amodal.export.int8 import to_int8
from amodal.inference.eager import TorchModel
from amodal.inference.predictor import Predictor
from amodal.models.amodal_rcnn import AmodalRCNN

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CATEGORIES = [Category(4, "cup"), Category(5, "pear"), Category(9, "cow")]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize(
    "config",
    [
        with_method("mask_rcnn"),
        with_method("orcnn"),
        with_method("sln"),
        SMALL,
        with_method("vrsp", semantics="reference"),
        with_method("vrsp_r"),
    ],
    ids=["mask_rcnn", "orcnn", "sln", "vrsp", "vrsp reference", "vrsp_r"],
)
def test_it_answers_as_pytorch_does(config, tmp_path):
    model = small_model(config).eval()
    export_onnx(model, CATEGORIES, tmp_path / "model.onnx")
    eager, exported = Predictor(TorchModel(model, CATEGORIES)), amodal.load(tmp_path / "model.onnx", device="cpu")
    assert exported.categories == tuple(CATEGORIES)
    for size in ((50, 70), (400, 300)):
        ours, theirs = (p.predict(noise(*size), score_threshold=0) for p in (eager, exported))
        assert len(ours) == len(theirs)
        assert len(ours) == 10 or config.method == "vrsp_r"  # where fitted boxes may coincide
        assert np.abs(ours.boxes - theirs.boxes).max() < 1e-3
        assert np.abs(ours.scores - theirs.scores).max() < 1e-5
        assert (ours.labels == theirs.labels).all()
        assert (ours.masks != theirs.masks).mean() < 1e-4
        assert (ours.visible_masks is None) == (theirs.visible_masks is None)


def test_a_picture_too_thin_for_the_graph_is_one_line(tmp_path):
    export_onnx(small_model(SMALL).eval(), CATEGORIES, tmp_path / "model.onnx")
    with pytest.raises(UserError, match="fails on an image of 4000x1 pixels") as error:
        amodal.load(tmp_path / "model.onnx", device="cpu").predict(noise(1, 4000))
    assert "\n" not in str(error.value)


@torch.inference_mode()
def best_candidate(model: AmodalRCNN, picture: np.ndarray) -> float:
    """The highest class score in a picture, before any re-scoring."""
    ((_, candidates),) = model.candidates([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
    return float(candidates.scores[0])


@pytest.mark.parametrize("method", ["vrsp", "sln", "mask_rcnn"])
def test_any_number_of_objects_and_none(method, tmp_path):
    model = small_model(with_method(method)).eval()
    pictures = [noise(60, 80) // shade + offset for shade in (1, 4, 200) for offset in (0, 40, 55)]
    eager = Predictor(TorchModel(model, CATEGORIES))
    best = [best_candidate(model, picture) for picture in pictures]
    order = sorted(range(len(best)), key=best.__getitem__)
    threshold = (best[order[0]] + best[order[-1]]) / 2
    model.boxes.config = replace(SMALL.detector, score_threshold=threshold)
    export_onnx(model, CATEGORIES, tmp_path / "model.onnx")
    exported = amodal.load(tmp_path / "model.onnx", device="cpu")
    found = [len(exported.predict(picture, score_threshold=0)) for picture in pictures]
    assert found == [len(eager.predict(picture, score_threshold=0)) for picture in pictures]
    assert found[order[0]] == 0 < found[order[-1]]
    assert len(set(found)) > 2


def test_it_leaves_out_what_scores_too_little_and_other_programs_need_not_ask(tmp_path):
    """`score_threshold` is an input with a default."""
    import onnxruntime

    export_onnx(small_model(SMALL).eval(), CATEGORIES, tmp_path / "m.onnx")
    predictor, picture = amodal.load(tmp_path / "m.onnx", device="cpu"), noise(50, 70)
    everything = predictor.predict(picture, score_threshold=0)
    least = float(everything.scores[3])
    (found,) = predictor.model.detect([picture], score_threshold=least)
    assert found.scores.tolist() == everything.scores[:4].tolist()
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    pixels = picture.transpose(2, 0, 1).astype(np.float32) / 255
    names = [output.name for output in session.get_outputs()]
    assert names == ["boxes", "labels", "scores", "amodal", "visible"]
    assert np.array_equal(session.run(["scores"], {"image": pixels})[0], everything.scores)


def test_eight_bits_are_smaller_and_nearly_the_same(tmp_path):
    export_onnx(small_model(SMALL).eval(), CATEGORIES, tmp_path / "m.onnx")
    to_int8(tmp_path / "m.onnx", tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * (tmp_path / "m.onnx").stat().st_size
    large, small = (
        amodal.load(tmp_path / name, device="cpu").predict(noise(80, 90), score_threshold=0)
        for name in ("m.onnx", "small.onnx")
    )
    assert small.categories == large.categories
    difference = np.abs(np.sort(large.scores) - np.sort(small.scores)).max()
    assert 0 < difference < 0.01


def test_what_is_no_exported_model_is_named(tmp_path):
    (tmp_path / "a.onnx").write_bytes(b"nothing")
    with pytest.raises(UserError, match=r"a\.onnx: cannot be read as an ONNX model"):
        amodal.load(tmp_path / "a.onnx")
    with pytest.raises(UserError, match=r"b\.onnx: no such file"):
        amodal.load(tmp_path / "b.onnx")
    with pytest.raises(UserError, match=r"ends in \.onnx"):
        export("a", tmp_path / "a.pt")
    import onnx

    info = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", info[:1], info[1:])
    onnx.save(
        onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9),
        tmp_path / "c.onnx",
    )
    with pytest.raises(UserError, match="none of this toolkit"):
        amodal.load(tmp_path / "c.onnx")


def test_what_an_exported_model_cannot_do_is_named(tmp_path):
    export_onnx(small_model(with_method("mask_rcnn")).eval(), CATEGORIES, tmp_path / "m.onnx")
    predictor = amodal.load(tmp_path / "m.onnx", device="cpu")
    with pytest.raises(UserError, match="finds its own objects"):
        predictor.complete(noise(40, 40), [[1, 1, 9, 9]])
    with pytest.raises(UserError, match="exported already"):
        export(str(tmp_path / "m.onnx"), tmp_path / "n.onnx")
    with pytest.raises(UserError, match="device 'abacus' cannot be used"):
        amodal.load(tmp_path / "m.onnx", device="abacus")
