"""Videos: every frame comes through, colours follow objects, nothing is held, bad files are named."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from amodal.annotations import Category
from amodal.errors import UserError
from amodal.inference.found import Found
from amodal.inference.predictor import Predictor
from amodal.inference.render import Style
from amodal.inference.result import Result
from amodal.inference.tracking import PATIENCE, Tracker
from amodal.inference.video import predict_video

av = pytest.importorskip("av")

HEIGHT, WIDTH = 96, 130


class Bright:
    """Finds the one bright square of a frame."""

    categories = (Category(1, "square"),)

    def find(self, images):
        return [self._found(image) for image in images]

    def _found(self, image: np.ndarray) -> Found:
        rows, columns = np.nonzero(image.mean(axis=2) > 128)
        boxes = np.array([[columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]], np.float32)
        full = np.ones((1, 28, 28), np.float32)
        return Found(boxes, np.array([1]), np.array([0.9], np.float32), full, full)

    def complete(self, image, prompts):
        raise NotImplementedError


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
    assert predict_video(Predictor(Bright()), source, tmp_path / "out.mp4", style=Style(labels=False)) == 6
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
    predict_video(Predictor(Bright()), source, tmp_path / "out.mp4", style=Style(scale=0.51))
    assert read_clip(tmp_path / "out.mp4")[0].shape == (50, 66, 3)


def test_a_long_clip_takes_no_more_memory_than_a_short_one(tmp_path):
    def peak(frames: int) -> int:
        source = write_clip(tmp_path / f"{frames}.mp4", frames)
        tracemalloc.start()
        predict_video(Predictor(Bright()), source, tmp_path / "out.mp4", style=Style(labels=False))
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    peak(2)  # imports
    assert peak(60) < peak(10) + 5 * HEIGHT * WIDTH * 3


def test_what_is_no_video_is_named(tmp_path):
    (tmp_path / "a.mp4").write_text("no video")
    with pytest.raises(UserError, match=r"a\.mp4: cannot be read as a video"):
        predict_video(Predictor(Bright()), tmp_path / "a.mp4", tmp_path / "out.mp4")
    with pytest.raises(UserError, match=r"b\.mp4: no such file"):
        predict_video(Predictor(Bright()), tmp_path / "b.mp4", tmp_path / "out.mp4")
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


def test_a_number_is_given_up_in_the_end():
    tracker = Tracker()
    tracker.update(squares((1, 0, 0)))
    for _ in range(PATIENCE + 1):
        tracker.update(squares())
    assert tracker.update(squares((1, 0, 0))).tolist() == [1]
