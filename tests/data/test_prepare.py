"""Public data sets made ready, on small stand-ins that lie as the real archives unpack."""

import json
import tarfile
import zipfile
from pathlib import Path

import pytest

from amodal.commands.data import data_prepare
from amodal.data import prepare
from amodal.data.prepare import DATA_SETS
from amodal.errors import UserError
from amodal.formats import annotation_files
from tests.annotation_files import cocoa, d2sa, image_entry, kins, kins2020, save, save_image


def run(name: str, folder: Path) -> str:
    return "\n".join(prepare.prepare(name, folder))


def stand_in_d2sa(folder: Path) -> Path:
    """Both parts number their images and annotations from the start, as if made apart."""
    annotations = folder / "d2s_amodal_annotations_v1"
    save(d2sa(), annotations / "D2S_amodal_augmented.json")
    save(d2sa() | {"images": [image_entry(10, "b.png")]}, annotations / "D2S_amodal_training_rot0.json")
    save(d2sa(), annotations / "D2S_amodal_validation.json")
    for name in ("a.png", "b.png"):
        save_image(folder / "d2s_amodal_images_v1" / "images" / name)
    return folder


def test_d2sa_joins_both_parts_of_its_training_set(tmp_path: Path):
    told = run("d2sa", stand_in_d2sa(tmp_path))
    train, val = annotation_files.read(tmp_path / "d2sa_train.json"), annotation_files.read(tmp_path / "d2sa_val.json")
    assert [image.file_name for image in train.images] == ["a.png", "b.png"]
    assert len({image.id for image in train.images}) == 2
    assert [len(train.by_image[image.id]) for image in train.images] == [2, 2]
    assert len({a.id for a in train.annotations}) == 4
    assert len(val.annotations) == 2
    assert train.image_folder == tmp_path / "d2s_amodal_images_v1" / "images"
    assert "2 (known are 2,000: another release?) images, 4 (known are 13,066: another release?)" in told


def test_counts_that_agree_are_said_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    known = {split: prepare.Split(part.files, (2, 1), (4, 2)) for split, part in DATA_SETS["d2sa"].splits.items()}
    monkeypatch.setitem(DATA_SETS, "d2sa", prepare.DataSet(("all of it",), known))
    told = run("d2sa", stand_in_d2sa(tmp_path))
    assert "2 (as known) images, 4 (as known) annotations" in told
    assert "1 (as known) images, 2 (as known) annotations" in told


def test_the_known_numbers():
    assert DATA_SETS["d2sa"].splits["train"].num_images == (2000,)
    assert DATA_SETS["d2sa"].splits["train"].num_annotations == (13_066,)
    assert DATA_SETS["cocoa-cls"].splits["train"].num_images == (2276,)


@pytest.mark.parametrize(
    ("train", "val", "content"),
    [
        ("instances_train.json", "instances_val.json", kins()),
        ("update_train_2020.json", "update_test_2020.json", kins2020()),
    ],
)
def test_kins_of_either_year_takes_each_parts_own_images(train: str, val: str, content: dict, tmp_path: Path):
    save(content, tmp_path / train)
    save(content, tmp_path / "deeper" / val)
    for part in ("training", "testing"):  # both have a.png
        save_image(tmp_path / part / "image_2" / "a.png")
    run("kins", tmp_path)
    for name, part in (("train", "training"), ("val", "testing")):
        result = annotation_files.read(tmp_path / f"kins_{name}.json")
        assert result.image_folder == tmp_path / part / "image_2"
        assert [category.name for category in result.categories] == ["cup", "jug"]  # without the empty rider


def test_kins_as_it_is_downloaded_loose_annotations_and_packed_pictures(tmp_path: Path):
    for name in ("update_train_2020.json", "update_test_2020.json"):
        save(kins2020(), tmp_path / name)
    picture = save_image(tmp_path / "source" / "a.png").read_bytes()
    with zipfile.ZipFile(tmp_path / "data_object_image_2.zip", "w") as archive:
        for part in ("training", "testing"):
            archive.writestr(f"{part}/image_2/a.png", picture)
    assert "unpacked 1 archives" in run("kins", tmp_path)
    for name, part in (("train", "training"), ("val", "testing")):
        assert annotation_files.read(tmp_path / f"kins_{name}.json").image_folder == tmp_path / part / "image_2"


@pytest.mark.parametrize("there", ["training", "testing"])
def test_no_split_of_kins_takes_the_others_images_of_the_same_names(there: str, tmp_path: Path):
    for name in ("instances_train.json", "instances_val.json"):
        save(kins(), tmp_path / name)
    save_image(tmp_path / there / "image_2" / "a.png")
    with pytest.raises(UserError, match="1 of 1 images are not found"):
        run("kins", tmp_path)
    assert not list(tmp_path.glob("kins_*.json"))


