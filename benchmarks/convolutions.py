"""How a convolution that only answers should hold its weights: channels last, or once for all in oneDNN's own order?

    python -m benchmarks.convolutions    # half a minute on one CPU core

oneDNN's order depends on the maps' size. Weights that were put into the order for one size are put into another in
every call with maps of another, which on processors without AVX-512 takes many times as long as the convolution.
Writes `results/convolutions.json`: milliseconds of processor time, both ways in turn in one run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import median
from time import process_time
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
import tyro
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

import amodal
from amodal.files import write_json
from amodal.models.layout import quick_layout
from amodal.models.quick_layers import ONEDNN, QuickConvolution
from amodal.paper.about import about
from amodal.pixels import as_pixels
from benchmarks.speed.harness import compare

RESULT = Path(__file__).parent / "results" / "convolutions.json"


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    layers: tuple[tuple[int, int], ...] = ((64, 14), (128, 8), (256, 14), (512, 2), (512, 13), (512, 25))
    """Channels, and sides of maps, of 3 x 3 convolutions."""
    pictures: tuple[tuple[str, int, int, float], ...] = (
        ("photos", 640, 480, 0.5),
        ("demo", 160, 160, 0.5),
        ("demo", 160, 160, 0.05),
    )
    """Packaged models, width and height of the sample picture, and score thresholds."""
    repetitions: int = 7
    """Of each way."""
    out: Path = RESULT
    """The result."""


@cache
def packed(layer: QuickConvolution) -> Tensor:
    """The weights in oneDNN's order for maps whose size it is not told."""
    stride, padding, dilation, groups = layer.settings
    with torch.inference_mode(False):
        weight = layer.weight.detach()
        return torch.ops.mkldnn._reorder_convolution_weight(weight, padding, stride, dilation, groups, None)


def by_packed_weights(layer: QuickConvolution, maps: Tensor) -> Tensor:
    """`QuickConvolution.forward` with those."""
    stride, padding, dilation, groups = layer.settings
    maps = quick_layout(maps if layer.around is None else F.pad(maps, layer.around))
    given = packed(layer), layer.bias, padding, stride, dilation, groups
    return torch.ops.mkldnn._convolution_pointwise(maps, *given, *ONEDNN[layer.activation], "")


def timed(run: Callable[[], object], repetitions: int) -> dict[str, float]:
    """Milliseconds of the processor's time, medians, by how convolutions hold their weights."""

    def with_packed_weights() -> None:
        with patch.object(QuickConvolution, "forward", by_packed_weights):
            run()

    timing = compare(run, with_packed_weights, repetitions=repetitions, clock=process_time)
    return {"channels_last": round(1e3 * median(timing.ours), 2), "packed": round(1e3 * median(timing.rivals), 2)}


def told(report: dict[str, Any]) -> str:
    """What the page of speed says of it."""
    origin = report["about"]
    times = max(layer["packed"] / layer["channels_last"] for layer in report["layers"])
    photos, few, every = (
        f"{each['channels_last']:.0f} ms ({each['packed']:.0f} with them)" for each in report["pictures"]
    )
    return f"""Convolutions, too, had weights in oneDNN's own order until commit 57cad05, and with them all figures that
  are older. Without AVX-512 oneDNN puts many into another order in every call: a convolution takes up to {times:.0f}
  times as long. Processor time of `photos` for 640 x 480 pixels: {photos}; of the demo's
  model for 160 x 160, what scores 0.5: {few}, every detection: {every}
  (`{origin["command"]}`, {origin["instructions"]}, {origin["machine"]}, one thread, commit {origin["commit"]})."""


@torch.inference_mode()
def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    layers, pictures = [], []
    for channels, side in settings.layers:
        layer = QuickConvolution(nn.Conv2d(channels, channels, 3, padding=1))
        maps = torch.rand(1, channels, side, side).contiguous(memory_format=torch.channels_last)
        layers.append({"channels": channels, "side": side, **timed(lambda: layer(maps), settings.repetitions)})  # noqa: B023
    for name, width, height, threshold in settings.pictures:
        picture = np.asarray(Image.fromarray(as_pixels(amodal.sample())).resize((width, height)))
        predictor = amodal.load(name, "cpu")
        found = timed(lambda: predictor.predict(picture, score_threshold=threshold), settings.repetitions)  # noqa: B023
        pictures.append({"model": name, "size": [width, height], "score_threshold": threshold, **found})
    cpu = torch.backends.cpu.get_cpu_capability()
    origin = about("python -m benchmarks.convolutions", instructions=cpu)
    write_json(settings.out, {"about": origin, "layers": layers, "pictures": pictures}, indent=1)
    print(*layers, *pictures, sep="\n")


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
