"""Cut-outs and backgrounds from folders and annotation files: what is read, how it is split, what is refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.synthesis.annotated import AnnotatedCutOuts
from amodal.synthesis.backgrounds import FolderBackgrounds, open_backgrounds
from amodal.synthesis.cutout_sources import open_cutouts
from amodal.synthesis.cutouts import CutOut, FolderCutOuts, Recent, num_bytes_of
from tests.places import SHARED

RNG = np.random.default_rng


def save(path: Path, rgba: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(rgba).save(path)


def picture(value: int, alpha: int = 255) -> np.ndarray:
    """10 x 12 pixels with an opaque middle of 4 x 6."""
    rgba = np.zeros((10, 12, 4), np.uint8)
    rgba[3:7, 2:8] = (value, value, value, alpha)
    return rgba


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in (1, 2, 3, 10):
        for view in ("a", "b"):
            save(tmp_path / "car" / f"car{number}" / f"{view}.png", picture(10 * number))
    save(tmp_path / "ball" / "only" / "1.png", picture(200))
    save(tmp_path / "cup" / "red.png", picture(5))  # a picture without an object folder
    save(tmp_path / "cup" / "blue.png", picture(6))
    (tmp_path / ".hidden").mkdir()
    (tmp_path / "readme.txt").write_text("no category")
    return tmp_path


def names(source: FolderCutOuts) -> set[tuple[str, str]]:
    rng = RNG(0)
    return {(cut.category, cut.name) for cut in (source.sample(rng) for _ in range(200))}


def test_a_folder_is_read_and_split_by_object_in_natural_order(folder: Path):
    cars = [("car", f"car{number}") for number in (1, 2, 3, 10)]
    train, val = FolderCutOuts(folder, "train"), FolderCutOuts(folder, "val")
    assert train.categories == val.categories == ("ball", "car", "cup")
    assert names(train) == {*cars[:3], ("ball", "only"), ("cup", "blue")}
    assert names(val) == {cars[3], ("cup", "red")}
    assert names(FolderCutOuts(folder)) == names(train) | names(val)
    assert names(FolderCutOuts(folder, "train", 0.5)) & set(cars) == set(cars[:2])


def test_a_cut_out_is_cropped_to_what_is_seen(folder: Path):
    cut_out = FolderCutOuts(folder / ".." / folder.name, "val").sample(RNG(1))
    assert cut_out.alpha.shape == (4, 6)
    assert cut_out.pixels.shape == (4, 6, 3)
    assert (cut_out.alpha == 255).all()


def test_eth80_is_split_as_its_page_says():
    eth80 = SHARED / "data" / "eth80"
    if not eth80.is_dir():
        pytest.skip("../shared/data/eth80 is not here")
    train, val = FolderCutOuts(eth80, "train"), FolderCutOuts(eth80, "val")
    assert train.categories == ("apple", "car", "cow", "cup", "dog", "horse", "pear", "tomato")
    assert [len(objects) for objects in train.objects.values()] == [6] * 8
    assert [len(objects) for objects in val.objects.values()] == [2] * 8
    assert {path.parent.name for views in val.objects[7] for path in views} == {"tomato7", "tomato8"}


def test_what_is_no_folder_of_cut_outs_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="no such folder"):
        open_cutouts(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"no cut-outs.*<category>/<object>"):
        open_cutouts(str(tmp_path))
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "plain.png")
    with pytest.raises(UserError, match="no cut-outs"):  # pictures, but no category
        open_cutouts(str(tmp_path))
    (tmp_path / "car").mkdir()
    (tmp_path / "plain.png").rename(tmp_path / "car" / "plain.png")
    with pytest.raises(UserError, match=r"plain\.png: has no transparency"):
        open_cutouts(str(tmp_path))
    save(tmp_path / "car" / "plain.png", picture(9, alpha=0))
    with pytest.raises(UserError, match="wholly transparent"):
        open_cutouts(str(tmp_path))
    (tmp_path / "car" / "plain.png").write_bytes(b"\x89PNG broken")
    with pytest.raises(UserError, match=r"plain\.png: cannot be read"):
        open_cutouts(str(tmp_path))


def test_one_object_cannot_be_split(tmp_path: Path):
    save(tmp_path / "car" / "car1" / "a.png", picture(9))
    with pytest.raises(UserError, match="split 'val'"):
        open_cutouts(str(tmp_path), "val")


def test_a_file_that_breaks_later_is_named_when_it_is_read(folder: Path):
    source = FolderCutOuts(folder, "val")
    (folder / "cup" / "red.png").write_bytes(b"gone")
    with pytest.raises(UserError, match=r"red\.png: cannot be read"):
        for _ in range(20):
            source.sample(RNG(_))


def test_memory_of_decoded_cut_outs_is_bounded():
    cut_out = CutOut.of(np.zeros((10, 10, 3), np.uint8), np.zeros((10, 10), np.uint8), "a")
    recent = Recent[CutOut](num_bytes_of, limit=2 * num_bytes_of(cut_out))
    made = []

    def make(key: str) -> CutOut:
        made.append(key)
        return cut_out

    for key in "abacab":
        recent.get(key, lambda key=key: make(key))
    assert made == ["a", "b", "c", "b"]  # a was used again and kept; b gave way to c and was made anew


def disc_set(tmp_path: Path) -> AnnotationSet:
    """Four images of 60 x 80: each has a whole square, an occluded one, a crowd, and one cut by the edge."""
    whole, other, edge, small = (np.zeros((60, 80), bool) for _ in range(4))
    whole[5:25, 10:40], other[30:55, 20:60], edge[30:60, 60:80], small[2:4, 2:4] = True, True, True, True
    partly = other.copy()
    partly[:, :30] = False
    codes = dict(zip("wopes", rle.encode(np.stack([whole, other, partly, edge, small])), strict=True))
    images, annotations = [], []
    for image_id in (1, 2, 3, 4):
        images.append(ImageRecord(image_id, f"{image_id}.png", 60, 80))
        pixels = np.full((60, 80, 3), 255, np.uint8)
        pixels[whole] = 20 * image_id
        Image.fromarray(pixels).save(tmp_path / f"{image_id}.png")
        records = [
            (9, "w", "w", False),
            (9, "o", "p", False),
            (4, "o", "o", True),
            (4, "e", "e", False),
            (4, "s", "s", False),
        ]
        for category, amodal, visible, crowd in records:
            number = len(annotations) + 1
            annotations.append(Annotation(number, image_id, category, codes[amodal], codes[visible], is_crowd=crowd))
    return AnnotationSet(images, annotations, [Category(9, "box"), Category(4, "ball")], tmp_path)


def test_only_whole_objects_become_cut_outs_and_images_are_split(tmp_path: Path):
    train, val = (AnnotatedCutOuts(disc_set(tmp_path), split, min_area=100) for split in ("train", "val"))
    assert train.categories == ("ball", "box")  # in the order of their ids, as labels are
    values = {int(train.sample(RNG(seed)).pixels[10, 15, 0]) for seed in range(30)}
    assert values == {20, 40, 60}
    cut_out = val.sample(RNG(0))
    assert cut_out.category == "box"
    assert int(cut_out.pixels[10, 15, 0]) == 80
    mask = cut_out.alpha >= 128
    assert (cut_out.alpha[mask.nonzero()] >= 128).all()
    assert_array_equal(mask.shape, (22, 32))  # one pixel more on each side, for the soft edge
    assert abs(mask.sum() - 20 * 30) <= 4  # the edge is soft, the mask all but its corners the same


def test_annotations_that_give_no_cut_outs_are_refused(tmp_path: Path):
    annotation_set = disc_set(tmp_path)
    with pytest.raises(UserError, match="no unoccluded object of 5000 pixels"):
        AnnotatedCutOuts(annotation_set, min_area=5000)
    without_images = AnnotationSet(annotation_set.images, annotation_set.annotations, annotation_set.categories)
    with pytest.raises(UserError, match="images were not found"):
        AnnotatedCutOuts(without_images)
    twice = AnnotationSet([], [], [Category(1, "box"), Category(2, "box")], tmp_path)
    with pytest.raises(UserError, match="the same name"):
        AnnotatedCutOuts(twice)
    Image.fromarray(np.zeros((30, 40, 3), np.uint8)).save(tmp_path / "4.png")
    with pytest.raises(UserError, match=r"4\.png: is 40x30, the annotations say 80x60"):
        AnnotatedCutOuts(annotation_set, "val", min_area=100).sample(RNG(0))


def test_backgrounds_of_a_folder_are_split_cropped_and_resized(tmp_path: Path):
    for i in range(4):
        Image.fromarray(np.full((30 + i, 50, 3), 60 * i, np.uint8)).save(tmp_path / f"{i}.png")
    train, val = FolderBackgrounds(tmp_path, "train"), FolderBackgrounds(tmp_path, "val")
    assert [path.name for path in train.paths] == ["0.png", "1.png", "2.png"]
    assert [path.name for path in val.paths] == ["3.png"]
    assert_array_equal(val.sample((64, 32), RNG(0)), np.full((64, 32, 3), 180, np.uint8))
    with pytest.raises(UserError, match="no such folder"):
        open_backgrounds(str(tmp_path / "nowhere"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="no images"):
        open_backgrounds(str(tmp_path / "empty"))
