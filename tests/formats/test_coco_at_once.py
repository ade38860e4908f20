"""Files in the usual form, read at once: the same annotations as record by record, and nothing that needs a word."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from amodal.annotations import AnnotationSet
from amodal.formats import annotation_files, coco_at_once, json_stream
from amodal.formats.json_stream import JsonDocument
from tests.annotation_files import CUP, CUP_SEEN, HEIGHT, JUG, WIDTH, text_rle

SIZES = {1: (HEIGHT, WIDTH)}
Record = dict[str, Any]


def record(number: int, **more: Any) -> Record:
    return {"id": number, "image_id": 1, "category_id": 3, "segmentation": text_rle(CUP)} | more


USUAL = [
    record(1),
    record(2, visible_mask=text_rle(CUP_SEEN), invisible_mask=text_rle(CUP & ~CUP_SEEN), occl_depth=1, isStuff=1),
    record(5, visible_mask=text_rle(CUP), bbox=[1, 1, 4, 3], area=12, occlude_rate=0.0, iscrowd=0, occl_depth=None),
    record(4, visible_mask=text_rle(np.zeros_like(CUP)), iscrowd=True),
]


def write(path: Path, records: list[Any], *, last: bool = True) -> Path:
    images = [{"id": 1, "file_name": "a.png", "height": HEIGHT, "width": WIDTH}]
    lists = {"images": images, "categories": [{"id": 3, "name": "cup"}]}
    content = {**lists, "annotations": records, "info": {"a": [{}, {}]}} if last else {"annotations": records, **lists}
    path.write_text(json.dumps(content))
    return path


def at_once(path: Path) -> list[Any] | None:
    return coco_at_once.read(JsonDocument(path), SIZES, {3})


@pytest.mark.parametrize("last", [True, False])
@pytest.mark.parametrize("records", [[], USUAL[:1], USUAL, [{**one, "id": n} for n in range(500) for one in USUAL[:1]]])
def test_it_reads_what_is_read_record_by_record(
    records: list[Record], last: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    path = write(tmp_path / "a.json", records, last=last)
    monkeypatch.setattr(json_stream, "CHARACTERS_AT_ONCE", 2000)
    found = annotation_files.read(path)
    assert at_once(path) == found.annotations
    monkeypatch.setattr(annotation_files, "_at_once", lambda *_: None)
    assert annotation_files.read(path) == found
    assert found.document == ({"info": {"a": [{}, {}]}} if last else {})


def test_one_mask_is_kept_where_all_is_visible(tmp_path: Path):
    found: AnnotationSet = annotation_files.read(write(tmp_path / "a.json", USUAL))
    assert [a.visible is a.amodal for a in found.annotations] == [True, False, True, False]


@pytest.mark.parametrize(
    "one",
    [
        record(1),  # the id is that of another
        record(9, image_id=2),
        record(9, image_id="1"),
        record(9, category_id=4),
        record(2**63),
        record("9"),  # type: ignore[arg-type]
        record(9, own=1),
        record(9, segmentation=[[1, 1, 5, 1, 5, 4]]),
        record(9, segmentation=None),
        record(9, segmentation={"size": [WIDTH, HEIGHT], "counts": "0P1"}),
        record(9, segmentation={"size": [HEIGHT, WIDTH], "counts": "012"}),
        record(9, segmentation=text_rle(np.zeros_like(CUP))),
        record(9, visible_mask=text_rle(JUG)),
        record(9, invisible_mask=text_rle(CUP_SEEN)),
        record(9, occl_depth=0.5),
        [1],
    ],
)
def test_whatever_needs_a_word_is_left_to_the_reader_of_records(one: Any, tmp_path: Path):
    assert at_once(write(tmp_path / "a.json", [*USUAL, one])) is None
    assert at_once(write(tmp_path / "b.json", USUAL)) is not None
