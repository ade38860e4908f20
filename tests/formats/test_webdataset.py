"""WebDataset's shards: a picture and its annotations a sample, in any format of one image."""

import io
import json
import tarfile
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.evaluation.metrics.occlusion import stated_visible_ratios
from amodal.formats import annotation_files, webdataset
from amodal.formats.check import check
from amodal.pictures import read_annotated_image
from tests.annotation_files import JUG, SIZE, d2sa, image_entry, kins, labelme, save, save_image, text_rle


def png(value: int = 9, size: tuple[int, int] = SIZE, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.full((*size, 3), value, dtype=np.uint8)).save(file, "PNG", **options)
    return file.getvalue()


def pack(path: Path, contents: Mapping[str, bytes | dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, content in contents.items():
            data = content if isinstance(content, bytes) else json.dumps(content).encode()
            about = tarfile.TarInfo(name)
            about.size = len(data)
            archive.addfile(about, io.BytesIO(data))
    return path


def masks(found: AnnotationSet) -> list[tuple[str, int, int]]:
    """What each object is of, and how many of its pixels there are, and are seen."""
    names = {category.id: category.name for category in found.categories}
    areas = zip(
        *(rle.areas([getattr(a, kind) for a in found.annotations]) for kind in ("amodal", "visible")), strict=True
    )
    return [(names[a.category_id], int(w), int(s)) for a, (w, s) in zip(found.annotations, areas, strict=True)]


CUP_AND_JUG = [("cup", 12, 6), ("jug", 15, 15)]


def test_samples_of_every_format_of_one_image(tmp_path: Path) -> None:
    """Files that each count for themselves, so that ids and categories are numbered anew."""
    sa1b = {"image": {"image_id": 10, **image_entry()}, "annotations": [{"id": 1, "segmentation": text_rle(JUG)}]}
    shard = {}
    for place, content in enumerate((d2sa(), kins(), labelme(), sa1b)):
        shard |= {
            f"x/{place}.png": png(place),
            f"x/{place}.json": content,
            f"x/{place}.seg.png": b"",
            f"x/{place}.cls": b"1",
        }
    found = annotation_files.read(pack(tmp_path / "s.tar", shard))
    assert [image.id for image in found.images] == [1, 2, 3, 4]
    assert [image.file_name for image in found.images] == [f"x/{place}.png" for place in range(4)]
    assert [(c.id, c.name) for c in found.categories] == [(1, "cup"), (2, "jug"), (3, "object"), (4, "rider")]
    assert masks(found)[:2] == CUP_AND_JUG
    assert sorted(masks(replace(found, annotations=found.by_image[3]))) == CUP_AND_JUG
    assert masks(found)[-1] == ("object", 15, 15)
    assert len({a.id for a in found.annotations}) == len(found.annotations)
    assert "duplicate_id" not in found.repairs
    for place, image in enumerate(found.images):
        assert image.stored is not None
        assert read_annotated_image(image.place_in(Path()), SIZE).max() == place


def numbered(image_id: int, first: int) -> dict[str, Any]:
    """A file whose ids are the whole data set's."""
    content = d2sa() | {"images": [image_entry(image_id, "elsewhere.png")]}
    content["annotations"] = [
        one | {"id": first + place, "image_id": image_id} for place, one in enumerate(content["annotations"])
    ]
    return content


def test_ids_of_a_whole_data_set_stand(tmp_path: Path) -> None:
    for name, start in (("b-01.tar", 40), ("b-00.tar", 20)):
        pack(tmp_path / "s" / name, {"a.json": numbered(start, start * 10), "a.png": png(start)})
    for source in (tmp_path / "s", str(tmp_path / "s" / "b-{00..01}.tar"), str(tmp_path / "s" / "*.tar")):
        found = annotation_files.read(source)
        assert [image.id for image in found.images] == [20, 40]
        assert [a.id for a in found.annotations] == [200, 201, 400, 401]
        assert [(c.id, c.name) for c in found.categories] == [(2, "cup"), (5, "jug")]
        assert masks(found) == CUP_AND_JUG * 2
    assert annotation_files.read_archives([tmp_path / "s" / "b-01.tar", tmp_path / "s"]).images[0].id == 40


@pytest.mark.parametrize("place", ["{}/s.tar", "{}/*.tar", "file://{}/s.tar"])
def test_ratios_that_a_file_states_are_read_again_by_the_set_s_source(place: str, tmp_path: Path) -> None:
    pack(tmp_path / "s.tar", {"a.json": numbered(20, 200), "a.png": png()})
    source = annotation_files.read(place.format(tmp_path)).source
    assert source is not None
    assert stated_visible_ratios(source) == {200: 0.5, 201: 1.0}


def test_a_size_that_is_not_stated_is_the_picture_s(tmp_path: Path) -> None:
    content = d2sa() | {"images": [{"id": 10, "file_name": "a.png"}]}
    [image] = annotation_files.read(pack(tmp_path / "s.tar", {"a.json": content, "a.png": png()})).images
    assert (image.height, image.width) == SIZE


def test_a_turned_photograph_is_read_as_it_was_annotated(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    shard = pack(tmp_path / "s.tar", {"a.json": d2sa(), "a.png": png(9, (SIZE[1], SIZE[0]), exif=exif)})
    [image] = annotation_files.read(shard).images
    assert read_annotated_image(image.place_in(tmp_path), SIZE).shape[:2] == SIZE
    assert check(shard).counts["image_size"] == 0


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        ({}, r"s\.tar: .*holds no samples|s\.tar: is no whole"),
        ({"a.png": png()}, r"s\.tar: a\.png: has no annotations beside it\. A sample is"),
        ({"a.png": png(), "a.json": d2sa(), "b.json": d2sa()}, r"b\.json: has no picture beside it"),
        ({"a.png": png(), "a.jpg": png(), "a.json": d2sa()}, r"a\.jpg: is of the same sample as a\.png"),
        ({"a.png": png(), "a.json": b"{"}, r"s\.tar/a\.json: not valid JSON at line 1"),
        ({"a.png": png(), "a.json": b"[]"}, r"s\.tar/a\.json: no JSON object"),
        ({"a.png": png(), "a.json": {"caption": "a cup"}}, r"s\.tar/a\.json: of no known annotation format"),
        ({"a.png": png(), "a.json": d2sa() | {"images": []}}, r"a\.json: lists 0 images, not the one"),
        (
            {"a.png": png(), "a.json": d2sa() | {"images": [image_entry(11)]}},
            r"s\.tar/a\.json annotation 7: .*image 10",
        ),
        ({"a.png": png(), "a.json": d2sa() | {"categories": []}}, r"s\.tar/a\.json annotation 7: .*category"),
        ({"a.png": b"x", "a.json": d2sa() | {"images": [{"id": 10, "file_name": "a.png"}]}}, "no height and width"),
    ],
)
def test_what_is_wrong_with_a_sample_is_one_line(contents: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=message) as told:
        annotation_files.read(pack(tmp_path / "s.tar", contents))
    assert "\n" not in str(told.value)


def test_the_check_up_opens_the_pictures(tmp_path: Path) -> None:
    shard = {"a.json": numbered(1, 1), "a.png": png(), "b.json": numbered(2, 10), "b.png": b"no picture"}
    report = check(pack(tmp_path / "s.tar", shard | {"c.json": numbered(3, 20), "c.png": png(1, (3, 3))}))
    assert (report.counts["image_damaged"], report.counts["image_size"]) == (1, 1)
    assert [image.id for image in report.repaired.images] == [1]


def test_what_is_written_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webdataset, "SAMPLES", 2)
    names = ["in/a.v2.png", "in/b.png", "c.png"]
    content = d2sa() | {"images": [image_entry(place, name) for place, name in enumerate(names, start=10)]}
    given = annotation_files.read(save(content, tmp_path / "in.json"), tmp_path)
    with pytest.raises(UserError, match=r"a\.v2\.png: no such file"):
        webdataset.write(given, tmp_path / "none")
    for name in names:
        save_image(tmp_path / name)
    webdataset.write(given, tmp_path / "shards")
    assert sorted(path.name for path in (tmp_path / "shards").iterdir()) == ["shard-000000.tar", "shard-000001.tar"]
    back = annotation_files.read(tmp_path / "shards")
    assert [image.file_name for image in back.images] == ["in/a_v2.png", "in/b.png", "c.png"]
    assert (back.annotations, back.categories) == (given.annotations, given.categories)
    for image, name in zip(back.images, names, strict=True):
        assert image.stored is not None
        assert image.stored.read() == (tmp_path / name).read_bytes()
    with tarfile.open(tmp_path / "shards" / "shard-000000.tar") as archive:
        file = archive.extractfile("in/b.json")
        assert file is not None
        assert json.load(file)["categories"] == []  # the shard's first sample lists them


