"""An exported model run by OpenVINO beside ONNX Runtime, where `openvino` is installed: it is in none of the extras."""

from collections.abc import Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from time import process_time
from typing import Any

import numpy as np

from amodal.inference import onnx
from amodal.inference.predictor import Predictor
from benchmarks.speed.harness import Row, compare


def rows(exported: Path, images: Sequence[np.ndarray], onnx_runtime: Predictor, repetitions: int) -> list[Row]:
    """OpenVINO's processor time over ONNX Runtime's, on one thread; no row where OpenVINO is not installed.

    It takes an input that may be left out for a constant: both let through what the file's own threshold does.

    Args:
        exported: What `amodal export` wrote.
        images: uint8 (H, W, 3), of any size.
        onnx_runtime: The same file, loaded.
        repetitions: Of the timing.
    """
    if not find_spec("openvino"):
        return []
    openvino: Any = import_module("openvino")
    graph = openvino.Core().compile_model(exported, "CPU", {"INFERENCE_NUM_THREADS": 1, "PERFORMANCE_HINT": "LATENCY"})

    def boxes(image: np.ndarray) -> np.ndarray:
        return graph({onnx.INPUT: onnx.as_input(image)})["boxes"]

    def expected(image: np.ndarray) -> np.ndarray:
        return onnx_runtime.detect([image])[0].boxes

    timing = compare(
        lambda: [boxes(image) for image in images],
        lambda: [expected(image) for image in images],
        repetitions=repetitions,
        clock=process_time,
    )
    pairs = [(boxes(image), expected(image)) for image in images]
    is_same = all(one.shape == other.shape and np.allclose(one, other, atol=0.1) for one, other in pairs)
    name = f"The same by OpenVINO {openvino.__version__.split('-')[0]}, processor time"
    return [timing.row(name, "ONNX Runtime", sense="times as long", same_boxes=is_same)]


def told(measured: Sequence[Row]) -> str:
    """A sentence on each row."""
    return "".join(
        f"\nOpenVINO takes {row.ratio:.2f} x the processor time of ONNX Runtime, and is no extra of this package."
        for row in measured
    )
