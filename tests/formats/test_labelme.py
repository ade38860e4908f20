"""labelme's files: how shapes become objects with an amodal and a visible mask; and YOLO's labels."""

import base64
import io
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files
from tests.annotation_files import (
    CUP,
    CUP_POLYGON,
    CUP_SEEN,
    CUP_SEEN_POLYGON,
    JUG,
    JUG_POLYGON,
    SIZE,
    labelme,
    pixels,
    save,
    save_image,
    shape,
    square,
)


def read(folder: Path, *shapes: dict[str, Any]) -> AnnotationSet:
    return annotation_files.read(save(labelme(*shapes), folder / "a.json"))


def objects(result: AnnotationSet) -> dict[str, list[tuple[list[list[bool]], list[list[bool]]]]]:
    """Each category's (amodal, visible) masks."""
    found: dict[str, Any] = {}
    names = {category.id: category.name for category in result.categories}
    for a in result.annotations:
        amodal, visible = rle.decode([a.amodal, a.visible], SIZE)
        found.setdefault(names[a.category_id], []).append((amodal.tolist(), visible.tolist()))
    return found


def both(amodal: np.ndarray, visible: np.ndarray) -> tuple[Any, Any]:
    return amodal.tolist(), visible.tolist()


def test_pairs_by_ending_and_group(tmp_path: Path):
    assert objects(read(tmp_path)) == {"cup": [both(CUP, CUP_SEEN)], "jug": [both(JUG, JUG)]}


@pytest.mark.parametrize("mark", ["_", "-", " ", ":", "."])
def test_endings_may_be_joined_by_several_marks(mark: str, tmp_path: Path):
    shapes = shape(f"cup{mark}amodal", CUP_POLYGON, 1), shape(f"cup{mark}VISIBLE", CUP_SEEN_POLYGON, 1)
    assert objects(read(tmp_path, *shapes)) == {"cup": [both(CUP, CUP_SEEN)]}


def test_pairs_by_number_at_the_end(tmp_path: Path):
    other = square(0, 5, 2, 6)
    shapes = (
        shape("cup_amodal_1", CUP_POLYGON),
        shape("cup_amodal2", other),
        shape("cup_visible_1", CUP_SEEN_POLYGON),
    )
    result = objects(read(tmp_path, *shapes))
    assert result == {"cup": [both(CUP, CUP_SEEN), both(*[pixels("", "", "", "", "", "##")] * 2)]}


def test_pairs_by_place_where_neither_group_nor_number_is_given(tmp_path: Path):
    left, right = square(0, 0, 4, 6), square(4, 0, 8, 6)
    pieces = square(5, 0, 6, 6), square(7, 0, 8, 6)
    shapes = [shape("cup_visible", piece) for piece in pieces]
    shapes += [shape("cup_amodal", left), shape("cup_amodal", right)]
    seen = pixels(*[".....#.#"] * 6)
    whole = pixels(*["....####"] * 6)
    other = pixels(*["####"] * 6)
    assert objects(read(tmp_path, *shapes)) == {"cup": [both(other, other), both(whole, seen)]}


def test_pairs_by_group_alone_the_larger_is_amodal(tmp_path: Path):
    shapes = shape("cup", CUP_SEEN_POLYGON, 1), shape("cup", CUP_POLYGON, 1)
    assert objects(read(tmp_path, *shapes)) == {"cup": [both(CUP, CUP_SEEN)]}


def test_apart_shapes_of_a_group_are_parts_of_one_object(tmp_path: Path):
    shapes = shape("cup", square(0, 0, 2, 2), 1), shape("cup", square(4, 0, 6, 2), 1)
    whole = pixels("##..##", "##..##")
    assert objects(read(tmp_path, *shapes)) == {"cup": [both(whole, whole)]}


def test_a_plain_shape_is_the_other_half_of_one_with_an_ending(tmp_path: Path):
    first = shape("cup", CUP_POLYGON, 1), shape("cup_visible", CUP_SEEN_POLYGON, 1)
    second = shape("cup_amodal", CUP_POLYGON, 1), shape("cup", CUP_SEEN_POLYGON, 1)
    assert objects(read(tmp_path, *first)) == {"cup": [both(CUP, CUP_SEEN)]}
    assert objects(read(tmp_path, *second)) == {"cup": [both(CUP, CUP_SEEN)]}


def test_shapes_drawn_once_are_fully_visible_or_hidden_by_flag(tmp_path: Path):
    hidden = shape("jug_amodal", JUG_POLYGON, flags={"hidden": True})
    assert objects(read(tmp_path, shape("cup", CUP_POLYGON), hidden)) == {
        "cup": [both(CUP, CUP)],
        "jug": [both(JUG, pixels())],
    }


