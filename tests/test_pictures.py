"""Pictures: what is decoded and what is refused, every kind of pixel, and one rule for turned photographs."""

import ast
import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fsspec.implementations.memory import MemoryFileSystem
from PIL import EpsImagePlugin, Image

import amodal
from amodal import pictures, rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.data.dataset import AnnotatedImages
from amodal.demo.session import open_picture
from amodal.errors import UserError
from amodal.files import is_file
from amodal.formats import annotation_files, check, coco
from amodal.inference.completion import complete_annotations
from amodal.inference.eager import TorchModel
from amodal.inference.predictor import Predictor
from amodal.pictures import (
    OtherSize,
    check_image,
    image_size,
    read_annotated_image,
    read_image,
    read_mask,
    read_rgba,
    write_image,
)
from amodal.pixels import as_pixels
from amodal.results import drawn
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import FolderBackgrounds
from tests.small_models import SMALL, small_model

RED, GREEN, BLUE = (255, 0, 0), (0, 255, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def noise(height: int = 12, width: int = 20) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


# What is decoded


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP"])
def test_what_keeps_every_pixel_is_read_to_the_pixel(tmp_path: Path, kind: str) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(noise()), kind, lossless=True))
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), noise())
    assert image_size(tmp_path / "a.png") == (12, 20)
    check_image(tmp_path / "a.png", (12, 20))


