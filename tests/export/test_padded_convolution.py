"""A convolution that pads one side more than the other is one node of the graph, and answers as the layer does."""

import warnings
from pathlib import Path

import pytest
import torch

from amodal.export.padded_convolution import TraceableConvolution, traceable_convolution
from amodal.models.lite0 import Convolution

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")


@pytest.mark.parametrize(("side", "groups"), [(3, 1), (3, 4), (5, 4)])
@torch.inference_mode()
def test_one_node_answers_as_the_layer(side: int, groups: int, tmp_path: Path):
    torch.manual_seed(0)
    layer = Convolution(4, 8, side, stride=2, groups=groups)
    torch.nn.init.normal_(layer.weight)
    path = tmp_path / "layer.onnx"
    example = torch.randn(1, 4, 6, 10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # as `export_onnx` does
        torch.onnx.export(traceable_convolution(layer), (example,), str(path), input_names=["maps"], dynamo=False)
    assert [node.op_type for node in onnx.load(path).graph.node] == ["Conv"]
    found = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"]).run(
        None, {"maps": example.numpy()}
    )
    torch.testing.assert_close(torch.from_numpy(found[0]), layer(example), rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(traceable_convolution(layer)(example), layer(example), rtol=0, atol=0)


def test_what_pads_evenly_stays_as_it_is():
    layer = Convolution(4, 8, 3)
    assert traceable_convolution(layer) is layer
    assert isinstance(traceable_convolution(Convolution(4, 8, 3, stride=2)), TraceableConvolution)
