"""Which model of PyTorch a file or name stands for, and which of them are paired with the completer."""

from pathlib import Path

from amodal.completion.config import KIND
from amodal.inference import completer
from amodal.inference.eager import TorchModel
from amodal.inference.model import Model
from amodal.inference.model_files import is_coco, kind_of, model_file, packaged_file
from amodal.inference.paired import Paired

PAIRED = ("photos",)
"""Detectors in the package whose `complete` goes to the completer: it knows photographs better than their branch."""


def load(name: str | Path, device: str | None) -> Model:
    """A checkpoint, a completer, or torchvision's detector with the completer in the package.

    Raises:
        UserError: No such file, or no model in it, or no such device, or no way to download.
    """
    if is_coco(name):
        from amodal.inference import coco_detector

        second = model_file("completer")  # what is missing is said before much is downloaded
        return Paired(coco_detector.load(device), completer.load_late(second, device))
    path = model_file(name)
    if kind_of(path) == KIND:
        return completer.load(path, device)
    model = TorchModel.load(path, device)
    if path in [packaged_file(paired) for paired in PAIRED]:
        return Paired(model, completer.load_late(packaged_file("completer"), device))
    return model