def test_a_picture_is_read_by_its_address(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(encoded(Image.fromarray(noise()), "PNG"))
    store = MemoryFileSystem()
    store.pipe_file("/bucket/a.png", (tmp_path / "a.png").read_bytes())
    store.pipe_file("/bucket/text.png", b"no picture")
    for name in ("memory://bucket/a.png", Path("memory://bucket/a.png"), (tmp_path / "a.png").as_uri()):
        np.testing.assert_array_equal(as_pixels(name), noise())
    for name, problem in (
        ("memory://bucket/b.png", "no such file"),
        ("memory://bucket/text.png", "cannot be read as an image"),
        ("nowhere://a.png", "cannot be reached"),
    ):
        with pytest.raises(UserError, match=f"^{name}: {problem}"):
            as_pixels(name)


def test_what_is_on_this_disk_is_no_address(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "memory:").mkdir()
    (tmp_path / "memory:" / "a.png").write_bytes(encoded(Image.fromarray(noise()), "PNG"))
    monkeypatch.chdir(tmp_path)
    np.testing.assert_array_equal(as_pixels("memory:/a.png"), noise())


def test_of_several_pictures_the_first_is_read(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (6, 4), colour) for colour in (RED, BLUE)]
    for kind in ("GIF", "TIFF", "WEBP", "PNG"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(encoded(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True))
        assert (read_image(path) == RED).all(), kind


POSTSCRIPT = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n0 1 1e9 { pop } for\n"
FOREIGN = {
    "postscript": POSTSCRIPT,
    "qoi": b"qoif" + bytes([0, 0, 0, 1, 0, 0, 0, 1, 3, 0]) + bytes([254, 1, 2, 3]) + bytes(7) + b"\x01",
    "svg": b"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'/>",
    "text": b"no picture at all",
    "nothing": b"",
}


def foreign_pictures() -> dict[str, bytes]:
    """A file of every other format that this Pillow writes, and of some that it does not."""
    Image.init()
    found = dict(FOREIGN)
    for kind in sorted(Image.SAVE.keys() - {*pictures.FORMATS, "MPO"}):
        with contextlib.suppress(Exception):  # some formats take no such picture, or need a library
            found[kind] = encoded(Image.new("RGB", (8, 8)), kind)
    return found


@pytest.mark.parametrize("kind", foreign_pictures())
def test_other_formats_are_refused_before_any_decoder_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    def started(*_: Any, **__: Any) -> None:
        raise AssertionError("Ghostscript was started")

    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", started)
    path = tmp_path / "z.png"
    path.write_bytes(foreign_pictures()[kind])
    for read in (read_image, image_size, read_rgba, lambda p: read_annotated_image(p, (8, 8)), as_pixels):
        with pytest.raises(UserError, match=r"z\.png: cannot be read as an image \(it is no JPEG, PNG, "):
            read(path)
    with pytest.raises(UserError, match="cannot be read as an image"):
        read_mask(path.read_bytes())


def test_one_module_alone_opens_pictures() -> None:
    source = Path(amodal.__file__).parent
    for path in source.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "open" and isinstance(node.value, ast.Name):
                assert node.value.id != "Image" or path.name == "pictures.py", f"{path}:{node.lineno}"


def test_damage_is_one_line(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(noise(64, 64)), "JPEG")
    path = tmp_path / "a.jpg"
    for length in (1, 20, 300, len(whole) // 2):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"a\.jpg: cannot be read as an image") as error:
            read_image(path)
        assert "\n" not in str(error.value)
    for name in ("x" * 5000, "a\0b"):
        assert not is_file(tmp_path / name)
        with pytest.raises(UserError, match="no such file"):
            read_image(tmp_path / name)


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    path = tmp_path / "bomb.png"
    path.write_bytes(encoded(Image.new("1", (10_000, 10_000)), "PNG"))
    for read in (read_image, image_size, read_rgba, lambda p: check_image(p, (10_000, 10_000))):
        with pytest.raises(UserError, match=r"bomb\.png: (claims 10000x10000|.*exceeds limit)"):
            read(path)


# Every kind of pixel


def test_16_bits_are_scaled_by_their_full_range(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 256).round().astype(np.uint16).reshape(16, 16)
    for kind in ("PNG", "TIFF"):
        path = tmp_path / f"a.{kind.lower()}"
        path.write_bytes(encoded(Image.fromarray(ramp), kind))
        pixels = read_image(path)
        assert pixels.shape == (16, 16, 3)
        np.testing.assert_array_equal(pixels[..., 0].ravel(), np.arange(256))


def test_floats_are_taken_from_0_to_1_and_no_others(tmp_path: Path) -> None:
    path = tmp_path / "a.tiff"
    values = np.array([[0.0, 0.5], [1.0, 0.25]], np.float32)
    Image.fromarray(values).save(path)
    assert read_image(path)[..., 1].tolist() == [[0, 128], [255, 64]]
    for wrong in (255.0, -0.1, np.nan, np.inf):
        Image.fromarray(np.where(values == 1, np.float32(wrong), values)).save(path)
        with pytest.raises(UserError, match=r"a\.tiff: holds floats from .*not 0 to 1"):
            read_image(path)
    Image.fromarray(np.full((2, 2), 70_000, np.int32)).save(path)
    with pytest.raises(UserError, match=r"a\.tiff: holds whole numbers of 32 bits"):
        read_image(path)


def test_other_kinds_of_pixels_become_rgb(tmp_path: Path) -> None:
    red = Image.new("RGB", (5, 4), RED)
    clear = red.convert("P", palette=Image.Palette.ADAPTIVE)
    for image, kind, options in (
        (red.convert("CMYK"), "JPEG", {"quality": 100}),
        (red.convert("CMYK"), "TIFF", {}),
        (red.convert("P", palette=Image.Palette.ADAPTIVE), "PNG", {}),
        (clear, "PNG", {"transparency": bytes([128] * 256)}),
        (clear, "GIF", {"transparency": 0}),
        (red.convert("RGBA"), "PNG", {}),
    ):
        path = tmp_path / "a.png"
        path.write_bytes(encoded(image, kind, **options))
        assert (np.abs(read_image(path).astype(int) - RED) <= 4).all(), (image.mode, kind)
    for mode, value in (("LA", (90, 10)), ("1", 1), ("L", 90)):
        Image.new(mode, (5, 4), value).save(path)
        assert (read_image(path) == (255 if mode == "1" else 90)).all(), mode
    for mode in ("LA", "RGBA"):
        Image.new(mode, (5, 4), 0).save(path)
        assert read_rgba(path).shape == (4, 5, 4)


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    names = [Category(i, name) for i, name in enumerate(("cup", "pear", "cow"), start=1)]
    return Predictor(TorchModel(small_model(SMALL).eval(), names))


@pytest.mark.parametrize("size", [(4000, 1), (1, 4000), (3, 9000), (8, 8), (1, 1)])
def test_small_and_thin_pictures_have_results(tmp_path: Path, predictor: Predictor, size: tuple[int, int]) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(noise(*size)).save(path)
    result = predictor.predict(path, score_threshold=0.0)
    assert result.size == size
    height, width = size
    assert (result.boxes >= 0).all()
    assert (result.boxes <= [width, height, width, height]).all()
    one = predictor.complete(path, boxes=[[0, 0, width, height]], labels=[1])
    assert len(one) == 1


def test_a_picture_that_its_format_cannot_hold_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"a\.jpg: cannot be written as JPEG"):
        write_image(tmp_path / "a.jpg", np.zeros((1, 70_000, 3), np.uint8))
    assert not list(tmp_path.iterdir())


# One rule for turned photographs

UPRIGHT = np.zeros((36, 24, 3), np.uint8)
UPRIGHT[:] = RED
UPRIGHT[:, 12:] = BLUE
UPRIGHT[4:20, 4:10] = GREEN
"""As people see it: an object at the upper left."""
STORED = np.rot90(UPRIGHT).copy()
"""As the camera wrote it, to be turned by a quarter to the right (orientation 6)."""


@dataclass(frozen=True)
class Labelled:
    """A turned photograph in a folder, labelled in one of the two frames."""

    folder: Path
    frame: np.ndarray

    @property
    def annotation_set(self) -> AnnotationSet:
        height, width = self.frame.shape[:2]
        mask = rle.encode((self.frame == GREEN).all(axis=2)[None])[0]
        images, objects = [ImageRecord(1, "a.png", height, width)], [Annotation(1, 1, 1, mask, mask)]
        return AnnotationSet(images, objects, [Category(1, "leaf")], self.folder)


@pytest.fixture(params=["stored", "upright"])
def labelled(tmp_path: Path, request: pytest.FixtureRequest) -> Labelled:
    write_turned(tmp_path / "a.png")
    return Labelled(tmp_path, STORED if request.param == "stored" else UPRIGHT)


def write_turned(path: Path, orientation: int = 6, pixels: np.ndarray = STORED) -> None:
    notes = Image.Exif()
    notes[0x0112] = orientation
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, exif=notes)