def png(mask: np.ndarray) -> str:
    buffer = io.BytesIO()
    Image.fromarray(mask.astype(np.uint8) * 255).save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def test_rectangles_circles_and_pixel_masks(tmp_path: Path):
    rectangle = {"label": "cup", "points": [[1, 1], [5, 4]], "shape_type": "rectangle"}
    circle = {"label": "ball", "points": [[4, 3], [4, 5]], "shape_type": "circle"}
    drawn = {"label": "jug", "points": [[3, 0], [5, 4]], "shape_type": "mask", "mask": png(np.ones((5, 3), bool))}
    result = objects(read(tmp_path, rectangle, circle, drawn))
    assert result["cup"] == [both(CUP, CUP)]
    assert result["jug"] == [both(JUG, JUG)]
    assert 10 <= np.sum(result["ball"][0][0]) <= 14  # a disc of radius 2 has 12.6


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (shape("cup_visible", CUP_SEEN_POLYGON), "a.json shape 1: no shape 'cup_amodal' covers"),
        (shape("cup_visible", CUP_SEEN_POLYGON, 4), "a visible shape and no amodal one"),
        (shape("", CUP_POLYGON), "a.json shape 1: no 'label'"),
        (shape("cup", [1, 1, 2, 2]), "a polygon of 2 points"),
        (shape("cup", CUP_POLYGON, shape_type="line"), "'line' encloses no area"),
        ({"label": "cup", "points": [[1], [2]]}, "not pairs of numbers"),
        ({"label": "cup", "points": [[0, 0]], "shape_type": "mask", "mask": "no png"}, "no image"),
        (
            {"label": "cup", "points": [[6, 0]], "shape_type": "mask", "mask": png(np.ones((2, 4), bool))},
            "leaves the image",
        ),
    ],
)
def test_shapes_that_cannot_be_used_are_named(bad: dict[str, Any], message: str, tmp_path: Path):
    with pytest.raises(UserError, match=message):
        read(tmp_path, bad)


def test_a_folder_is_one_data_set(tmp_path: Path):
    for name in ("b", "a"):
        save_image(tmp_path / "photos" / f"{name}.png")
        save(labelme(image=f"..\\photos\\{name}.png"), tmp_path / "labels" / f"{name}.json")
    result = annotation_files.read(tmp_path / "labels")
    assert [(image.id, image.file_name) for image in result.images] == [(1, "a.png"), (2, "b.png")]
    assert result.image_folder == tmp_path / "photos"
    assert [a.image_id for a in result.annotations] == [1, 1, 2, 2]
    assert len(result.categories) == 2


def test_the_pictures_that_labelme_embeds_are_not_kept_in_memory(tmp_path: Path):
    for number in range(20):
        save(labelme() | {"imageData": "A" * 1_000_000}, tmp_path / f"{number}.json")
    tracemalloc.start()
    assert len(annotation_files.read(tmp_path).images) == 20
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000


def test_a_folder_of_something_else_is_refused(tmp_path: Path):
    save({"images": []}, tmp_path / "x.json")
    with pytest.raises(UserError, match="no folder of annotations"):
        annotation_files.read(tmp_path)


def yolo_folder(folder: Path, names: str) -> Path:
    save_image(folder / "images" / "a.png")
    (folder / "labels").mkdir()
    shares = " ".join(f"{value / (8, 6)[place % 2]:.6f}" for place, value in enumerate(CUP_POLYGON))
    (folder / "labels" / "a.txt").write_text(f"1 {shares}\n")
    (folder / "data.yaml").write_text(names)
    return folder


@pytest.mark.parametrize(
    "names", ["names: [jug, 'cup']", "nc: 2\nnames:\n  - jug\n  - cup\n", 'names:\n  0: jug\n  1: "cup"\ntrain: images']
)
def test_yolo_labels_are_amodal_and_fully_visible(names: str, tmp_path: Path):
    result = annotation_files.read(yolo_folder(tmp_path, names))
    assert objects(result) == {"cup": [both(CUP, CUP)]}
    assert [category.name for category in result.categories] == ["jug", "cup"]


def test_yolo_labels_that_cannot_be_used_are_named(tmp_path: Path):
    folder = yolo_folder(tmp_path, "names: [jug, cup]")
    (folder / "labels" / "a.txt").write_text("0 0.1 0.1 x\n")
    with pytest.raises(UserError, match=r"a\.txt line 1: not numbers"):
        annotation_files.read(folder)
    (folder / "data.yaml").write_text("train: images")
    with pytest.raises(UserError, match=r"data\.yaml: no 'names'"):
        annotation_files.read(folder)
