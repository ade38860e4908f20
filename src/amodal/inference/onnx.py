"""An exported model run by ONNX Runtime behind the predictor. No torch here."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.errors import UserError
from amodal.files import require_file
from amodal.inference.predictor import Pixels

KIND = "amodal exported model"
INPUT, SCORE_THRESHOLD = "image", "score_threshold"
OLD_SCORE_THRESHOLD = "least_score"
"""What files of earlier versions call it."""
REMEDY = "Give a file that `amodal export` wrote"


class OnnxModel:
    """The graph of `amodal export`, as `amodal.inference.predictor.Model`.

    Args:
        path: A file that `amodal export` wrote.
        device: "cpu", "cuda", "cuda:1"; the GPU where there is one by default.
        threads: Of the CPU; ONNX Runtime's own choice by default.

    Raises:
        UserError: ONNX Runtime is missing, or the file is no such model, or the device cannot be used.
    """

    def __init__(self, path: str | Path, device: str | None = None, *, threads: int | None = None) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise UserError("onnxruntime is not installed", remedy="pip install 'amodal[onnx]'") from error
        path = require_file(path, remedy=REMEDY)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads or 0
        options.log_severity_level = 3  # it warns of every input that may be left out
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device))
        except Exception as error:  # ONNX Runtime's own errors have no common public base
            reason = str(error).splitlines()[0]
            raise UserError(f"cannot be read as an ONNX model ({reason})", file=path, remedy=REMEDY) from error
        about = self.session.get_modelmeta().custom_metadata_map
        if about.get("kind") != KIND:
            raise UserError("is an ONNX model, but none of this toolkit", file=path, remedy=REMEDY)
        self.categories = [Category(**category) for category in json.loads(about["categories"])]
        self._outputs = [output.name for output in self.session.get_outputs()]
        optional = {one.name for one in self.session.get_overridable_initializers()}
        self._threshold = SCORE_THRESHOLD if SCORE_THRESHOLD in optional else OLD_SCORE_THRESHOLD

    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """The objects of each image that score at least so much, best first; without coarse masks, even if asked."""
        del coarse
        return [self._detect(image, score_threshold) for image in images]

    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """Not possible: the graph begins with the detector."""
        raise UserError("an exported model finds its own objects", remedy="Complete given ones with the checkpoint")

    def _detect(self, image: Pixels, score_threshold: float) -> BoxedMasks:
        pixels = np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)
        given = {INPUT: pixels, self._threshold: np.array(score_threshold, np.float32)}
        values = [np.asarray(value) for value in self.session.run(None, given)]
        outputs = dict(zip(self._outputs, values, strict=True))
        return BoxedMasks(
            outputs["boxes"], outputs["labels"], outputs["scores"], outputs.get("amodal"), outputs.get("visible")
        )


def _providers(device: str | None) -> list[str | tuple[str, dict[str, str]]]:
    """ONNX Runtime's names for a device; the GPU where there is one if none is named. Raises UserError."""
    import onnxruntime

    available = onnxruntime.get_available_providers()
    kind, _, index = (device or "auto").partition(":")
    if kind == "cpu" or (kind == "auto" and "CUDAExecutionProvider" not in available):
        return ["CPUExecutionProvider"]
    if kind not in ("auto", "cuda") or "CUDAExecutionProvider" not in available:
        raise UserError(f"device '{device}' cannot be used by this ONNX Runtime", remedy="Pass --device cpu")
    return [("CUDAExecutionProvider", {"device_id": index or "0"}), "CPUExecutionProvider"]
