"""What a run tells while it goes: a progress bar, TensorBoard, and a line of losses for every step."""

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import UInt8
from PIL import Image
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from tqdm import tqdm

from amodal.drawing.render import Style, draw
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.instances import Prediction, Target
from amodal.results.drawn import of_masks
from amodal.training import run_folder

HEADLINES = ("amodal AP", "visible AP", "amodal AP occluded", "coarse amodal AP", "coarse amodal AP occluded")
"""The scores that are told on the terminal."""


class Journal:
    """Open while a run goes.

    Args:
        folder: The run's.
        start: Steps done before; what was noted of later ones is dropped.
        stop: Steps of the whole run.
    """

    def __init__(self, folder: Path, start: int, stop: int) -> None:
        run_folder.forget_after(folder, start)
        self._folder = folder
        self._board = SummaryWriter(folder / run_folder.TENSORBOARD, purge_step=start + 1)
        pause = 0.2 if sys.stderr.isatty() else 30.0  # a log file wants few lines
        self._bar = tqdm(total=stop, initial=start, unit="step", mininterval=pause, dynamic_ncols=True, smoothing=0.1)

    def __enter__(self) -> Self:
        self._hook = threading.excepthook
        threading.excepthook = self._hear
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.close()
        try:
            self._board.close()
        finally:
            threading.excepthook = self._hook

    def _hear(self, fallen: threading.ExceptHookArgs) -> None:
        """TensorBoard's thread prints what the disk refuses, and raises it here at the next number: once is enough."""
        if not isinstance(fallen.exc_value, OSError):
            self._hook(fallen)

    def step(self, step: int, losses: dict[str, float], rate: float) -> None:
        """Notes the losses of a step, which counts from 1; their sum is `loss`."""
        numbers = {"loss": sum(losses.values()), **losses}
        run_folder.note(self._folder, run_folder.LOSSES, {"step": step, "rate": rate, **numbers})
        for name, value in numbers.items():
            self._board.add_scalar(f"losses/{name}", value, step)
        self._board.add_scalar("rate", rate, step)
        self._bar.set_postfix(loss=f"{numbers['loss']:.3f}", rate=f"{rate:.1e}", refresh=False)
        self._bar.update()

    def scores(self, step: int, scores: dict[str, float | None]) -> None:
        """Notes what a validation found, fractions in [0, 1]."""
        run_folder.note(self._folder, run_folder.SCORES, {"step": step, **scores})
        known = {name: value for name, value in scores.items() if value is not None}
        for name, value in known.items():
            self._board.add_scalar(f"validation/{name}", value, step)
        text = ", ".join(f"{name} {100 * known[name]:.1f}" for name in HEADLINES if name in known)
        self._bar.write(f"step {step}: {text}", file=sys.stderr)

    def picture(self, step: int, name: str, picture: Image.Image) -> None:
        """Shows a picture on TensorBoard."""
        self._board.add_image(f"validation/{name}", np.asarray(picture), step, dataformats="HWC")


def compare(
    image: UInt8[Tensor, "3 H W"], target: Target, prediction: Prediction, threshold: float = 0.5
) -> Image.Image:
    """The truth on the left, what was predicted with a score of `threshold` or more on the right."""
    sure = prediction["scores"] >= threshold
    amodal = prediction.get("amodal_masks", prediction.get("visible_masks"))
    visible = prediction.get("visible_masks", amodal)
    assert amodal is not None and visible is not None  # every method predicts one of the two
    pixels = image.permute(1, 2, 0).cpu().numpy()
    style = Style(labels=False, scale=1.0)
    tiles = [
        Tile(draw(pixels, of_masks(whole.cpu().numpy(), part.cpu().numpy()), style))
        for whole, part in ((target["amodal_masks"], target["visible_masks"]), (amodal[sure], visible[sure]))
    ]
    return contact_sheet(tiles, headings=("truth", "predicted"), side=max(pixels.shape[:2]))
