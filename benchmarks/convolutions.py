"""How a convolution that only answers should hold its weights: channels last, or once for all in oneDNN's own order?

    python -m benchmarks.convolutions    # about 2 minutes on one CPU core

oneDNN's order depends on the maps' size. Weights that were put into the order for one size are put into another in
every call with maps of another, which on processors without AVX-512 takes many times as long as the convolution.
Writes `results/convolutions.json`: milliseconds of processor time, both ways in turn in one run.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
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
from amodal.models.quick_layers import ONEDNN, QuickConvolution
from amodal.paper.about import about
from amodal.pixels import as_pixels

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
    """Of each way, after one that is not counted."""
    out: Path = RESULT
    """The result."""


packed: dict[QuickConvolution, Tensor] = {}


def by_packed_weights(layer: QuickConvolution, maps: Tensor) -> Tensor:
    """`QuickConvolution.forward` with weights in oneDNN's order for maps whose size it is not told."""
    stride, padding, dilation, groups = layer.settings
    if layer.around is not None:
        maps = F.pad(maps, layer.around)
    if layer not in packed:
        with torch.inference_mode(False):
            weight = layer.weight.detach()
            packed[layer] = torch.ops.mkldnn._reorder_convolution_weight(
                weight, padding, stride, dilation, groups, None
            )
    maps, (name, numbers) = maps.contiguous(memory_format=torch.channels_last), ONEDNN[layer.activation]
    settings = padding, stride, dilation, groups
    return torch.ops.mkldnn._convolution_pointwise(maps, packed[layer], layer.bias, *settings, name, numbers, "")


def ways() -> dict[str, AbstractContextManager[object]]:
    """How convolutions are made while a context is entered, by name."""
    return {"channels_last": nullcontext(), "packed": patch.object(QuickConvolution, "forward", by_packed_weights)}


def timed(run: Callable[[], object], repetitions: int) -> dict[str, float]:
    """Milliseconds of the processor's time, the median, by way."""
    seconds: dict[str, list[float]] = {}
    for _ in range(1 + repetitions):
        for name, way in ways().items():
            with way:
                start = process_time()
                run()
                seconds.setdefault(name, []).append(process_time() - start)
    return {name: round(1e3 * median(each[1:]), 2) for name, each in seconds.items()}


def told(report: dict[str, Any]) -> str:
    """What the page of speed says of it."""
    origin, (photos, shown, every) = report["about"], report["pictures"]
    times = max(layer["packed"] / layer["channels_last"] for layer in report["layers"])
    where = f"{origin['instructions']}, {origin['machine']}, one thread"
    (now, before), *of_demo = (
        (f"{each['channels_last']:.0f}", f"{each['packed']:.0f}") for each in (photos, shown, every)
    )
    (few, few_before), (all_found, all_before) = of_demo
    return f"""Convolutions, too, were given weights in oneDNN's own order until commit 57cad05. Without AVX-512 it puts
  those of many into another order in every call: the convolution then takes up to {times:.0f} times as long.
  An image of 640 x 480 takes `photos` {now} ms of processor time and took {before}; one of 160 x 160 the demo's model
  {few} and {few_before} ms for what scores {shown["score_threshold"]}, {all_found} and {all_before} for every detection
  (`{origin["command"]}`, {where}, commit {origin["commit"]}).
  The figures above were measured before that."""


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