def by_training_and_evaluation(labelled: Labelled) -> np.ndarray:
    return AnnotatedImages(labelled.annotation_set)[0]["image"].numpy().transpose(1, 2, 0)


def by_completion(labelled: Labelled) -> np.ndarray:
    seen: list[np.ndarray] = []

    class Model:
        is_class_agnostic = True

    class Completer:
        model = Model
        categories = (Category(1, "leaf"),)

        def complete(self, pixels: np.ndarray, **_: Any) -> Any:
            seen.append(pixels)
            raise UserError("seen enough")

    with pytest.raises(UserError, match="seen enough"):
        complete_annotations(labelled.annotation_set, Completer())  # type: ignore[arg-type]
    return seen[0]


def by_pages(labelled: Labelled) -> np.ndarray:
    pixels, problem = drawn.photograph(labelled.annotation_set.images[0], labelled.folder)
    assert problem == ""
    return pixels


def by_the_function(labelled: Labelled) -> np.ndarray:
    return read_annotated_image(labelled.folder / "a.png", labelled.frame.shape[:2])  # type: ignore[arg-type]


WITH_LABELS: dict[str, Callable[[Labelled], np.ndarray]] = {
    function.__name__: function for function in (by_the_function, by_training_and_evaluation, by_completion, by_pages)
}


@pytest.mark.parametrize("user", WITH_LABELS)
def test_labels_mean_the_frame_that_their_size_fits(labelled: Labelled, user: str) -> None:
    np.testing.assert_array_equal(WITH_LABELS[user](labelled), labelled.frame)


def test_cut_outs_and_the_check_up_take_the_same_frame(labelled: Labelled) -> None:
    cut_out = AnnotatedCutOuts(labelled.annotation_set, min_area=8).sample(np.random.default_rng(0))
    assert (cut_out.pixels[cut_out.alpha == 255] == GREEN).all()
    path = labelled.folder / "truth.json"
    coco.write(labelled.annotation_set, path)
    assert not check.check(path, labelled.folder).counts


