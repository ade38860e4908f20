"""What a run tells while it goes: a progress bar, TensorBoard, and a line of losses for every step."""

import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

from jaxtyping import UInt8
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torchvision.utils import draw_segmentation_masks, make_grid
from tqdm import tqdm

from amodal.instances import Prediction, Target
from amodal.training import run_folder

COLOURS: list[str | tuple[int, int, int]] = [
    *("#e6194b", "#3cb44b", "#4363d8", "#f58231", "#911eb4"),
    *("#42d4f4", "#f032e6", "#bfef45", "#ffe119", "#469990"),
]

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

    def picture(self, step: int, name: str, picture: UInt8[Tensor, "3 H W"]) -> None:
        """Shows a picture on TensorBoard."""
        self._board.add_image(f"validation/{name}", picture, step)


def compare(
    image: UInt8[Tensor, "3 H W"], target: Target, prediction: Prediction, threshold: float = 0.5
) -> UInt8[Tensor, "3 _ _"]:
    """The truth on the left, what was predicted with a score of `threshold` or more on the right.

    Visible parts are filled strongly, invisible parts faintly, each object in a colour of its own.
    """
    sure = prediction["scores"] >= threshold
    amodal = prediction.get("amodal_masks", prediction.get("visible_masks"))
    visible = prediction.get("visible_masks", amodal)
    if amodal is None or visible is None:
        return image
    truth = _paint(image, target["amodal_masks"], target["visible_masks"])
    return make_grid([truth, _paint(image, amodal[sure].cpu(), visible[sure].cpu())], nrow=2, padding=4)


def _paint(image: Tensor, amodal: Tensor, visible: Tensor) -> Tensor:
    if not len(amodal):
        return image
    colours = [COLOURS[i % len(COLOURS)] for i in range(len(amodal))]
    faint = draw_segmentation_masks(image, amodal & ~visible, alpha=0.3, colors=colours)
    return draw_segmentation_masks(faint, visible, alpha=0.6, colors=colours)
