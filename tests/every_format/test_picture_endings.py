"""Formats that name a picture without its ending find it whatever the ending, in folders within folders too."""

import shutil
import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest

from amodal.errors import UserError
from amodal.formats import annotation_files, image_folder
from amodal.formats.check import check
from tests.annotation_files import cocoa, d2sa, save, save_image
from tests.every_format.test_habits import CUP_LINE, yolo
from tests.every_format.test_mask_pictures import voc

STEMS = ("a", "day 1/a", "day.2/img.7.v2")


def moved(file: Path, folder: Path) -> None:
    """A file under each of the stems."""
    for stem in STEMS:
        place = folder / f"{stem}{file.suffix}"
        place.parent.mkdir(parents=True, exist_ok=True)
        if place != file:
            shutil.copy(file, place)


def yolos(folder: Path) -> Path:
    yolo(folder, CUP_LINE)
    moved(folder / "labels" / "a.txt", folder / "labels")
    (folder / "images" / "a.png").unlink()
    return folder / "images"


def vocs(folder: Path) -> Path:
    voc(folder, xml="<annotation></annotation>")
    for name, ending in (("SegmentationObject", ".png"), ("SegmentationClass", ".png"), ("Annotations", ".xml")):
        moved(folder / name / f"a{ending}", folder / name)
    (folder / "JPEGImages" / "a.jpg").unlink()
    return folder / "JPEGImages"


@pytest.mark.parametrize("write", [yolos, vocs])
@pytest.mark.parametrize("ending", [".jpg", ".JPG", ".Jpeg", ".PNG", ".tif"])
def test_pictures_are_found_by_their_stems(write: Callable[[Path], Path], ending: str, tmp_path: Path) -> None:
    pictures = write(tmp_path / "data")
    for stem in STEMS:
        save_image(pictures / f"{stem}.png").rename(pictures / f"{stem}{ending}")
    result = annotation_files.read(tmp_path / "data")
    assert sorted(image.file_name for image in result.images) == sorted(f"{stem}{ending}" for stem in STEMS)
    assert len({annotation.image_id for annotation in result.annotations}) == 3
    assert result.repairs == {}


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC"), ("NFC", "NFC")])
def test_accents_may_be_written_either_way(forms: tuple[str, str], tmp_path: Path) -> None:
    stated, there = (unicodedata.normalize(form, "Tür/gräu.png") for form in forms)
    save_image(tmp_path / "images" / there)
    content = d2sa()
    content["images"] = [{"id": 10, "file_name": stated}]  # neither height nor width: the picture is measured
    result = annotation_files.read(save(content, tmp_path / "in.json"))
    assert [(image.file_name, image.height, image.width) for image in result.images] == [(stated, 6, 8)]
    assert result.image_folder == tmp_path / "images"
    place = result.images[0].place_in(tmp_path / "images")
    assert place == tmp_path / "images" / there
    assert not check(tmp_path / "in.json", tmp_path / "images").counts


def test_folders_may_be_parted_as_on_windows(tmp_path: Path) -> None:
    save_image(tmp_path / "images" / "day" / "a.png")
    content = d2sa()
    content["images"] = [{"id": 10, "file_name": "day\\a.png"}]
    path = save(content, tmp_path / "in.json")
    assert not check(path).counts
    for to in ("d2sa", "labelme", "yolo-amodal"):
        out = tmp_path / to / ("out.json" if to == "d2sa" else "out")
        annotation_files.WRITERS[to](annotation_files.read(path), out)
        again = annotation_files.read(out, tmp_path / "images" if to == "d2sa" else None)
        assert isinstance(place := again.images[0].place_in(again.image_folder or tmp_path), Path)
        assert place.resolve() == tmp_path / "images" / "day" / "a.png"


def test_of_several_pictures_the_usual_one_is_taken(tmp_path: Path) -> None:
    for ending in (".tif", ".png", ".JPG"):
        (tmp_path / f"a{ending}").touch()
    (tmp_path / "a.txt").touch()
    find = image_folder.by_stem(tmp_path)
    assert (find(Path("a")), find(Path("b")), find(Path("no/a"))) == ("a.JPG", None, None)
    assert image_folder.by_stem(None)(Path("a")) is None


def test_cocoas_single_files_find_the_picture_beside_them(tmp_path: Path) -> None:
    save_image(tmp_path / "one.png").rename(tmp_path / "one.JPG")
    result = annotation_files.read(save(cocoa()["annotations"][0], tmp_path / "one.json"))
    assert [image.file_name for image in result.images] == ["one.JPG"]


@pytest.mark.parametrize("split", ["train", "labels/train"])
def test_a_split_of_yolos_is_a_data_set(split: str, tmp_path: Path) -> None:
    """Roboflow's `train` holds images and labels; ultralytics' images and labels hold `train`."""
    for name, lines in (("train", [CUP_LINE]), ("val", [CUP_LINE, CUP_LINE])):
        yolo(tmp_path / name, *lines)
        if split != name:
            for kind in ("images", "labels"):
                (tmp_path / kind).mkdir(exist_ok=True)
                (tmp_path / name / kind).rename(tmp_path / kind / name)
    (tmp_path / "train" / "data.yaml").rename(tmp_path / "data.yaml")
    result = annotation_files.read(tmp_path / split)
    assert [image.file_name for image in result.images] == ["a.png"]
    assert (len(result.annotations), [category.name for category in result.categories]) == (1, ["cup"])
    assert (result.image_folder or tmp_path).joinpath("a.png").is_file()


def test_a_yolo_data_set_without_labels_says_what_to_give(tmp_path: Path) -> None:
    (tmp_path / "data.yaml").write_text("names: [cup]")
    (tmp_path / "train" / "labels").mkdir(parents=True)
    with pytest.raises(UserError, match=r"no folder 'labels' beside data.yaml.*'train'"):
        annotation_files.read(tmp_path)
