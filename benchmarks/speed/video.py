"""Video: an image through the packaged detector of photographs, and frames from file to file, drawn.

Where `openvino` is installed (it is in none of the extras), the exported model is run by it, too.
"""

import tempfile
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import UInt8
from PIL import Image

import amodal
from amodal.export.detector import export_onnx
from amodal.inference import onnx
from amodal.inference.model_files import PACKAGED
from amodal.inference.predictor import Predictor
from amodal.models import checkpoint
from amodal.pixels import as_pixels
from benchmarks.speed import openvino_rival
from benchmarks.speed.harness import Measured, compare
from benchmarks.speed.rival import torchvision_mask_rcnn
from benchmarks.speed.small import SURE

TITLE = "Photographs and video"
RIVAL = "torchvision Mask R-CNN, same weights of backbone, proposals and detector, no drawing"
SIZE = (640, 480)
THREADS = 2
SECONDS_OF_FRAME = 1 / 6


def measure(quick: bool) -> Measured:
    loaded = checkpoint.load(PACKAGED / "photos.safetensors")
    rival: Any = torchvision_mask_rcnn(loaded.model, loaded.config, len(loaded.categories))
    rival.roi_heads.score_thresh = SURE
    predictor = amodal.load("photos", "cpu")
    images, repetitions = frames(1 if quick else 12), 1 if quick else 7
    tensors = [torch.from_numpy(image.copy()).permute(2, 0, 1).float() / 255 for image in images]

    def theirs() -> None:
        with torch.inference_mode():
            for tensor in tensors:
                rival([tensor])

    one = compare(lambda: [predictor.predict(image) for image in images], theirs, repetitions=repetitions)
    with tempfile.TemporaryDirectory() as name:
        exported = Path(name) / "photos.onnx"
        export_onnx(loaded.model, loaded.categories, exported)
        other = Predictor(onnx.load(exported, "cpu", threads=1))
        by_openvino = openvino_rival.rows(exported, images, other, repetitions)
        by_onnx = compare(
            lambda: [other.predict(image) for image in images],
            lambda: [predictor.predict(image) for image in images],
            repetitions=repetitions,
        )
        source, target = Path(name) / "seen.mp4", Path(name) / "drawn.mp4"
        write(source, images)
        torch.set_num_threads(THREADS)
        video = compare(lambda: draw(predictor, source, target), theirs, repetitions=repetitions)
        torch.set_num_threads(1)
    size = "x".join(map(str, SIZE))
    rows = [
        one.row(f"An image of {size}, `photos`, what scores at least {SURE}", RIVAL, sense="times as long"),
        video.row(
            f"A video of {size}, `photos`, read, drawn, written, {THREADS} threads", RIVAL, sense="times as long"
        ),
    ]
    found, same = [predictor.predict(image) for image in images], [other.predict(image) for image in images]
    is_same = all(map(alike, found, same))
    told = f"An image of {size}, `photos` exported, ONNX Runtime"
    rows.append(by_onnx.row(told, "PyTorch, by this package", 2, same_detections=is_same))
    rows += by_openvino
    return Measured(rows, facts={"frames": len(images), "objects": sum(map(len, found)) / len(found)})


def alike(first: amodal.Result, second: amodal.Result) -> bool:
    """Whether both hold the same objects in the same order, and no mask differs in more than a pixel of a thousand."""
    if not np.array_equal(first.labels, second.labels):
        return False
    return bool(np.allclose(first.boxes, second.boxes, atol=0.01) and (first.masks != second.masks).mean() <= 1e-3)


def frames(count: int) -> list[UInt8[np.ndarray, "480 640 3"]]:
    """The package's sample picture under a camera that moves a little."""
    picture = Image.fromarray(as_pixels(amodal.sample()))
    width, height = picture.size
    boxes = [(place, place, width - 2 * count + place, height - 2 * count + place) for place in range(count)]
    return [np.asarray(picture.resize(SIZE, Image.Resampling.BILINEAR, box)) for box in boxes]


def write(path: Path, images: list[np.ndarray]) -> None:
    from amodal.video.writer import writing_video

    with writing_video(path, Fraction(25)) as video:
        for place, image in enumerate(images):
            video.add(image, place / 25)


def draw(predictor: amodal.Predictor, source: Path, target: Path) -> None:
    from amodal.video.predict import Painter, predict_video

    predict_video(Painter(predictor, SURE, None), source, target)


def describe(measured: Measured) -> str:
    one, video, exported, *others = measured.rows
    frames, objects = measured.facts["frames"], measured.facts["objects"]
    alone, drawn = one.details["seconds"] / frames, video.details["seconds"] / frames
    return f"""An image with {objects:.1f} objects takes {1e3 * alone:.0f} ms on one thread. A frame from file to file,
drawn, takes {1e3 * drawn:.0f} ms on {THREADS}: {1 / drawn:.1f} frames a second (aim: {1 / SECONDS_OF_FRAME:.0f}).
Two other cores, quicker and with AVX-512, drew 13.1 a second (speed.json of commit 024963f2).

The exported model takes {1e3 * exported.details["seconds"] / frames:.0f} ms on one thread; its detections are
{"those of" if exported.details["same_detections"] else "NOT those of"} PyTorch.{openvino_rival.told(others)}

ONNX Runtime's own profile of an image, of the former `photos`, a VRSP, and beside other work: convolutions
43 %, RoIAlign 18 %, matrix products 12 %, changes of layout and padding 6 %, suppression and sorting 2 %, and 18 % in
more than a thousand small calls: anchors, each level's boxes, shapes. Norms and activations are within the convolutions
already: made so before the export, the time stayed. EfficientNet's padding at stride 2, of one side more than the
other, was not, and is now: 5 to 9 % less of the processor's time, the same numbers to the last bit. Other options of
ONNX Runtime (fewer optimisations, denormal numbers, memory) gave nothing or took half as much time again. PyTorch's
side has the same arithmetic in oneDNN: twice its speed would take faster convolutions."""
