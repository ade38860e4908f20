"""Formats of a file for each image: no two images share one, and what else lies in the folder is not read unsaid."""

import re
from pathlib import Path
from typing import Any

import pytest

from amodal.annotations import AnnotationSet
from amodal.commands.complete import complete
from amodal.commands.convert import convert
from amodal.commands.declared import checked
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.formats.annotation_files import FOLDERS
from tests.annotation_files import d2sa, image_entry, save, save_image


def source(folder: Path, *names: str) -> Path:
    """Annotations of images of these names, each with the same two objects."""
    content, images = d2sa(), folder / "images"
    pair, content["images"], content["annotations"] = content["annotations"], [], []
    for number, name in enumerate(names):
        save_image(images / name)
        content["images"].append(image_entry(number, name))
        content["annotations"] += [a | {"id": a["id"] + 100 * number, "image_id": number} for a in pair]
    return save(content, folder / "given.json")


def read(folder: Path) -> AnnotationSet:
    return annotation_files.read(folder)


@pytest.mark.parametrize("to", FOLDERS)
def test_images_that_differ_in_their_endings_are_both_kept_or_refused(to: Any, tmp_path: Path):
    given, out = source(tmp_path, "a.png", "sub/a.png", "a.bmp"), tmp_path / "out"
    try:
        convert(given, out, to=to)
    except UserError as error:
        assert "two images, a.png and a.bmp" in str(error)
        assert not out.exists()
    else:
        assert len(read(out).images) == 3
        assert len(read(out).annotations) == 6


@pytest.mark.parametrize("to", FOLDERS)
def test_what_is_there_is_told_before_a_model_is_loaded(to: Any, tmp_path: Path):
    given, out = source(tmp_path, "a.png"), tmp_path / "out"
    convert(given, out, to=to)
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    with pytest.raises(UserError, match="is there already"):
        checked(complete)(given, "no such model", out=out, to=to)
    assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("to", FOLDERS)
def test_other_files_that_will_be_read_are_told(to: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    out = tmp_path / "out"
    convert(source(tmp_path / "first", "a.png", "b.png"), out, to=to)
    if to == "webdataset":
        (out / "shard-000000.tar").rename(out / "shard-000007.tar")
    assert "will be read" not in capsys.readouterr().out
    checked(convert)(source(tmp_path / "first", "a.png"), out, to=to, overwrite=True)
    told = re.search(r"out: files that were there will be read .*\(1 in all\)", capsys.readouterr().out) is not None
    assert told == (len(read(out).images) > 1)


@pytest.mark.parametrize("to", FOLDERS)
def test_the_images_are_those_of_the_annotations_written_last(to: Any, tmp_path: Path):
    for name in ("first", "second"):
        convert(source(tmp_path / name, "a.png"), tmp_path / "out", to=to, overwrite=True)
    (tmp_path / "first" / "images" / "a.png").unlink()
    result = read(tmp_path / "out")
    place = result.images[0].place_in(result.image_folder or tmp_path)
    if isinstance(place, Path):
        assert place.resolve() == tmp_path / "second" / "images" / "a.png"