def test_names_that_are_no_keys_get_ids(tmp_path: Path) -> None:
    content = d2sa() | {"images": [image_entry(10, "a.b.png"), image_entry(11, "a_b.png")]}
    for name in ("a.b.png", "a_b.png"):
        save_image(tmp_path / name)
    webdataset.write(annotation_files.read(save(content, tmp_path / "in.json"), tmp_path), tmp_path / "out")
    assert [i.file_name for i in annotation_files.read(tmp_path / "out").images] == ["a_b_10.png", "a_b_11.png"]


@pytest.mark.parametrize("images", ["pictures/*.tar", "pictures"])
def test_annotations_beside_pictures_in_archives(images: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    entries = [{"id": 10, "file_name": "in/a.png"}, image_entry(11, "b.png")]
    source = save(d2sa() | {"images": entries}, Path("in.json"))
    pack(Path("pictures/0.tar"), {"in/a.png": png(1), "other.txt": b""})
    pack(Path("pictures/1.tar"), {"photos/b.png": png(2)})
    found = annotation_files.read(source, images)
    assert [read_annotated_image(i.place_in(Path()), SIZE).max() for i in found.images] == [1, 2]
    assert [(image.height, image.width) for image in found.images] == [SIZE, SIZE]
    assert masks(found) == CUP_AND_JUG
    pack(Path("pictures/2.tar"), {"b.png": png(2), "in/a.png": png()})
    with pytest.raises(UserError, match=r"in/a\.png: is in 2 places"):
        annotation_files.read(source, images)
    Path("pictures/2.tar").unlink()
    Path("pictures/1.tar").unlink()
    with pytest.raises(UserError, match=r"0\.tar: b\.png: is in none of 1 archives"):
        annotation_files.read(source, images)
