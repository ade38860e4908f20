"""Writing a video: pictures at their own times, and the source's sound as it is."""

from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from amodal.errors import UserError
from amodal.files import replacing

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import OutputContainer
    from av.packet import Packet

USUAL_RATE = Fraction(25)
"""Frames a second for a source that does not say."""
TICKS = Fraction(1, 90_000)
"""Seconds; times are kept in these."""
SOUND = ("aac", "mp3", "ac3", "eac3", "opus", "flac", "alac")
"""Codecs of sound that MP4 takes as they are."""


class VideoWriter:
    """H.264 in MP4; its size is that of the first picture. Made by `writing_video`."""

    def __init__(self, container: "OutputContainer", rate: Fraction, sound: "AudioStream | None" = None) -> None:
        self._container, self._rate, self._sound = container, rate, sound
        self._streams: dict[str, Any] = {}
        self._waiting: list[Packet] = []
        self._last = -1
        self.frames = 0

    def add(self, picture: UInt8[np.ndarray, "H W 3"], seconds: float) -> None:
        """A picture that is shown from `seconds` on: later than the one before."""
        picture = _even(picture)
        if not self._streams:
            self._begin(picture.shape[0], picture.shape[1])
        frame = pyav().VideoFrame.from_ndarray(picture, format="rgb24")
        self._last = max(self._last + 1, round(seconds / TICKS))
        frame.pts, frame.time_base = self._last, TICKS
        self._container.mux(self._streams["video"].encode(frame))
        self.frames += 1

    def add_sound(self, packet: "Packet") -> None:
        """A packet of the source's sound."""
        if packet.dts is None:  # the end of the stream, not a part of it
            return
        if not self._streams:
            self._waiting.append(packet)
        elif "sound" in self._streams:
            packet.stream = self._streams["sound"]
            self._container.mux(packet)

    def finish(self) -> None:
        """Writes what the encoder still holds."""
        if self._streams:
            self._container.mux(self._streams["video"].encode())

    def _begin(self, height: int, width: int) -> None:
        video = self._container.add_stream("libx264", rate=self._rate)
        video.height, video.width, video.pix_fmt = height, width, "yuv420p"
        video.codec_context.time_base = TICKS
        self._streams["video"] = video
        if self._sound is not None:
            self._streams["sound"] = self._container.add_stream_from_template(self._sound)
        for packet in self._waiting:
            self.add_sound(packet)
        self._waiting.clear()


@contextmanager
def writing_video(target: Path, rate: Fraction | None, sound: "AudioStream | None" = None) -> Iterator[VideoWriter]:
    """A video that is written to `target` when the `with` block ends, and not at all if it fails.

    Args:
        target: The MP4 file.
        rate: Frames a second, as far as known.
        sound: A stream whose packets will be added; its codec is one of `SOUND`.
    """
    with replacing(target) as temporary, pyav().open(str(temporary), "w", format="mp4") as container:
        video = VideoWriter(container, rate or USUAL_RATE, sound)
        yield video
        video.finish()


def _even(picture: np.ndarray) -> np.ndarray:
    """The picture with a last row and column doubled where needed: H.264 wants even sides."""
    height, width = picture.shape[:2]
    return np.pad(picture, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")


def pyav() -> ModuleType:
    """PyAV. Raises UserError if it is missing."""
    try:
        import av
        import av.error
    except ImportError as error:
        raise UserError("PyAV is not installed, which reads videos", remedy="pip install 'amodal[video]'") from error
    return av
