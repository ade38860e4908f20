"""Videos and cameras: every frame comes through, colours follow objects, nothing is held, bad sources are named."""

import struct
import time
import tracemalloc
from fractions import Fraction
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks
from amodal.commands.predict import How, predict
from amodal.drawing.render import Style
from amodal.errors import UserError
from amodal.inference import predictor
from amodal.inference.predictor import Predictor
from amodal.results.result import Result
from amodal.video import camera
from amodal.video.camera import Device, device, is_live, predict_camera
from amodal.video.predict import Painter, predict_video
from amodal.video.tracking import PATIENCE, Tracker

av = pytest.importorskip("av")

HEIGHT, WIDTH = 96, 130


class Bright:
    """Finds the one bright square of a frame."""

    categories = (Category(1, "square"),)

    def detect(self, images, *, score_threshold=0.0, coarse=False):
        return [self._found(image) for image in images]

    def _found(self, image: np.ndarray) -> BoxedMasks:
        rows, columns = np.nonzero(image.mean(axis=2) > 128)
        boxes = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        full = np.ones((1, 28, 28), np.float32)
        return BoxedMasks(boxes, np.array([1]), np.array([0.9], np.float32), full, full)

    def complete(self, image, prompts):
        raise NotImplementedError


def painter(style: Style | None = None) -> Painter:
    return Painter(Predictor(Bright()), 0.5, style or Style(labels=False))


def write_clip(path: Path, frames: int = 6, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.height, stream.width, stream.pix_fmt = *size, "yuv420p"
        for index in range(frames):
            pixels = np.zeros((*size, 3), np.uint8)
            pixels[20:50, 10 + 8 * (index % 10) : 40 + 8 * (index % 10)] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode())
    return path


def read_clip(path: Path) -> list[np.ndarray]:
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def test_every_frame_is_drawn_at_its_size_and_rate(tmp_path):
    source = write_clip(tmp_path / "clip.mp4")
    assert predict_video(painter(), source, tmp_path / "out.mp4") == 6
    frames = read_clip(tmp_path / "out.mp4")
    assert [frame.shape for frame in frames] == [(HEIGHT, WIDTH, 3)] * 6
    for index, frame in enumerate(frames):
        tint = frame[30:40, 20 + 8 * index : 30 + 8 * index].mean(axis=(0, 1))
        assert tint.max() - tint.min() > 30  # white no more
        assert np.abs(tint - frames[0][30:40, 20:30].mean(axis=(0, 1))).max() < 12  # and of one colour throughout
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert container.streams.video[0].average_rate == 10


def test_odd_sides_are_made_even(tmp_path):
    source = write_clip(tmp_path / "clip.avi", frames=2, size=(HEIGHT, WIDTH))
    predict_video(painter(Style(scale=0.51)), source, tmp_path / "out.mp4")
    assert read_clip(tmp_path / "out.mp4")[0].shape == (50, 66, 3)


def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path):
    def peak(frames: int) -> int:
        source = write_clip(tmp_path / f"{frames}.mp4", frames)
        tracemalloc.start()
        predict_video(painter(), source, tmp_path / "out.mp4")
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)  # imports
    assert peak(60) < peak(10) + 5 * HEIGHT * WIDTH * 3