def by_prediction(folder: Path) -> np.ndarray:
    return as_pixels(folder / "a.png")


def by_prediction_of_a_pillow_image(folder: Path) -> np.ndarray:
    with Image.open(folder / "a.png") as image:
        return as_pixels(image)


def by_the_page(folder: Path) -> np.ndarray:
    class Blind:
        def predict(self, pixels: np.ndarray, **_: Any) -> np.ndarray:
            return pixels

    return open_picture(Blind(), folder / "a.png").pixels  # type: ignore[arg-type]


def by_backgrounds(folder: Path) -> np.ndarray:
    backgrounds = FolderBackgrounds(folder)
    backgrounds.sample((8, 8), np.random.default_rng(0))
    (photograph,) = backgrounds._recent._values.values()
    return np.asarray(photograph)


def by_cut_outs(folder: Path) -> np.ndarray:
    write_turned(folder / "b" / "c.png", pixels=np.dstack([STORED, np.full(STORED.shape[:2], 255, np.uint8)]))
    return read_rgba(folder / "b" / "c.png")[..., :3]


WITHOUT_LABELS: dict[str, Callable[[Path], np.ndarray]] = {
    function.__name__: function
    for function in (by_prediction, by_prediction_of_a_pillow_image, by_the_page, by_backgrounds, by_cut_outs)
}


@pytest.mark.parametrize("user", WITHOUT_LABELS)
def test_without_labels_a_photograph_is_upright(tmp_path: Path, user: str) -> None:
    write_turned(tmp_path / "a.png")
    np.testing.assert_array_equal(WITHOUT_LABELS[user](tmp_path), UPRIGHT)


def test_formats_that_state_no_size_mean_the_upright_frame(tmp_path: Path) -> None:
    write_turned(tmp_path / "images" / "a.png")
    (tmp_path / "labels").mkdir()
    (tmp_path / "labels" / "a.txt").write_text(
        f"0 {4 / 24} {4 / 36} {10 / 24} {4 / 36} {10 / 24} {20 / 36} {4 / 24} {20 / 36}"
    )
    (tmp_path / "data.yaml").write_text("names: [leaf]\n")
    found = annotation_files.read(tmp_path)
    assert (found.images[0].height, found.images[0].width) == (36, 24)
    np.testing.assert_array_equal(
        rle.decode([found.annotations[0].amodal], (36, 24))[0], (UPRIGHT == GREEN).all(axis=2)
    )
    np.testing.assert_array_equal(AnnotatedImages(found)[0]["image"].numpy().transpose(1, 2, 0), UPRIGHT)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["png", "jpg", "tiff", "webp"])
def test_all_eight_turns_are_known(tmp_path: Path, orientation: int, kind: str) -> None:
    path = tmp_path / f"a.{kind}"
    back = {1: None, 2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}[orientation]  # Pillow's numbers of what undoes each
    stored = Image.fromarray(np.repeat(np.repeat(UPRIGHT, 4, axis=0), 4, axis=1))
    stored = stored if back is None else stored.transpose(Image.Transpose(back))
    notes = Image.Exif()
    notes[0x0112] = orientation
    stored.save(path, exif=notes, quality=100)
    found = read_image(path)
    assert image_size(path) == found.shape[:2] == (144, 96)
    assert np.abs(found[2::4, 2::4].astype(int) - UPRIGHT).mean() < 8


def test_another_size_is_told(tmp_path: Path) -> None:
    write_turned(tmp_path / "a.png", orientation=3)  # a half turn: no other size to choose
    for size in ((36, 24), (24, 35)):
        with pytest.raises(OtherSize, match=r"a\.png: is 36x24, the annotations say"):
            read_annotated_image(tmp_path / "a.png", size)


def test_notes_that_are_damaged_turn_nothing(tmp_path: Path) -> None:
    whole = encoded(Image.fromarray(noise()), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\x7f" + b"\x01" * 9)
    (tmp_path / "a.png").write_bytes(whole)
    np.testing.assert_array_equal(read_image(tmp_path / "a.png"), noise())
