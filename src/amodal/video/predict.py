"""Videos: frame by frame through the model into a new video; no more than one frame is held."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from amodal.drawing.render import Style
from amodal.errors import UserError
from amodal.files import require_file
from amodal.inference.predictor import Predictor
from amodal.pictures import MOST_PIXELS
from amodal.video.tracking import Tracker
from amodal.video.writer import SOUND, USUAL_RATE, pyav, writing_video

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream


class Painter:
    """Draws what is found in one frame after the other; an object keeps its colour while it is followed."""

    def __init__(self, predictor: Predictor, score_threshold: float, style: Style | None) -> None:
        self.predictor, self.score_threshold = predictor, score_threshold
        style = style or Style()
        self.style = replace(style, scale=style.scale or 1.0)
        self._tracker = Tracker()

    def paint(self, pixels: UInt8[np.ndarray, "H W 3"]) -> UInt8[np.ndarray, "h w 3"]:
        """The next frame with its objects."""
        result = self.predictor.predict(pixels, score_threshold=self.score_threshold)
        return np.asarray(result.draw(pixels, self.style, self._tracker.update(result).tolist()))


def predict_video(painter: Painter, source: Path, target: Path, *, max_frames: int | None = None) -> int:
    """Draws what is found in every frame.

    Args:
        painter: The model, and how it is drawn. Frames keep their size unless its style has a scale.
        source: A video in any format that FFmpeg reads.
        target: The video to write, H.264 in MP4, every frame at its own time. Sound that MP4 can hold is kept.
        max_frames: Stop after so many.

    Returns:
        The number of frames.

    Raises:
        UserError: PyAV is missing, or the source is no video.
    """
    with _opened(require_file(source)) as container:
        stream = container.streams.video[0]
        sound = _sound(container, source)
        progress = tqdm(total=max_frames or stream.frames or None, unit="frame", desc=source.name)
        with writing_video(target, stream.average_rate, sound) as video, progress:
            for item in _demuxed(container, source, sound):
                if isinstance(item, tuple):
                    video.add(painter.paint(item[0]), item[1])
                    progress.update()
                else:
                    video.add_sound(item)
                if video.frames == max_frames:
                    break
            if not video.frames:
                raise UserError("holds no frames", file=source, remedy="Give another video")
    return video.frames


def upright(frame: "VideoFrame") -> UInt8[np.ndarray, "H W 3"]:
    """A frame's RGB pixels, turned as the camera was held."""
    return np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), round(frame.rotation / 90)))


def _demuxed(
    container: "InputContainer", source: Path, sound: "AudioStream | None"
) -> "Iterator[tuple[UInt8[np.ndarray, 'H W 3'], float] | Packet]":
    """Every frame with its time in seconds, and the packets of sound between them.

    Damage after the first frame ends the video there, with a warning.
    """
    av, video = pyav(), container.streams.video[0]
    rate, frames = video.average_rate or USUAL_RATE, 0
    try:
        for packet in container.demux(*(stream for stream in (video, sound) if stream is not None)):
            if packet.stream is sound:
                yield packet
                continue
            for frame in video.decode(packet):
                yield upright(frame), float(frames / rate) if frame.time is None else frame.time
                frames += 1
    except (av.error.FFmpegError, ValueError) as error:
        if frames == 0:
            raise UserError(f"cannot be decoded ({error})", file=source, remedy="Give another video") from error
        tqdm.write(f"amodal: {source}: damaged after frame {frames} ({error}); what comes before is written")


def _opened(source: Path) -> "InputContainer":
    av = pyav()
    try:
        container = av.open(str(source), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise UserError(f"cannot be read as a video ({error})", file=source, remedy="Give another file") from error
    if not container.streams.video:
        container.close()
        raise UserError("holds no pictures", file=source, remedy="Give a video")
    problem = _too_much(container.streams.video[0])
    if problem:
        container.close()
        raise UserError(problem, file=source, remedy="Give another video")
    return container


def _too_much(video: "VideoStream") -> str | None:
    """What is wrong with a stream that cannot be decoded here, from its header alone."""
    if video.codec_context is None:
        return "holds pictures of an unknown kind"
    if video.width * video.height > MOST_PIXELS:
        return f"claims frames of {video.width}x{video.height} pixels"
    return None


def _sound(container: "InputContainer", source: Path) -> "AudioStream | None":
    """The first stream of sound, if MP4 can hold it as it is."""
    if not container.streams.audio:
        return None
    sound = container.streams.audio[0]
    if sound.codec_context.name in SOUND:
        return sound
    tqdm.write(f"amodal: {source}: sound of kind {sound.codec_context.name} is left out")
    return None
