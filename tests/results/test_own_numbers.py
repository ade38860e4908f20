"""Results of `amodal predict` on data that number images and categories otherwise: names tell what is meant."""

import json
from pathlib import Path
from typing import Any
from unicodedata import normalize

import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.errors import UserError
from amodal.evaluation.score import score
from amodal.inference.complete_results import images_of
from amodal.results import result_files
from tests.annotation_files import CUP, CUP_SEEN, SIZE, save_image, text_rle

NAMES = ("cup", "Jug")


def predicted(folder: Path, files: tuple[str, ...], *, form: str = "seen/{}") -> Path:
    """As `amodal predict` leaves them: a cup in each image, which are numbered from 1; categories are 3 and 4."""
    masks = {"segmentation": text_rle(CUP), "visible_mask": text_rle(CUP_SEEN)}
    found = [{"image_id": n, "category_id": 3, "score": n / 10, **masks} for n in range(1, len(files) + 1)]
    listed = [{"id": n, "file_name": form.format(file)} for n, file in enumerate(files, start=1)]
    categories = [{"id": n, "name": name} for n, name in enumerate(NAMES, start=3)]
    return written(folder, found, {"images": listed, "categories": categories})


def written(folder: Path, found: list[dict[str, Any]], about: dict[str, Any]) -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "images.json").write_text(json.dumps(about))
    (folder / "predictions.json").write_text(json.dumps(found))
    return folder / "predictions.json"


def truth(files: dict[int, str], categories: dict[int, str]) -> AnnotationSet:
    images = [ImageRecord(number, file, *SIZE) for number, file in files.items()]
    return AnnotationSet(images, [], [Category(*one) for one in categories.items()])


def numbers(path: Path, data: AnnotationSet) -> list[tuple[int, int]]:
    found = result_files.read(path, data)
    return list(zip(found.image_ids.tolist(), found.category_ids.tolist(), strict=True))


@pytest.mark.parametrize("form", ["seen/{}", "/data/seen/{}", "C:\\\\data\\\\{}"])
def test_images_and_categories_are_matched_by_their_names(form: str, tmp_path: Path) -> None:
    path = predicted(tmp_path, ("a.png", "b.png"), form=form)
    assert numbers(path, truth({2: "a.png", 1: "b.jpg"}, {3: "jug", 4: "CUP"})) == [(2, 4), (1, 4)]
    other = path.rename(tmp_path / "theirs.json")  # which `images.json` is not about
    assert numbers(other, truth({2: "a.png", 1: "b.png"}, {3: "jug", 4: "cup"})) == [(1, 3), (2, 3)]


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_and_folders_may_be_written_either_way(forms: tuple[str, str], tmp_path: Path) -> None:
    there, stated = (normalize(form, "grün.png") for form in forms)
    path = predicted(tmp_path, (there, "day/b.png"))
    assert numbers(path, truth({2: stated, 1: "day\\b.png"}, {3: "cup"})) == [(2, 3), (1, 3)]


def test_scores_do_not_depend_on_how_the_data_number_things(tmp_path: Path) -> None:
    path = predicted(tmp_path, ("a.png", "b.png"))
    mask = rle.encode(CUP[None])[0], rle.encode(CUP_SEEN[None])[0]
    for images, category in (({1: "a.png", 2: "b.png"}, 3), ({2: "a.png", 1: "b.png"}, 4)):
        data = truth(images, {category: "cup", 7 - category: "jug"})
        data.annotations.append(Annotation(1, next(iter(images)), category, *mask))  # in a.png
        assert score(data, result_files.read(path, data)).amodal.ap == pytest.approx(0.5, abs=0.01)  # type: ignore[union-attr]


def test_of_pictures_with_one_name_the_folders_tell(tmp_path: Path) -> None:
    path = predicted(tmp_path, ("x/1.png", "y/1.png"))
    assert numbers(path, truth({2: "x/1.png", 1: "y/1.png"}, {3: "cup"})) == [(2, 3), (1, 3)]
    with pytest.raises(UserError, match="image 1 is not in the data set"):
        numbers(path, truth({1: "1.png", 2: "2.png"}, {3: "cup"}))


def test_what_the_data_do_not_have_is_named(tmp_path: Path) -> None:
    path = predicted(tmp_path, ("a.png", "b.png"))
    with pytest.raises(UserError, match="image 2 is not in the data set"):
        numbers(path, truth({1: "a.png", 2: "c.png"}, {3: "cup"}))
    with pytest.raises(UserError, match=r"category 3 \('cup'\) is not in the data set"):
        numbers(path, truth({1: "a.png", 2: "b.png"}, {3: "jug"}))


def test_where_no_name_is_known_numbers_are_meant(tmp_path: Path) -> None:
    path = predicted(tmp_path, ("a.png", "b.png"))
    assert numbers(path, truth({1: "renamed 1.png", 2: "renamed 2.png"}, {3: "Tasse"})) == [(1, 3), (2, 3)]
    written(tmp_path, json.loads(path.read_text()), {"images": [7, {"id": "x"}], "categories": None})
    assert numbers(path, truth({2: "a.png", 1: "b.png"}, {3: "cup"})) == [(1, 3), (2, 3)]


def test_completing_in_a_folder_keeps_the_numbers_of_the_results(tmp_path: Path) -> None:
    """Files called by numbers from 0, as `amodal synth` calls them, are not the numbers that `amodal predict` gave."""
    pictures = tmp_path / "pictures"
    for number in range(4):
        save_image(pictures / f"{number:06}.png")
    path = predicted(tmp_path / "seen", ("000002.png", "000000.png", "000001.png"))
    data = images_of(pictures, path, None)
    assert {image.file_name: image.id for image in data.images} == {
        "000002.png": 1,
        "000000.png": 2,
        "000001.png": 3,
        "000003.png": 7,
    }
    assert [(category.id, category.name) for category in data.categories] == [(3, "cup"), (4, "Jug")]
    assert numbers(path, data) == [(1, 3), (2, 3), (3, 3)]


def test_another_name_is_matched_if_images_json_says_so(tmp_path: Path) -> None:
    path = predicted(tmp_path, ("a.png", "b.png")).rename(tmp_path / "joined.json")
    data = truth({2: "a.png", 1: "b.png"}, {3: "jug", 4: "cup"})
    names = tmp_path / "images.json"
    names.write_text(json.dumps(json.loads(names.read_text()) | {"results": "joined.json"}))
    assert numbers(path, data) == [(2, 4), (1, 4)]
    names.write_text("{ somebody else's")
    assert numbers(path, data) == [(1, 3), (2, 3)]
    with pytest.raises(UserError, match=r"images\.json.*not valid JSON"):
        numbers(path.rename(tmp_path / "predictions.json"), data)
