"""Videos: frame by frame through the model into a new video; no more than one frame is held. No torch here."""

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

import numpy as np
from tqdm import tqdm

from amodal.errors import UserError
from amodal.files import replacing, require_file
from amodal.inference.predictor import Predictor
from amodal.inference.render import Style, draw
from amodal.inference.tracking import Tracker

if TYPE_CHECKING:
    from av.container import InputContainer

USUAL_RATE = Fraction(25)
"""Frames a second for a video that does not say."""


def predict_video(
    predictor: Predictor, source: Path, target: Path, *, score_threshold: float = 0.5, style: Style | None = None
) -> int:
    """Draws what is found in every frame; an object keeps its colour while it is followed.

    Args:
        predictor: The model.
        source: A video in any format that FFmpeg reads.
        target: The video to write, H.264 in MP4 with the source's frame rate; sound is left out.
        score_threshold: Objects that score less are left out.
        style: What to draw. Frames keep their size.

    Returns:
        The number of frames.

    Raises:
        UserError: PyAV is missing, or the source is no video.
    """
    av = _av()
    style = style or Style()
    style = Style(style.show, style.labels, style.scale or 1.0)
    tracker, frames = Tracker(), 0
    with _opened(require_file(source)) as container, replacing(target) as temporary:
        stream = container.streams.video[0]
        with av.open(str(temporary), "w", format="mp4") as written:
            writer = None
            for pixels in tqdm(_frames(container, source), total=stream.frames or None, unit="frame", desc=source.name):
                result = predictor.predict(pixels, score_threshold=score_threshold)
                picture = _even(np.asarray(draw(pixels, result, style, tracker.update(result).tolist())))
                if writer is None:
                    writer = written.add_stream("libx264", rate=stream.average_rate or USUAL_RATE)
                    writer.height, writer.width, writer.pix_fmt = *picture.shape[:2], "yuv420p"
                written.mux(writer.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                frames += 1
            if writer is None:
                raise UserError("holds no frames", file=source, remedy="Give another video")
            written.mux(writer.encode())
    return frames


def _frames(container: "InputContainer", source: Path) -> Iterator[np.ndarray]:
    """Every frame as uint8 (H, W, 3) RGB; damage after the first frame ends the video there, with a warning."""
    av = _av()
    count = 0
    try:
        for frame in container.decode(video=0):
            yield frame.to_ndarray(format="rgb24")
            count += 1
    except av.error.FFmpegError as error:
        if count == 0:
            raise UserError(f"cannot be decoded ({error})", file=source, remedy="Give another video") from error
        tqdm.write(f"amodal: {source}: damaged after frame {count} ({error}); what comes before is written")


def _opened(source: Path) -> "InputContainer":
    av = _av()
    try:
        container = av.open(str(source))
    except av.error.FFmpegError as error:
        raise UserError(f"cannot be read as a video ({error})", file=source, remedy="Give another file") from error
    if not container.streams.video:
        container.close()
        raise UserError("holds no pictures", file=source, remedy="Give a video")
    return container


def _even(picture: np.ndarray) -> np.ndarray:
    """The picture with a last row and column doubled where needed: H.264 wants even sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def _av() -> ModuleType:
    try:
        import av
        import av.error
    except ImportError as error:
        raise UserError("PyAV is not installed, which reads videos", remedy="pip install 'amodal[video]'") from error
    return av
