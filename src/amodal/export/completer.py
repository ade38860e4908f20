"""The completer as ONNX: crops of any number of objects in, amodal masks and what they are worth out."""

import warnings
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from amodal.completion.crops import MASKS, SIDE
from amodal.completion.network import CompletionNetwork
from amodal.export.detector import OPSET
from amodal.export.int8 import onnx_package
from amodal.files import replacing
from amodal.inference.onnx import COMPLETER_KIND, COMPLETER_OUTPUTS, CROPS


def export_completer(model: CompletionNetwork, path: str | Path) -> None:
    """Writes the completer as ONNX, whole or not at all.

    The graph takes `crops`, float32 (N, 7, 128, 128) as `amodal.completion.crops.cut` makes them, and gives `amodal`
    (N, 128, 128), probabilities of the amodal masks over the crops, `occluded` (N,), the probability that anything of
    the object is hidden, and `quality` (N,), the estimated IoU of the part that is added.

    Args:
        model: In evaluation mode, on the CPU.
        path: The file to write.

    Raises:
        UserError: The `onnx` package is missing.
    """
    onnx = onnx_package()
    example = torch.rand(2, 3 + len(MASKS), SIDE, SIDE)
    with replacing(path) as temporary, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the tracer warns of the crop's side, which never changes
        torch.onnx.export(
            Probabilities(model).eval(),
            (example,),
            str(temporary),
            input_names=[CROPS],
            output_names=list(COMPLETER_OUTPUTS),
            dynamic_axes={name: {0: "objects"} for name in (CROPS, *COMPLETER_OUTPUTS)},
            opset_version=OPSET,
            dynamo=False,
        )
        graph = onnx.load(temporary)
        onnx.helper.set_model_props(graph, {"kind": COMPLETER_KIND})
        onnx.save(graph, temporary)


class Probabilities(nn.Module):
    """What `amodal.inference.completer` asks of the network."""

    def __init__(self, model: CompletionNetwork) -> None:
        super().__init__()
        self.model = model

    def forward(self, crops: Float[Tensor, "B 7 S S"]) -> tuple[Tensor, Tensor, Tensor]:
        """Amodal masks (B, S, S), whether anything is hidden (B,), quality (B,); all in [0, 1]."""
        found = self.model(crops)
        return found.logits.sigmoid(), found.occluded_logits.sigmoid(), found.quality
