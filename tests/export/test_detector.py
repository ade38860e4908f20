"""Exported models: ONNX Runtime answers as PyTorch does, at sizes other than the traced one."""

import copy
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import amodal
from amodal.annotations import Category
from amodal.commands.export import export
from amodal.errors import UserError
from amodal.export import detector
from amodal.export.detector import OPSET, TraceablePrior, export_onnx
from amodal.export.int8 import to_int8
from amodal.inference.eager import TorchModel
from amodal.inference.predictor import Predictor
from amodal.models.amodal_rcnn import AmodalRCNN
from amodal.prior.shape_prior import ShapePrior
from tests.small_models import SMALL, small_model, small_prior, with_method, with_resnet

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")

CATEGORIES = [Category(4, "cup"), Category(5, "pear"), Category(9, "cow")]


def noise(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(height).integers(0, 256, (height, width, 3), dtype=np.uint8)


LOOK_THRESHOLD = 0.278
"""VRSP-R looks again at what scores so much: at some objects of some pictures here, at none of others."""
METHODS = {
    "mask_rcnn": with_method("mask_rcnn"),
    "orcnn": with_method("orcnn"),
    "sln": with_method("sln"),
    "vrsp": SMALL,
    "vrsp reference": with_method("vrsp", semantics="reference"),
    "vrsp_r": replace(with_method("vrsp_r"), vrsp_r=replace(SMALL.vrsp_r, look_threshold=LOOK_THRESHOLD)),
    "two_heads": with_method("two_heads"),
    "aisformer": with_method("aisformer"),
    "bcnet": with_method("bcnet"),
}
CONFIGS = {
    name: with_resnet(config) for name, config in METHODS.items()
}  # whose scores hang on how bright a picture is


SHAPES = {"vrsp reference": (1, 2, 1), "vrsp_r": (0, 1, 0)}
"""Of each category, where they are few or none: as those have that training had no whole object of. The prior's part of
a graph has more cases, at the end."""


@dataclass(frozen=True)
class Exported:
    """A small model, its file, and the predictor of that file."""

    model: AmodalRCNN
    path: Path
    predictor: Predictor


@pytest.fixture(scope="module")
def export_of(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Exported]:
    """One of CONFIGS, exported and loaded once; it is only read."""
    folder = tmp_path_factory.mktemp("exports")

    @cache
    def exported(name: str) -> Exported:
        few = {"shapes": SHAPES[name]} if name in SHAPES else {}
        model, path = small_model(CONFIGS[name], **few).eval(), folder / f"{name}.onnx"
        export_onnx(model, CATEGORIES, path)
        return Exported(model, path, amodal.load(path, device="cpu"))

    return exported


# Of the module's scope, so that tests of one export follow each other, and in one process.
each_config = pytest.mark.parametrize("name", CONFIGS, scope="module")


@each_config
def test_it_answers_as_pytorch_does(name, export_of):
    found = export_of(name)
    eager, exported = Predictor(TorchModel(found.model, CATEGORIES)), found.predictor
    assert exported.categories == tuple(CATEGORIES)
    for size in ((50, 70), (400, 300)):
        ours, theirs = (p.predict(noise(*size), score_threshold=0) for p in (eager, exported))
        assert len(ours) == len(theirs)
        assert len(ours) == 10 or name == "vrsp_r"  # where fitted boxes may coincide
        assert name not in SHAPES or min(SHAPES[name][label - 1] for label in ours.labels) < 2
        assert np.abs(ours.boxes - theirs.boxes).max() < 1e-3
        assert np.abs(ours.scores - theirs.scores).max() < 1e-5
        assert (ours.labels == theirs.labels).all()
        assert (ours.masks != theirs.masks).mean() < 1e-4
        assert (ours.visible_masks is None) == (theirs.visible_masks is None)


def test_a_picture_too_thin_for_the_graph_is_one_line(export_of):
    with pytest.raises(UserError, match="fails on an image of 4000x1 pixels") as error:
        export_of("vrsp").predictor.predict(noise(1, 4000))
    assert "\n" not in str(error.value)


@torch.inference_mode()
def best_candidate(model: AmodalRCNN, picture: np.ndarray) -> float:
    """The highest class score in a picture, before any re-scoring."""
    ((_, candidates),) = model.candidates([torch.from_numpy(picture).permute(2, 0, 1).float() / 255])
    return float(candidates.scores[0])


def with_threshold(path: Path, threshold: float, to: Path) -> Path:
    """The same graph, exported of a model that drops candidates below another score: of that, it holds the number."""
    import onnx

    graph = onnx.load(path)
    detector._set_constants(graph, {"model.boxes.threshold": threshold})
    onnx.save(graph, to)
    return to


@each_config
def test_any_number_of_objects_and_none(name, export_of, tmp_path):
    model, path = export_of(name).model, export_of(name).path
    pictures = [noise(60, 80) // shade + offset for shade in (1, 4, 200) for offset in (0, 40, 55)]
    best = [best_candidate(model, picture) for picture in pictures]
    order = sorted(range(len(best)), key=best.__getitem__)
    threshold = (best[order[0]] + best[order[-1]]) / 2
    model = copy.deepcopy(model)
    model.boxes.config = replace(SMALL.detector, score_threshold=threshold)
    eager = Predictor(TorchModel(model, CATEGORIES))
    exported = amodal.load(with_threshold(path, threshold, tmp_path / "model.onnx"), device="cpu")
    found = [len(exported.predict(picture, score_threshold=0)) for picture in pictures]
    assert found == [len(eager.predict(picture, score_threshold=0)) for picture in pictures]
    assert found[order[0]] == 0 < found[order[-1]]
    assert len(set(found)) > 2


def test_some_objects_or_none_are_sure_enough_for_a_second_look(export_of):
    """As many images have: what is found scores little, and VRSP-R's second look reads no region."""
    found, pictures = export_of("vrsp_r"), [noise(60, 80), noise(60, 80) // 4]
    least, most = sorted(best_candidate(found.model, picture) for picture in pictures)
    assert least < LOOK_THRESHOLD < most
    eager = Predictor(TorchModel(found.model, CATEGORIES))
    for picture in pictures:
        ours, theirs = (each.predict(picture, score_threshold=0) for each in (eager, found.predictor))
        assert len(ours) == len(theirs)
        np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)


def test_a_second_look_that_nothing_reaches_while_it_is_exported_or_run(tmp_path):
    """As of a model that is sure of nothing in noise; with categories that the prior has no shapes of."""
    config = with_method("vrsp_r")
    model = small_model(replace(config, vrsp_r=replace(config.vrsp_r, look_threshold=1.0)), shapes=(0, 1, 0)).eval()
    export_onnx(model, CATEGORIES, tmp_path / "model.onnx")
    ours = Predictor(TorchModel(model, CATEGORIES)).predict(noise(50, 70), score_threshold=0)
    theirs = amodal.load(tmp_path / "model.onnx", device="cpu").predict(noise(50, 70), score_threshold=0)
    assert len(ours) == len(theirs) > 0
    np.testing.assert_allclose(ours.scores, theirs.scores, atol=1e-5)
    assert (ours.masks != theirs.masks).mean() < 1e-4


def test_it_leaves_out_what_scores_too_little_and_other_programs_need_not_ask(export_of):
    """`score_threshold` is an input with a default."""
    predictor, picture = export_of("vrsp").predictor, noise(50, 70)
    everything = predictor.predict(picture, score_threshold=0)
    least = float(everything.scores[3])
    (found,) = predictor.model.detect([picture], score_threshold=least)
    assert found.scores.tolist() == everything.scores[:4].tolist()
    session = predictor.model.session
    pixels = picture.transpose(2, 0, 1).astype(np.float32) / 255
    names = [output.name for output in session.get_outputs()]
    assert names == ["boxes", "labels", "scores", "amodal", "visible"]
    assert np.array_equal(session.run(["scores"], {"image": pixels})[0], everything.scores)


def test_eight_bits_are_smaller_and_nearly_the_same(tmp_path, export_of):
    path = export_of("vrsp").path
    to_int8(path, tmp_path / "small.onnx")
    assert (tmp_path / "small.onnx").stat().st_size < 0.4 * path.stat().st_size
    large, small = (
        predictor.predict(noise(80, 90), score_threshold=0)
        for predictor in (export_of("vrsp").predictor, amodal.load(tmp_path / "small.onnx", device="cpu"))
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


def test_what_an_exported_model_cannot_do_is_named(tmp_path, export_of):
    path, predictor = export_of("mask_rcnn").path, export_of("mask_rcnn").predictor
    with pytest.raises(UserError, match="finds its own objects"):
        predictor.complete(noise(40, 40), [[1, 1, 9, 9]])
    with pytest.raises(UserError, match="exported already"):
        export(str(path), tmp_path / "n.onnx")
    with pytest.raises(UserError, match="device 'abacus' cannot be used"):
        amodal.load(path, device="abacus")


NEAREST = 4
REGIONS = ["masks", "classes"]


class Asked(nn.Module):
    """Both that mask branches ask a prior for: shapes near to masks, and how far these are from the nearest."""

    def __init__(self, prior: ShapePrior | TraceablePrior) -> None:
        super().__init__()
        self.prior = prior

    def forward(self, masks: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        return self.prior.averages(masks, classes, NEAREST), self.prior.distance(masks > 0.5, classes)


def regions(number: int) -> tuple[Tensor, Tensor]:
    """Masks as probabilities, of all categories in turn."""
    return torch.rand(number, 28, 28), torch.arange(number) % 3


@pytest.mark.filterwarnings("ignore")  # the tracer's, of numbers that it freezes
@pytest.mark.parametrize("shapes", [(6, 6, 6), (1, 2, 1), (0, 1, 0), (1, 0, 0), (0, 6, 3)], ids=str)
def test_a_prior_of_many_shapes_and_of_none_answers_as_pytorch_s(shapes: tuple[int, ...], tmp_path: Path) -> None:
    import onnxruntime

    torch.manual_seed(0)
    prior, path = small_prior(shapes).eval(), tmp_path / "prior.onnx"
    torch.onnx.export(
        Asked(TraceablePrior(prior)).eval(),
        regions(5),
        str(path),
        input_names=REGIONS,
        dynamic_axes={name: {0: "regions"} for name in REGIONS},
        opset_version=OPSET,
        dynamo=False,
    )
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for number in (9, 1):
        given = regions(number)
        answer = session.run(None, {name: part.numpy() for name, part in zip(REGIONS, given, strict=True)})
        with torch.inference_mode():
            expected = Asked(prior)(*given)
        for ours, theirs in zip(expected, answer, strict=True):
            np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-5)
