"""`amodal convert`, and how formats are asked for."""

import subprocess
import sys
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from amodal.archives import content_of
from amodal.commands.convert import Format, How, convert
from amodal.errors import UserError
from amodal.formats import annotation_files
from tests.annotation_files import CUP_SEEN, cocoa, d2sa, image_entry, labelme, save, save_image, text_rle


def test_every_format_that_can_be_written_can_be_asked_for():
    assert set(get_args(Format)) == set(annotation_files.WRITERS)
    assert set(annotation_files.FOLDERS) < set(annotation_files.WRITERS)


@pytest.mark.parametrize("name", list(annotation_files.WRITERS))
def test_each_format_is_written_and_read_again(name: str, tmp_path: Path):
    save_image(tmp_path / "images" / "a.png")
    out = tmp_path / "images" / "out" if name == "labelme" else tmp_path / "out"
    convert(save(d2sa(), tmp_path / "in.json"), out, to=name)  # type: ignore[arg-type]
    result = annotation_files.read(out)
    assert len(result.annotations) == 2
    folder = result.image_folder
    assert folder is not None
    assert content_of(result.images[0].place_in(folder)) == (tmp_path / "images" / "a.png").read_bytes()


def test_what_reading_mended_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    content = d2sa()
    content["annotations"][1]["id"] = 7
    convert(save(content, tmp_path / "in.json"), tmp_path / "out.json", to="kins")
    assert "mended while reading: duplicate_id, 1" in capsys.readouterr().out


def test_cocoa_takes_the_categories_of_an_instance_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    annotation = {"id": 1, "image_id": 10, "category_id": 47, "iscrowd": 0, "segmentation": text_rle(CUP_SEEN)}
    kinds = [{"id": 47, "name": "cup"}]
    instances = save({"images": [image_entry()], "categories": kinds, "annotations": [annotation]}, tmp_path / "i.json")
    convert(save(cocoa(), tmp_path / "in.json"), tmp_path / "out.json", to="d2sa", how=How(instances=instances))
    result = annotation_files.read(tmp_path / "out.json")
    assert [(a.id, a.category_id) for a in result.annotations] == [(2, 47)]
    assert "1 of 3 regions" in capsys.readouterr().out


def test_neither_the_input_nor_a_folder_is_written_over(tmp_path: Path):
    path = save(d2sa(), tmp_path / "in.json")
    with pytest.raises(UserError, match="replace the input"):
        convert(path, path, to="kins")
    with pytest.raises(UserError, match="written to a folder"):
        convert(path, save(labelme(), tmp_path / "x.json"), to="labelme")
    with pytest.raises(UserError, match="written to a file"):
        convert(path, tmp_path, to="d2sa")


def test_reading_needs_no_torch(tmp_path: Path):
    path = save(d2sa(), tmp_path / "in.json")
    code = (
        "import sys\nfrom pathlib import Path\nfrom amodal.commands import convert, data\n"
        f"convert.convert(Path({str(path)!r}), Path({str(tmp_path / 'out.json')!r}), to='kins')\n"
        f"data.data_check(Path({str(path)!r}))\n"
        f"data.data_show(Path({str(path)!r}), Path({str(tmp_path / 'page.html')!r}))\n"
        "assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_masks_of_no_object_survive(tmp_path: Path):
    content = d2sa() | {"annotations": []}
    convert(save(content, tmp_path / "in.json"), tmp_path / "out.json", to="kins")
    result = annotation_files.read(tmp_path / "out.json")
    assert (len(result.images), result.annotations) == (1, [])
    assert np.array_equal(sorted(result.label_of), [2, 5])
