"""An exported model run by ONNX Runtime behind the predictor."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float32

from amodal.annotations import categories_from_json
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.errors import UserError
from amodal.files import parse_json, require_file
from amodal.inference.completer import Completer
from amodal.inference.model import Model, Pixels
from amodal.results.duplicates import lower_duplicates

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

KIND = "amodal exported model"
COMPLETER_KIND = "amodal exported completer"
CROPS, COMPLETER_OUTPUTS = "crops", ("amodal", "occluded", "quality")
INPUT, SCORE_THRESHOLD = "image", "score_threshold"
DUPLICATES = "duplicate_threshold"
"""Of a file's description: `DetectorConfig.duplicate_threshold`, where the model has one."""
OLD_SCORE_THRESHOLD = "least_score"
"""What files of earlier versions call it."""
REMEDY = "Give a file that `amodal export` wrote"


class OnnxModel:
    """The graph of `amodal export`, as `amodal.inference.predictor.Model`.

    Args:
        session: What runs the graph.
        about: What its file says of it.
    """

    is_class_agnostic = False

    def __init__(self, session: "InferenceSession", about: Mapping[str, str]) -> None:
        self.session = session
        self.categories = categories_from_json(parse_json(about.get("categories", ""), file="its categories"))
        self._duplicates = float(about[DUPLICATES]) if DUPLICATES in about else None
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
        given = {INPUT: as_input(image), self._threshold: np.array(score_threshold, np.float32)}
        try:
            values = [np.asarray(value) for value in self.session.run(None, given)]
        except Exception as error:  # ONNX Runtime's own errors have no common public base
            reason = str(error).splitlines()[0]
            problem = f"the exported model fails on an image of {image.shape[1]}x{image.shape[0]} pixels ({reason})"
            raise UserError(problem, remedy="It may be too thin, or too large for the memory") from error
        outputs = dict(zip(self._outputs, values, strict=True))
        found = BoxedMasks(
            outputs["boxes"], outputs["labels"], outputs["scores"], outputs.get("amodal"), outputs.get("visible")
        )
        return lower_duplicates(found, (image.shape[0], image.shape[1]), self._duplicates, score_threshold)


def as_input(image: Pixels) -> Float32[np.ndarray, "3 H W"]:
    """An image as the graph takes it: RGB in [0, 1]."""
    return np.ascontiguousarray(image.transpose(2, 0, 1), dtype=np.float32) / np.float32(255)


def load(path: str | Path, device: str | None = None, *, threads: int | None = None) -> Model:
    """The model of a file that `amodal export` wrote: a detector, or the completer.

    Args:
        path: The file.
        device: "cpu", "cuda", "cuda:1"; the GPU where there is one by default.
        threads: Of the CPU; ONNX Runtime's own choice by default.

    Raises:
        UserError: ONNX Runtime is missing, or the file is no such model, or the device cannot be used.
    """
    try:
        import onnxruntime
    except ImportError as error:
        raise UserError("onnxruntime is not installed", remedy="pip install 'amodal[onnx]'") from error
    path = require_file(path, remedy=REMEDY)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.log_severity_level = 3  # it warns of every input that may be left out
    try:
        session = onnxruntime.InferenceSession(str(path), options, providers=_providers(device))
        return _described(session)
    except UserError as error:
        raise UserError(error.problem, file=path, remedy=error.remedy or REMEDY) from error
    except Exception as error:  # ONNX Runtime's own errors have no common public base
        reason = next(iter(str(error).splitlines()), type(error).__name__)
        raise UserError(f"cannot be read as an ONNX model ({reason})", file=path, remedy=REMEDY) from error


def _described(session: "InferenceSession") -> Model:
    """The model that a graph's own description tells of. Raises UserError and ONNX Runtime's errors."""
    about = session.get_modelmeta().custom_metadata_map
    if about.get("kind") == KIND:
        return OnnxModel(session, about)
    if about.get("kind") == COMPLETER_KIND:
        return Completer(partial(_completions, session))
    raise UserError("is an ONNX model, but none of this toolkit")


def _completions(session: "InferenceSession", crops: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An exported completer as `amodal.inference.completer.Network`."""
    masks, occluded, quality = (np.asarray(value) for value in session.run(list(COMPLETER_OUTPUTS), {CROPS: crops}))
    return masks, occluded, quality


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