def test_ordinary_annotations_called_as_kins_are_no_kins(tmp_path: Path):
    """The recipes of photographs have files of these names."""
    content = kins()
    for record in content["annotations"]:
        del record["inmodal_seg"]
    for name in ("instances_train.json", "instances_val.json"):
        save(content, tmp_path / name)
    save_image(tmp_path / "images" / "a.png")
    with pytest.raises(UserError, match=r"instances_train.json: has no object that is partly hidden"):
        run("kins", tmp_path)


def test_a_category_is_dropped_only_while_it_is_empty(tmp_path: Path):
    content = kins()
    content["annotations"][0]["category_id"] = 3
    save(content, tmp_path / "instances_train.json")
    save(content, tmp_path / "instances_val.json")
    save_image(tmp_path / "training" / "image_2" / "a.png")
    save_image(tmp_path / "testing" / "image_2" / "a.png")
    run("kins", tmp_path)
    assert "rider" in [category.name for category in annotation_files.read(tmp_path / "kins_train.json").categories]


def test_cocoa_becomes_one_class_without_stuff(tmp_path: Path):
    for part in ("train", "val"):
        name = f"COCO_{part}2014_1.png"
        content = cocoa() | {"images": [image_entry(10, name)]}
        save(content, tmp_path / "annotations" / f"COCO_amodal_{part}2014.json")
        save_image(tmp_path / f"{part}2014" / name)
    run("cocoa", tmp_path)
    result = annotation_files.read(tmp_path / "cocoa_val.json")
    assert [category.name for category in result.categories] == ["object"]
    assert [(a.id, a.depth_order) for a in result.annotations] == [(1, 0), (2, 1)]
    assert result.image_folder == tmp_path / "val2014"


def test_archives_are_unpacked(tmp_path: Path):
    source, folder = stand_in_d2sa(tmp_path / "source"), tmp_path / "downloads"
    folder.mkdir()
    with tarfile.open(folder / "d2s_amodal_annotations_v1.tar.xz", "w:xz") as archive:
        archive.add(source / "d2s_amodal_annotations_v1", "d2s_amodal_annotations_v1")
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for image in (source / "d2s_amodal_images_v1" / "images").iterdir():
            archive.write(image, f"d2s_amodal_images_v1/images/{image.name}")
    assert "unpacked 2 archives" in run("d2sa", folder)
    assert len(annotation_files.read(folder / "d2sa_train.json").images) == 2


@pytest.mark.parametrize("name", ["x.zip", "x.tar.gz", "x.tar.xz", "x.tar"])
def test_damaged_archives_are_named(name: str, tmp_path: Path):
    (tmp_path / name).write_bytes(b"no archive")
    with pytest.raises(UserError, match=rf"{name}: the archive is damaged"):
        run("d2sa", tmp_path)


def test_a_cut_archive_is_named(tmp_path: Path):
    source = stand_in_d2sa(tmp_path / "source")
    path = tmp_path / "downloads" / "x.tar.gz"
    path.parent.mkdir()
    with tarfile.open(path, "w:gz") as archive:
        archive.add(source, "d2sa")
    path.write_bytes(path.read_bytes()[:-60])
    with pytest.raises(UserError, match="the archive is damaged"):
        run("d2sa", path.parent)


@pytest.mark.parametrize("name", list(DATA_SETS))
def test_it_says_what_to_download_and_under_which_licence(
    name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    for folder in (tmp_path, tmp_path / "not there"):
        with pytest.raises(UserError, match="not there: "):
            data_prepare(name, folder)  # type: ignore[arg-type]
        told = capsys.readouterr().out
        assert "https://" in told
        assert any(word in told for word in ("CC BY", "licence", "terms"))


def test_missing_images_are_counted(tmp_path: Path):
    stand_in_d2sa(tmp_path)
    (tmp_path / "d2s_amodal_images_v1" / "images" / "b.png").unlink()
    with pytest.raises(UserError, match=r"1 of 2 images are not in .*, the first b\.png"):
        run("d2sa", tmp_path)
    assert not (tmp_path / "d2sa_train.json").exists()


def test_what_is_prepared_is_d2sas_format(tmp_path: Path):
    run("d2sa", stand_in_d2sa(tmp_path))
    assert "visible_mask" in json.loads((tmp_path / "d2sa_train.json").read_text())["annotations"][0]
    assert annotation_files.contents(tmp_path / "d2sa_train.json").format == "d2sa"


def test_recipes_find_what_is_prepared(tmp_path: Path):
    from amodal.training.recipes import recipe

    run("d2sa", stand_in_d2sa(tmp_path))
    data = recipe("d2sa_vrsp", tmp_path).data
    counts = [
        len(annotation_files.read(source.annotations[0], source.images).images) for source in (data.train, data.val)
    ]
    assert counts == [2, 1]
