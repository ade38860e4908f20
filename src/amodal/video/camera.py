"""Cameras and live streams: the newest frame through the model, until somebody stops it."""

import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Condition, Thread
from time import monotonic
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import numpy as np
from jaxtyping import UInt8
from tqdm import tqdm

from amodal.errors import UserError
from amodal.pictures import IMAGE_SUFFIXES
from amodal.video.predict import Painter, upright
from amodal.video.writer import pyav, writing_video

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame

_LIVE = re.compile(r"camera(:.+)?|/dev/video\d+|(rtsps?|rtmps?|rtp|udp|tcp|srt|https?)://.+")
PATIENCE = 10.0
"""Seconds that a stream may keep us waiting."""


@dataclass(frozen=True)
class Device:
    """What FFmpeg opens."""

    name: str
    format: str | None = None
    options: dict[str, str] = field(default_factory=dict)


def is_live(address: str) -> bool:
    """Whether this is a camera (`camera`, `camera:1`, `/dev/video0`) or a stream (`rtsp://...`), and not a file."""
    return _LIVE.fullmatch(address) is not None


def has_picture_suffix(address: str) -> bool:
    """Whether an address of the web is a picture's, which FFmpeg would take for a stream of one frame."""
    place = urlsplit(address)
    return place.scheme in ("http", "https") and place.path.lower().endswith(IMAGE_SUFFIXES)


def device(address: str, platform: str = sys.platform) -> Device:
    """The device behind an address that `is_live`. Raises UserError where this system wants a camera's name.

    Args:
        address: `camera` is the first camera, `camera:1` the second; on Windows `camera:NAME`.
        platform: As `sys.platform` has it.
    """
    kind, _, which = address.partition(":")
    if kind != "camera":
        if "://" not in address:
            return Device(address, "v4l2")
        return Device(address, None, {"rtsp_transport": "tcp"} if address.startswith("rtsp") else {})
    if platform == "win32":
        if not which or which.isdigit():
            raise UserError(f"'{address}' names no camera", remedy="Give its name: 'camera:Integrated Camera'")
        return Device(f"video={which}", "dshow")
    if platform == "darwin":
        return Device(f"{which or '0'}:none", "avfoundation", {"framerate": "30"})
    return Device(f"/dev/video{which or '0'}", "v4l2")


def predict_camera(painter: Painter, address: str, target: Path, *, max_frames: int | None = None) -> int:
    """Draws what is found in the newest frame, again and again, until the stream ends or Ctrl+C is pressed.

    Frames that come while the model is busy are dropped, so that it never falls behind. The video shows each picture at
    the time at which its frame came.

    Args:
        painter: The model, and how it is drawn.
        address: A camera or a stream; see `is_live`.
        target: The video to write, H.264 in MP4; whole, also after Ctrl+C.
        max_frames: Stop after so many pictures.

    Returns:
        The number of pictures.

    Raises:
        UserError: PyAV is missing, or the source cannot be opened or sends nothing.
    """
    with _opened(device(address), address) as container, _newest(container) as frames:
        began = None
        progress = tqdm(total=max_frames, unit="frame", desc=address)
        with writing_video(target, container.streams.video[0].average_rate) as video, progress:
            try:
                for pixels, moment in frames:
                    began = moment if began is None else began
                    video.add(painter.paint(pixels), moment - began)
                    progress.update()
                    if video.frames == max_frames:
                        break
            except KeyboardInterrupt:
                progress.write("stopped")
            if not video.frames:
                raise UserError(f"{address} sent no frame", remedy="Try it in another program")
    return video.frames


class _Newest:
    """Reads frames in a thread of its own as they come, and keeps the last one."""

    def __init__(self, container: "InputContainer") -> None:
        self._container, self._changed = container, Condition()
        self._frame: tuple[VideoFrame, float] | None = None
        self._is_over = False
        self._thread = Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            for frame in self._container.decode(video=0):
                with self._changed:
                    self._frame = frame, monotonic()
                    self._changed.notify()
                    if self._is_over:
                        return
        except pyav().error.FFmpegError as error:
            tqdm.write(f"amodal: the stream broke off ({error})", file=sys.stderr)
        finally:
            with self._changed:
                self._is_over = True
                self._changed.notify()

    def __iter__(self) -> Iterator[tuple[UInt8[np.ndarray, "H W 3"], float]]:
        """The newest frame that was not given yet, and when it came (`time.monotonic`)."""
        while True:
            with self._changed:
                # Woken now and then, since Windows would not hear Ctrl+C in an endless wait.
                while self._frame is None and not self._is_over:
                    self._changed.wait(0.2)
                newest, self._frame = self._frame, None
            if newest is None:
                return
            yield upright(newest[0]), newest[1]

    def stop(self) -> None:
        with self._changed:
            self._is_over = True
        self._thread.join(PATIENCE)


@contextmanager
def _newest(container: "InputContainer") -> Iterator[_Newest]:
    newest = _Newest(container)
    try:
        yield newest
    finally:
        newest.stop()


def _opened(source: Device, address: str) -> "InputContainer":
    av = pyav()
    try:
        container = av.open(source.name, format=source.format, options=source.options, timeout=PATIENCE)
    except (av.error.FFmpegError, ValueError) as error:  # PyAV's for a kind of device that its FFmpeg lacks
        raise UserError(f"{address} cannot be opened ({error})", remedy="Is it plugged in, and free?") from error
    if not container.streams.video:
        container.close()
        raise UserError(f"{address} sends no pictures", remedy="Give a camera or a video stream")
    return container
