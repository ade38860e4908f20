"""`amodal predict`: what it writes, and what it says of files that cannot be used."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from small_models import SMALL, small_model

from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.cli import main
from amodal.commands.predict import How, predict
from amodal.errors import UserError
from amodal.evaluation import results
from amodal.inference.folder import ResultFolder
from amodal.models import checkpoint

CATEGORIES = [Category(4, "cup"), Category(5, "pear"), Category(9, "cow")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    checkpoint.save(path, checkpoint.Checkpoint(small_model(SMALL).eval(), SMALL, CATEGORIES))
    return str(path)


def write_picture(path: Path, seed: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, (40, 60, 3), dtype=np.uint8)).save(path)
    return path


def test_pictures_results_and_sheet(model, tmp_path, capsys):
    write_picture(tmp_path / "in" / "one.png")
    write_picture(tmp_path / "in" / "deeper" / "one.jpg", seed=1)
    single = write_picture(tmp_path / "two.webp", seed=2)
    out = tmp_path / "out"
    predict((str(tmp_path / "in"), str(single)), model=model, out=out, how=How(score=0.01, device="cpu"))
    assert sorted(path.name for path in out.iterdir()) == [
        "images.json",
        "one-2.jpg",
        "one.jpg",
        "predictions.json",
        "sheet.jpg",
        "two.jpg",
    ]
    about = json.loads((out / "images.json").read_text())
    assert [category["id"] for category in about["categories"]] == [4, 5, 9]
    images = [ImageRecord(i["id"], i["file_name"], i["height"], i["width"]) for i in about["images"]]
    found = results.read(out / "predictions.json", AnnotationSet(images, [], CATEGORIES))
    assert {detection.image_id for detection in found} == {1, 2, 3}
    assert all(detection.amodal and detection.visible for detection in found)
    with Image.open(out / "two.jpg") as picture:
        assert picture.size == (960, 640)
    assert f"{len(found)} objects in 3 images" in capsys.readouterr().out


def test_where_nothing_is_found_it_says_what_to_try(model, tmp_path, capsys):
    picture = write_picture(tmp_path / "a.png")
    predict((str(picture),), model=model, out=tmp_path / "out", how=How(score=1.0, device="cpu"))
    said = capsys.readouterr().out
    assert "0 objects in 1 images" in said
    assert "nothing scores 1 or more: try a lower --score" in said
    assert CATEGORIES[0].name in said


def test_a_broken_image_is_reported_and_the_others_are_done(model, tmp_path, capsys):
    folder = tmp_path / "in"
    write_picture(folder / "a.png")
    (folder / "b.png").write_text("no picture")
    write_picture(folder / "c.png")
    with pytest.raises(UserError, match="1 of 3 images could not be read"):
        predict((str(folder),), model=model, out=tmp_path / "out", how=How(device="cpu"))
    assert "b.png: cannot be read as an image" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.jpg").is_file()
    assert (tmp_path / "out" / "c.jpg").is_file()
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 2


def test_what_cannot_be_used_is_named(model, tmp_path):
    (tmp_path / "empty").mkdir()
    image = write_picture(tmp_path / "a.png")
    for images, problem in (
        ((), "no images given"),
        ((tmp_path / "empty",), "empty: no images in this folder"),
        ((tmp_path / "gone.jpg",), "gone.jpg: no such file"),
        ((tmp_path / "gone.mp4",), "gone.mp4: no such file"),
    ):
        with pytest.raises(UserError, match=problem):
            predict(tuple(map(str, images)), model=model, out=tmp_path / "out")
    with pytest.raises(UserError, match="device 'abacus' cannot be used"):
        predict((str(image),), model=model, out=tmp_path / "out", how=How(device="abacus"))
    with pytest.raises(UserError, match=r"a\.png: not a checkpoint"):
        predict((str(image),), model=str(image), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "MODEL", "IMAGE"],
        ["IMAGE", "--model", "MODEL"],
        ["MODEL", "IMAGE"],
        ["--model", "demo", "IMAGE"],
        ["demo", "IMAGE"],
        ["IMAGE"],
    ],
    ids=" ".join,
)
def test_the_model_is_named_by_a_flag_or_stands_first_or_is_the_packaged_one(words, model, tmp_path, capsys):
    image = str(write_picture(tmp_path / "a.png"))
    main(["predict", *(word.replace("MODEL", model).replace("IMAGE", image) for word in words), "--out", str(tmp_path)])
    names = {category["name"] for category in json.loads((tmp_path / "images.json").read_text())["categories"]}
    assert names == {"cup", "pear", "cow"} if "MODEL" in words else "banana" in names
    assert "in 1 images" in capsys.readouterr().out


def test_two_models_are_one_too_many(model):
    with pytest.raises(UserError, match="two models given"):
        predict((model, "a.png"), model="demo")
    with pytest.raises(UserError, match="no images given"):
        predict((model,))


def test_an_interruption_keeps_what_is_done_an_error_does_not_replace_it(tmp_path):
    for interruption, written in ((KeyboardInterrupt, True), (RuntimeError, False)):
        folder = tmp_path / interruption.__name__
        with pytest.raises(interruption), ResultFolder(folder, CATEGORIES) as results_folder:
            from test_render import bars

            from amodal.inference.render import Style

            results_folder.add(Path("a.jpg"), np.zeros((100, 120, 3), np.uint8), bars(), Style())
            raise interruption
        assert (folder / "predictions.json").is_file() == written
