"""`amodal predict`: what it writes, and what it says of files that cannot be used."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal import folder_lock
from amodal.annotations import AnnotationSet, Category, ImageRecord
from amodal.cli import main
from amodal.commands.predict import How, predict
from amodal.errors import UserError
from amodal.inference.folder import ResultFolder
from amodal.inference.predictor import Predictor
from amodal.models import checkpoint
from amodal.results import result_files
from tests.small_models import SMALL, small_model

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
        "ledger.jsonl",
        "one-2.jpg",
        "one.jpg",
        "predictions.json",
        "sheet.jpg",
        "two.jpg",
    ]
    about = json.loads((out / "images.json").read_text())
    assert [category["id"] for category in about["categories"]] == [4, 5, 9]
    images = [ImageRecord(i["id"], i["file_name"], i["height"], i["width"]) for i in about["images"]]
    found = result_files.read(out / "predictions.json", AnnotationSet(images, [], CATEGORIES))
    assert {detection.image_id for detection in found} == {1, 2, 3}
    assert all(detection.amodal and detection.visible for detection in found)
    with Image.open(out / "two.jpg") as picture:
        assert picture.size == (960, 640)
    assert f"{len(found)} objects in 3 images" in capsys.readouterr().out


def test_where_nothing_is_found_it_says_what_to_try(model, tmp_path, capsys):
    picture = write_picture(tmp_path / "a.png")
    predict((str(picture),), model=model, out=tmp_path / "out", how=How(score=1.0, device="cpu"))
    said = capsys.readouterr().out
    assert "0 objects in 1 image:" in said
    assert "nothing scores 1 or more: try a lower --score" in said
    assert CATEGORIES[0].name in said


def run(words: str) -> int | str | None:
    """The exit status of a command."""
    try:
        main(words.split())
    except SystemExit as stopped:
        return stopped.code
    return 0


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "ledger.jsonl"}


def test_images_that_fail_are_named_and_the_others_are_done(model, tmp_path, capsys, monkeypatch):
    """Whatever they bring about: a file that is no picture, a model that breaks, a memory that is full."""
    for name in "aceg":
        write_picture(tmp_path / "in" / f"{name}.png", ord(name))
    (tmp_path / "in" / "b.png").write_text("no picture")
    find, calls = Predictor.predict, iter((None, RuntimeError("odd size\nand more"), MemoryError(), None))

    def breaking(self, *args, **kwargs):
        error = next(calls, None)
        if error:
            raise error
        return find(self, *args, **kwargs)

    monkeypatch.setattr(Predictor, "predict", breaking)
    flags = f"predict {tmp_path}/in --model {model} --out {tmp_path}/out --device cpu --score 0.01"
    assert run(flags) == 2
    said = capsys.readouterr().err
    assert "b.png: cannot be read as an image" in said
    assert "c.png: cannot be predicted (odd size)" in said
    assert "e.png: is too large for the memory that is left" in said
    assert said.splitlines()[-1].startswith("amodal: 3 of 5 files failed, as said above. The other 2 are in ")
    assert {"a.jpg", "g.jpg"} < contents(tmp_path / "out").keys()
    assert [i["id"] for i in json.loads((tmp_path / "out" / "images.json").read_text())["images"]] == [1, 5]
    write_picture(tmp_path / "in" / "b.png", ord("b"))
    assert run(f"{flags} --resume") == 0
    assert run(f"predict {tmp_path}/in --model {model} --out {tmp_path}/at_once --device cpu --score 0.01") == 0
    assert contents(tmp_path / "out") == contents(tmp_path / "at_once")


def test_one_image_that_fails_is_one_line(model, tmp_path, capsys):
    (tmp_path / "text.jpg").write_text("no picture")
    assert run(f"predict {tmp_path}/text.jpg --model {model} --out {tmp_path}/out") == 2
    said = [line for line in capsys.readouterr().err.splitlines() if line.startswith("amodal:")]
    assert len(said) == 1
    assert "text.jpg: cannot be read as an image" in said[0]
    assert not (tmp_path / "out").exists()


def test_what_a_killed_run_has_done_is_kept_and_the_rest_is_resumed(model, tmp_path):
    """Killed as by kill -9 at its third image, in the middle of a line of its ledger."""
    for number in range(4):
        write_picture(tmp_path / "in" / f"{number}.png", number)
    write_picture(tmp_path / "in" / "deeper" / "0.png", 9)
    flags = ["--model", model, "--device", "cpu", "--score", "0.01"]
    code = (
        "import os, sys; from amodal.cli import main; from amodal.inference.folder import ResultFolder as F\n"
        "add, left = F.add, iter((1, 1, 0))\n"
        "def dying(self, *rest):\n"
        "    if next(left): return add(self, *rest)\n"
        "    self._ledger.path.open('a').write('{\"number\": 3, \"ima'); os.kill(os.getpid(), 9)\n"
        "F.add = dying; main(sys.argv[1:])"
    )
    line = ["predict", str(tmp_path / "in"), *flags, "--out", str(tmp_path / "out")]
    assert subprocess.run([sys.executable, "-c", code, *line], capture_output=True, check=False).returncode == -9
    first = (tmp_path / "out" / "0.jpg").stat().st_mtime_ns
    there = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert there == [folder_lock.NAME, "0.jpg", "1.jpg", "ledger.jsonl"]
    main([*line, "--resume"])
    main(["predict", str(tmp_path / "in"), *flags, "--out", str(tmp_path / "at_once")])
    assert contents(tmp_path / "out") == contents(tmp_path / "at_once")
    assert "0-2.jpg" in contents(tmp_path / "out")
    assert (tmp_path / "out" / "0.jpg").stat().st_mtime_ns == first
    before = (tmp_path / "out" / "ledger.jsonl").read_bytes()
    main([*line, "--resume"])  # nothing is left to do
    assert (tmp_path / "out" / "ledger.jsonl").read_bytes().count(b"detections") == before.count(b"detections")
    write_picture(tmp_path / "in" / "new.png", 7)
    main([*line, "--resume"])
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 6


@pytest.mark.parametrize("called", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_and_its_like_keep_what_is_done_and_say_how_to_go_on(called, model, tmp_path, capsys, monkeypatch):
    for number in range(3):
        write_picture(tmp_path / "in" / f"{number}.png", number)
    find, left = Predictor.predict, iter((True, False, True, True))

    def interrupted(self, *args, **kwargs):
        if not next(left):
            signal.raise_signal(called)
        return find(self, *args, **kwargs)

    monkeypatch.setattr(Predictor, "predict", interrupted)
    line = f"predict {tmp_path}/in --model {model} --overwrite --out {tmp_path}/out --device cpu --score 0.01"
    assert run(line) == 128 + called
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(
        f"amodal: stopped by {called.name}; what is done is in {tmp_path}/out. Go on with: amodal predict"
    )
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 1
    again = said.partition("Go on with: amodal ")[2]
    assert again == f"{line.replace(' --overwrite', '')} --resume"
    assert run(again) == 0
    assert len(json.loads((tmp_path / "out" / "images.json").read_text())["images"]) == 3


def test_a_folder_of_results_is_kept_unless_told(model, tmp_path, capsys):
    picture = write_picture(tmp_path / "a.png")
    line = f"predict {picture} --model {model} --out {tmp_path}/out --device cpu"
    assert run(line) == 0
    before = contents(tmp_path / "out")
    assert run(line) == 2
    assert "holds results already. --resume does what is missing, --overwrite starts anew" in capsys.readouterr().err
    assert run(f"{line} --score 0.1 --resume") == 2
    assert "holds results of another run (score 0.5, not 0.1)" in capsys.readouterr().err
    assert run(f"{line} --resume --overwrite") == 2
    assert contents(tmp_path / "out") == before
    assert run(f"{line} --score 0.01 --overwrite") == 0
    assert contents(tmp_path / "out")["predictions.json"] != before["predictions.json"]
    other = write_picture(tmp_path / "b.png")
    (tmp_path / "out" / "mine.jpg").write_bytes(b"no picture of this program's")
    assert run(f"{line.replace('a.png', 'b.png')} --overwrite") == 0
    fixed = {"predictions.json", "images.json", "sheet.jpg"}
    assert contents(tmp_path / "out").keys() == fixed | {f"{other.stem}.jpg", "mine.jpg"}
    (tmp_path / "c.png").write_text("no picture")
    assert run(f"{line.replace('a.png', 'c.png')} --overwrite") == 2
    assert run(f"{line} --overwrite") == 0  # what is there is still known as this command's own
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "ledger.jsonl").write_text("my own notes")
    assert run(line.replace("/out", "/other")) == 2
    assert "is no ledger of `amodal predict`" in capsys.readouterr().err


def test_originals_are_not_replaced(model, tmp_path, capsys, monkeypatch):
    photo = write_picture(tmp_path / "pics" / "photo.jpg")
    other = write_picture(tmp_path / "other" / "photo.jpg", 1)
    before = photo.read_bytes(), other.read_bytes()
    monkeypatch.chdir(tmp_path / "pics")
    for words, problem in (
        ("photo.jpg --out .", "photo.jpg: is an input"),
        (f"{tmp_path}/pics --out .", "is the folder that is read"),
        (f"{tmp_path}/pics/photo.jpg --out {tmp_path}/other", "photo.jpg: is there already"),
    ):
        for flag in ("", " --overwrite") if "there" not in problem else ("",):
            assert run(f"predict {words} --model {model} --device cpu{flag}") == 2
            assert problem in capsys.readouterr().err
    assert (photo.read_bytes(), other.read_bytes()) == before
    assert run(f"predict . --model {model} --device cpu --score 0.01") == 0  # into ./predictions
    assert run(f"predict . --model {model} --device cpu --score 0.01 --resume") == 0
    assert run(f"predict . --model {model} --device cpu --score 0.02 --overwrite") == 0
    assert len(json.loads(Path("predictions/images.json").read_text())["images"]) == 1


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
    with pytest.raises(UserError, match=r"a\.png: cannot be read as a model"):
        predict((str(image),), model=str(image), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--model", "MODEL", "IMAGE"],
        ["IMAGE", "--model", "MODEL"],
        ["MODEL", "IMAGE"],
        ["--model", "photos", "IMAGE"],
        ["photos", "IMAGE"],
        ["IMAGE"],
    ],
    ids=" ".join,
)
def test_the_model_is_named_by_a_flag_or_stands_first_or_is_the_packaged_one(words, model, tmp_path, capsys):
    image = str(write_picture(tmp_path / "a.png"))
    main(["predict", *(word.replace("MODEL", model).replace("IMAGE", image) for word in words), "--out", str(tmp_path)])
    names = {category["name"] for category in json.loads((tmp_path / "images.json").read_text())["categories"]}
    assert names == {"cup", "pear", "cow"} if "MODEL" in words else "dog" in names
    assert "in 1 image:" in capsys.readouterr().out


def test_two_models_are_one_too_many(model):
    with pytest.raises(UserError, match="two models given"):
        predict((model, "a.png"), model="demo")
    with pytest.raises(UserError, match="no images given"):
        predict((model,))


def test_an_interruption_writes_what_is_done(tmp_path):
    from tests.drawing.test_render import bars

    for interruption, written in ((KeyboardInterrupt, True), (OSError, False)):
        folder = ResultFolder(tmp_path / interruption.__name__, CATEGORIES)
        (planned,) = folder.plan([(Path("a.jpg"), ".jpg")])
        with pytest.raises(interruption), folder:
            folder.add(planned, Image.new("RGB", (12, 10)), bars())
            raise interruption
        assert (folder.folder / "predictions.json").is_file() == written
