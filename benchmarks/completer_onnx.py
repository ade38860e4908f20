"""The completer by ONNX Runtime beside PyTorch, on one thread, the same objects in turn.

    python -m benchmarks.completer_onnx                      # a minute
    python -m benchmarks.completer_onnx --repetitions 1 --out FILE    # does it run?

Speed does not depend on what the weights are: without the packaged completer, untrained ones of its size are timed, and
the result says so. Writes `results/completer_onnx.json`.
"""

import tempfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
import tyro

import amodal
from amodal.commands.export import export
from amodal.completion import checkpoint
from amodal.completion.config import CompleterConfig
from amodal.completion.network import build
from amodal.files import write_json
from amodal.inference.completer import Completer
from amodal.inference.model_files import packaged_file
from amodal.inference.onnx import load
from amodal.inference.predictor import Predictor
from amodal.paper.about import about
from benchmarks.speed.harness import centre, compare


@dataclass(frozen=True)
class Settings:
    """How much is measured."""

    objects: int = 8
    """Objects of the picture, completed together."""
    repetitions: int = 7
    """Of each timing."""
    out: Path = Path(__file__).parent / "results" / "completer_onnx.json"
    """The result."""


def main(settings: Settings) -> None:
    torch.set_num_threads(1)
    image = np.asarray(amodal.pixels.as_pixels(amodal.sample()))
    masks = discs(image.shape[:2], settings.objects)
    with tempfile.TemporaryDirectory() as folder:
        path = packaged_file("completer")
        is_trained = path.is_file()
        if not is_trained:
            path = Path(folder) / "completer.safetensors"
            checkpoint.save(path, build(CompleterConfig()), {})
        exported = Path(folder) / "completer.onnx"
        export(str(path), exported)
        eager, other = amodal.load(path, "cpu"), Predictor(load(exported, "cpu", threads=1))
        assert isinstance(eager.model, Completer)
        timing = compare(
            partial(other.complete, image, visible_masks=masks),
            partial(eager.complete, image, visible_masks=masks),
            repetitions=settings.repetitions,
        )
        megabytes = round(exported.stat().st_size / 1e6, 1)
    ratio, spread = centre([theirs / own for own, theirs in zip(timing.ours, timing.rivals, strict=True)])
    onnx, pytorch = (1000 * centre(times)[0] / settings.objects for times in (timing.ours, timing.rivals))
    report = {
        "about": about("python -m benchmarks.completer_onnx", objects=settings.objects, is_trained=is_trained),
        "times_faster": ratio,
        "spread": spread,
        "onnx_ms_per_object": onnx,
        "pytorch_ms_per_object": pytorch,
        "onnx_megabytes": megabytes,
    }
    write_json(settings.out, report, indent=1)
    print(f"{onnx:.0f} ms an object, PyTorch {pytorch:.0f} ms: {ratio:.2f} times as fast")


def discs(size: tuple[int, ...], count: int) -> np.ndarray:
    """Visible masks that are easy to make, bool (N, H, W): discs in a row."""
    rows, columns = np.ogrid[: size[0], : size[1]]
    step = size[1] / (count + 1)
    return np.stack([(rows - size[0] / 2) ** 2 + (columns - step * n) ** 2 <= step**2 for n in range(1, count + 1)])


if __name__ == "__main__":
    main(tyro.cli(Settings, description=__doc__))