def add_sound(path: Path, codec: str, target: Path) -> Path:
    """The clip with half a second of a tone, so that sound and picture lie interleaved."""
    with av.open(str(path)) as clip, av.open(str(target), "w") as container:
        video = container.add_stream_from_template(clip.streams.video[0])
        sound = container.add_stream(codec, rate=48_000)
        tone = (np.sin(np.arange(24_000) / 20) * 8000).astype(np.int16)[None]
        for packet in clip.demux(video=0):
            if packet.dts is not None:
                packet.stream = video
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(tone, format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 0, Fraction(1, 48_000)
        wanted = av.AudioResampler(
            sound.format, sound.layout, 48_000, frame_size=sound.codec_context.frame_size or 1024
        )
        for piece in [*wanted.resample(frame), *wanted.resample(None)]:
            container.mux(sound.encode(piece))
        container.mux(sound.encode(None))
    return target


def sound_of(path: Path) -> list[bytes]:
    with av.open(str(path)) as container:
        return [bytes(packet) for packet in container.demux(audio=0) if packet.dts is not None]


def test_sound_is_kept_where_mp4_can_hold_it(tmp_path, capsys):
    clip = write_clip(tmp_path / "clip.mp4")
    source = add_sound(clip, "aac", tmp_path / "loud.mp4")
    predict_video(painter(), source, tmp_path / "out.mp4")
    assert sound_of(tmp_path / "out.mp4") == sound_of(source) != []
    assert len(read_clip(tmp_path / "out.mp4")) == 6
    predict_video(painter(), add_sound(clip, "pcm_s16le", tmp_path / "raw.mkv"), tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert not container.streams.audio
    assert "sound of kind pcm_s16le is left out" in capsys.readouterr().out


def test_uneven_times_of_frames_are_kept(tmp_path):
    moments = [0, 40, 60, 500, 520]
    with av.open(str(tmp_path / "clip.mkv"), "w") as container:
        stream = container.add_stream("mpeg4", rate=1000)
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for moment in moments:
            frame = av.VideoFrame.from_ndarray(np.full((HEIGHT, WIDTH, 3), 200, np.uint8), format="rgb24")
            frame.pts, frame.time_base = moment, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    predict_video(painter(), tmp_path / "clip.mkv", tmp_path / "out.mp4")
    with av.open(str(tmp_path / "out.mp4")) as container:
        assert [round(1000 * frame.time) for frame in container.decode(video=0)] == moments


def test_a_telephone_held_upright_gives_an_upright_video(tmp_path):
    source = write_clip(tmp_path / "clip.mp4", frames=2)
    content = bytearray(source.read_bytes())
    matrix = content.index(b"tkhd") + 44
    content[matrix : matrix + 36] = struct.pack(">9i", 0, 1 << 16, 0, -1 << 16, 0, 0, 0, 0, 1 << 30)  # clockwise
    source.write_bytes(content)
    predict_video(painter(), source, tmp_path / "out.mp4")
    frame = read_clip(tmp_path / "out.mp4")[0]
    assert frame.shape == (WIDTH, HEIGHT, 3)
    assert frame[15:35, 50:72].mean() > 100  # the square of rows 20-50, columns 10-40, turned clockwise
    assert frame[60:, :].mean() < 20


def test_it_stops_after_so_many_frames(tmp_path):
    assert predict_video(painter(), write_clip(tmp_path / "clip.mp4"), tmp_path / "out.mp4", max_frames=4) == 4
    assert len(read_clip(tmp_path / "out.mp4")) == 4


@pytest.mark.parametrize(
    ("address", "platform", "expected"),
    [
        ("camera", "linux", Device("/dev/video0", "v4l2")),
        ("camera:2", "linux", Device("/dev/video2", "v4l2")),
        ("/dev/video1", "linux", Device("/dev/video1", "v4l2")),
        ("camera:1", "darwin", Device("1:none", "avfoundation", {"framerate": "30"})),
        ("camera:Webcam C1", "win32", Device("video=Webcam C1", "dshow")),
        ("rtsp://door/1", "linux", Device("rtsp://door/1", None, {"rtsp_transport": "tcp"})),
        ("http://door/stream", "linux", Device("http://door/stream")),
    ],
)
def test_addresses_of_cameras(address, platform, expected):
    assert is_live(address)
    assert device(address, platform) == expected


def test_what_is_no_camera():
    assert not any(is_live(each) for each in ("camera.jpg", "clip.mp4", "hf://a/b", "/dev/null", "cameras"))
    with pytest.raises(UserError, match="'camera' names no camera"):
        device("camera", "win32")


class Slow(Bright):
    """Takes longer for a frame than the next one takes to come; presses Ctrl+C in the end."""

    def __init__(self, interrupt_after: int | None = None) -> None:
        self.seen: list[float] = []
        self.interrupt_after = interrupt_after

    def detect(self, images, *, score_threshold=0.0, coarse=False):
        if len(self.seen) == self.interrupt_after:
            raise KeyboardInterrupt
        time.sleep(0.12)
        self.seen.append(float(images[0][:, :, 2].mean()))
        return super().detect(images)


def test_a_model_slower_than_the_camera_gets_its_newest_frames(tmp_path, monkeypatch):
    """FFmpeg's own test source stands for a camera: 25 frames a second, as in life, each with a clock in it."""
    source = Device("testsrc=size=128x96:rate=25:duration=1.6,realtime", "lavfi")
    monkeypatch.setattr(camera, "device", lambda _: source)
    slow = Slow()
    frames = predict_camera(Painter(Predictor(slow), 0.5, None), "camera", tmp_path / "out.mp4")
    assert 3 <= frames == len(slow.seen) < 30  # of 40
    with av.open(str(tmp_path / "out.mp4")) as container:
        times = [frame.time for frame in container.decode(video=0)]
    assert len(times) == frames
    assert times[0] == 0
    assert all(later > earlier for earlier, later in pairwise(times))
    assert 0.8 < times[-1] < 8  # the camera's time, not the model's


@pytest.mark.parametrize("end", ["interruption", "count"])
def test_a_camera_goes_on_until_it_is_stopped(end, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(camera, "device", lambda _: Device("testsrc=size=128x96:rate=25,realtime", "lavfi"))
    monkeypatch.setattr(predictor, "load", lambda *_: Predictor(Slow(3 if end == "interruption" else None)))
    predict(("camera",), out=tmp_path, how=How(max_frames=3 if end == "count" else None))
    assert len(read_clip(tmp_path / "camera.mp4")) == 3
    assert "3 frames" in capsys.readouterr().out


def test_a_camera_that_is_not_there_is_named(tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"rtsp://127\.0\.0\.1:1/a cannot be opened"):
        predict_camera(painter(), "rtsp://127.0.0.1:1/a", tmp_path / "out.mp4")
    monkeypatch.setattr(camera, "device", lambda _: Device("aevalsrc=0:d=1", "lavfi"))
    with pytest.raises(UserError, match="camera sends no pictures"):
        predict_camera(painter(), "camera", tmp_path / "out.mp4")
    with pytest.raises(UserError, match="camera goes on until it is stopped"):
        predict(("camera", "a.jpg"))
    assert not list(tmp_path.iterdir())


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"a\.mp4: cannot be read as a video"):
        predict_video(painter(), tmp_path / "a.mp4", tmp_path / "out.mp4")
    with pytest.raises(UserError, match=r"b\.mp4: no such file"):
        predict_video(painter(), tmp_path / "b.mp4", tmp_path / "out.mp4")
    assert not list(tmp_path.glob("*out*"))


def squares(*places: tuple[int, int, int]) -> Result:
    """Squares of side 10 at (label, top, left)."""
    masks = np.zeros((len(places), 60, 60), dtype=bool)
    for mask, (_, top, left) in zip(masks, places, strict=True):
        mask[top : top + 10, left : left + 10] = True
    labels = np.array([label for label, _, _ in places], dtype=np.int64)
    categories = (Category(1, "a"), Category(2, "b"))
    empty = np.zeros((len(places), 4), np.float32)
    return Result(empty, labels, np.ones(len(places), np.float32), categories, masks, masks)


def test_numbers_follow_objects():
    tracker = Tracker()
    assert tracker.update(squares((1, 0, 0), (1, 30, 30))).tolist() == [0, 1]
    assert tracker.update(squares((1, 32, 31), (1, 2, 1))).tolist() == [1, 0]  # order does not matter
    assert tracker.update(squares((2, 2, 1), (1, 50, 0))).tolist() == [2, 3]  # another class, another place
    assert tracker.update(squares()).tolist() == []
    assert tracker.update(squares((1, 31, 30), (2, 3, 1))).tolist() == [1, 2]  # lost for a while


def test_a_thin_object_keeps_its_number_when_it_moves():
    rings = []
    for place in (0, 4):
        ring = squares((1, 0, 0))
        ring.masks[:] = False
        ring.masks[0, place : place + 40, place : place + 40] = True
        ring.masks[0, place + 2 : place + 38, place + 2 : place + 38] = False
        rings.append(ring)
    tracker = Tracker()
    assert tracker.update(rings[0]).tolist() == tracker.update(rings[1]).tolist() == [0]


def test_a_number_is_given_up_in_the_end():
    tracker = Tracker()
    tracker.update(squares((1, 0, 0)))
    for _ in range(PATIENCE + 1):
        tracker.update(squares())
    assert tracker.update(squares((1, 0, 0))).tolist() == [1]
