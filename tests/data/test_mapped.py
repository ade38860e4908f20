"""Annotations that processes share: the samples of those that were read, made in one place by one process."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amodal import cli, rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.data import mapped
from amodal.data.config import FileSource
from amodal.data.dataset import AnnotatedImages, MappedImages
from amodal.data.mapped import MappedAnnotations
from amodal.data.sources import open_source
from amodal.errors import UserError
from amodal.formats import coco
from amodal.prior.collect import collect_masks

pytest.importorskip("pyarrow")
SIZE = (12, 16)


def mask(top: int, left: int) -> rle.Rle:
    pixels = np.zeros((1, *SIZE), dtype=bool)
    pixels[0, top : top + 4, left : left + 5] = True
    return rle.encode(pixels)[0]


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileSource:
    """Four images in a data set, one of them empty; names are relative to the working folder, as a user's."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(mapped, "ROWS", 2)
    Path("images").mkdir()
    images = [ImageRecord(number, f"{number}.png", *SIZE) for number in (7, 3, 5, 9)]
    for image in images:
        Image.fromarray(np.full((*SIZE, 3), image.id * 20, dtype=np.uint8)).save(f"images/{image.file_name}")
    annotations = [
        Annotation(1, 3, 20, mask(1, 2), mask(1, 2), depth_order=1),
        Annotation(2, 3, 10, mask(3, 4), mask(3, 4), depth_order=0),
        Annotation(3, 7, 20, mask(2, 2), rle.intersect(mask(2, 2), mask(2, 4))),
        Annotation(4, 9, 10, mask(5, 8), mask(5, 8), is_stuff=True),
        Annotation(5, 9, 10, mask(6, 8), mask(6, 8), is_crowd=True),
    ]
    categories = [Category(20, "pear"), Category(10, "cup")]
    coco.write(AnnotationSet(images, annotations, categories, Path("images")), Path("annotations.json"))
    return FileSource(("annotations.json",), "images", cache="cache")


def equal(one: object, other: object) -> bool:
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(equal(one[key], other[key]) for key in one)
    return (
        torch.equal(one, other) if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor) else one == other
    )


@pytest.mark.parametrize("options", [{}, {"keep_empty": False}, {"keep_stuff": True, "keep_empty": False}])
def test_samples_are_those_of_annotations_that_were_read(source: FileSource, options: dict[str, bool]) -> None:
    source = replace(source, **options)
    read, shared = open_source(replace(source, cache=None)), open_source(source)
    assert isinstance(read, AnnotatedImages)
    assert isinstance(shared, MappedImages)
    assert read.categories == shared.categories
    assert len(read) == len(shared) > 1
    assert all(equal(read[place], shared[place]) for place in range(len(read)))
    assert equal(pickle.loads(pickle.dumps(shared))[1], shared[1])  # as a worker gets it
    both = collect_masks(read.annotation_set), collect_masks(shared.annotation_set)
    if not source.keep_stuff:
        assert [sorted(labels.tolist()) for _, labels in both] == [[1, 2, 2]] * 2


def test_a_file_is_made_once_and_anew_when_its_source_changes(source: FileSource) -> None:
    open_source(source)
    [made] = Path("cache").glob("*.arrow")
    before = made.stat().st_mtime_ns
    open_source(source)
    assert [one.stat().st_mtime_ns for one in Path("cache").glob("*.arrow")] == [before]
    content = json.loads(Path("annotations.json").read_text())
    content["annotations"] = content["annotations"][:1]
    Path("annotations.json").write_text(json.dumps(content))
    again = open_source(source)
    assert isinstance(again, MappedImages)
    assert sum(1 for _ in again.annotation_set.annotations) == 1
    assert len(list(Path("cache").glob("*.arrow"))) == 2


def test_a_damaged_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "x.arrow").write_bytes(b"ARROW1" + b"x" * 40)
    with pytest.raises(UserError, match=r"x\.arrow: cannot be read .*Remove it"):
        MappedAnnotations(tmp_path / "x.arrow")


def test_what_is_wrong_with_the_source_is_said_as_ever(source: FileSource) -> None:
    Path("annotations.json").write_text("{")
    with pytest.raises(UserError, match=r"annotations\.json"):
        open_source(source)
    assert not list(Path("cache").glob("*.arrow"))


def test_a_recipe_of_scenes_has_nothing_to_share(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["train", "demo", "--out", str(tmp_path / "run"), "--cache", str(tmp_path / "cache")])
    assert "--cache is for annotated images" in capsys.readouterr().err
