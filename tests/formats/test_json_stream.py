"""Annotation files read and written record by record."""

import gzip
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from amodal.errors import UserError
from amodal.formats import json_stream
from amodal.formats.json_stream import JsonDocument

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text() | st.sampled_from(["images", "categories"]), VALUES, max_size=4)


@given(OBJECTS, st.lists(VALUES, max_size=4), st.booleans(), st.sampled_from([None, 1]))
def test_it_reads_what_the_json_module_reads(
    tmp_path: Path, members: dict[str, Any], records: list[Any], first: bool, indent: int | None
):
    lists = {"images": [], "categories": []} if first else {}
    others = {key: value for key, value in members.items() if key not in ("annotations", *lists)}
    content = {**lists, "annotations": records, **others} if first else {**others, "annotations": records}
    path = tmp_path / "x.json"
    path.write_text(json.dumps(content, indent=indent))
    document = JsonDocument(path)
    assert document.members == (lists if first else others)  # what comes after both lists waits for the walk
    assert list(document.annotations()) == records
    assert list(document.annotations()) == records  # as often as one likes
    assert document.members == lists | others
    assert document.has_annotations


@given(OBJECTS, st.lists(VALUES, max_size=4))
def test_what_it_writes_is_json(tmp_path: Path, members: dict[str, Any], records: list[Any]):
    members.pop("annotations", None)
    json_stream.write(tmp_path / "x.json", members, records)
    text = (tmp_path / "x.json").read_text(encoding="utf-8", errors="surrogatepass")
    assert json.loads(text) == members | {"annotations": records}


RECORDS = [{"id": n, "regions": [{"a": [n]}, {"b": "}, {"}], "name": "x" * (n % 7)} for n in range(40)]


@pytest.mark.parametrize("characters", [1, 20, 100, 1000, 100_000])
def test_records_are_the_same_however_many_are_decoded_at_once(
    characters: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(json_stream, "CHARACTERS_AT_ONCE", characters)
    simple = [{"id": n, "bbox": [n, 1.5, 3, 4]} for n in range(40)]
    for records in (RECORDS, simple, simple[:1], [*simple, [1], simple[0]]):
        (tmp_path / "x.json").write_text(json.dumps({"annotations": records, "images": [], "categories": RECORDS}))
        document = JsonDocument(tmp_path / "x.json")
        assert list(document.annotations()) == records
        assert document.members == {"images": [], "categories": RECORDS}


def test_many_records_are_decoded_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "x.json").write_text(json.dumps({"images": [], "categories": [], "annotations": [{"a": 1}] * 100}))
    document = JsonDocument(tmp_path / "x.json")
    singly = []
    monkeypatch.setattr(document, "_decode", lambda at: singly.append(at) or JsonDocument._decode(document, at))
    assert list(document.annotations()) == [{"a": 1}] * 100
    assert len(singly) == 1  # what comes after the last cut


def test_annotations_that_are_no_list_are_a_member_like_others(tmp_path: Path):
    (tmp_path / "x.json").write_text('{"annotations": {"a": 1}}')
    document = JsonDocument(tmp_path / "x.json")
    assert not document.has_annotations
    assert document.members == {"annotations": {"a": 1}}
    assert list(document.annotations()) == []


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        ("null", "no JSON object"),
        ("{", "line 1, column 2"),
        ('{"a" 1}', "line 1, column 6 .expected ':'"),
        ('{"a": 1', "expected ','"),
        ('{"a": 1,\n "b": tru}', "line 2, column 7"),
        ("{1: 2}", "expected a key"),
        ('{"annotations": [1, 2', "expected ','"),
        ('{"annotations": [1 2]}', "expected ','"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
        ('{"a": ' + "[" * 100_000, "nested too deeply"),
        ('{"a": 1}\n{"a": 2}', "line 2, column 1 .something follows the object"),
    ],
)
def test_damage_is_placed(text: str, message: str, tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        JsonDocument(path)
    assert str(path) in str(caught.value)


def test_damage_inside_annotations_shows_when_walking_them(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text('{"images": [], "categories": [],\n"annotations": [{"id": 1},\n{"id": }]}')
    walk = JsonDocument(path).annotations()
    assert next(walk) == {"id": 1}
    with pytest.raises(UserError, match="line 3, column 8"):
        next(walk)


def test_damage_after_annotations_shows_when_they_are_walked(tmp_path: Path):
    path = tmp_path / "x.json"
    path.write_text('{"images": [], "categories": [], "annotations": [1],\n"info": tru}')
    with pytest.raises(UserError, match="line 2, column 9"):
        list(JsonDocument(path).annotations())
    path.write_text('{"images": [], "categories": [], "annotations": [1]}\n{"annotations": [2]}')
    with pytest.raises(UserError, match=r"line 2, column 1 .something follows"):
        list(JsonDocument(path).annotations())


def test_missing_and_binary_files(tmp_path: Path):
    with pytest.raises(UserError, match="no such file"):
        JsonDocument(tmp_path / "none.json")
    (tmp_path / "x.json").write_bytes(b"\xff\x00\x01")
    with pytest.raises(UserError, match="not a text file"):
        JsonDocument(tmp_path / "x.json")
    (tmp_path / "x.json").write_bytes(gzip.compress(b"{}"))
    with pytest.raises(UserError, match=r"is compressed\. Unpack it first"):
        JsonDocument(tmp_path / "x.json")


def test_a_mark_of_byte_order_is_no_damage(tmp_path: Path):
    (tmp_path / "x.json").write_bytes(b'\xef\xbb\xbf{"a": 1}')
    assert JsonDocument(tmp_path / "x.json").members == {"a": 1}


def test_memory_stays_near_the_files_size(tmp_path: Path):
    records = [{"id": number, "segmentation": [[float(value) for value in range(200)]]} for number in range(2000)]
    (tmp_path / "x.json").write_text(json.dumps({"images": [], "categories": [], "annotations": records}))
    size = (tmp_path / "x.json").stat().st_size
    del records
    tracemalloc.start()
    assert sum(record["id"] for record in JsonDocument(tmp_path / "x.json").annotations()) == 2000 * 1999 // 2
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * size  # the json module alone needs ten times as much: a Python object for every number


@pytest.mark.parametrize("value", [2**70, float("inf"), "half a \ud83d character", "null", None, 0.1, [{"a": "ü"}]])
def test_a_record_comes_back_as_it_was(tmp_path: Path, value: Any):
    json_stream.write(tmp_path / "x.json", {}, [{"id": 1, "own": value}, {"id": 2}])
    text = (tmp_path / "x.json").read_text(encoding="utf-8")
    assert json.loads(text)["annotations"] == [{"id": 1, "own": value}, {"id": 2}]
    assert text.count("\n") >= 3  # one record a line
