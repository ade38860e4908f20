"""An exported shape prior answers as PyTorch's, for categories of many shapes, of few and of none."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from amodal.export.detector import OPSET, TraceablePrior
from amodal.prior.shape_prior import ShapePrior
from tests.small_models import small_prior

pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

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
def test_it_answers_as_pytorch_does(shapes: tuple[int, ...], tmp_path: Path) -> None:
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
