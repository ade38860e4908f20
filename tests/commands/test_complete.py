"""Annotations of visible parts are completed: ids and visible masks stay, whole objects are added."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import Category
from amodal.commands.complete import How, complete
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.models import checkpoint, prompting
from tests.small_models import SMALL, small_model, with_resnet

CATEGORIES = [Category(4, "Cup"), Category(5, "pear"), Category(9, "cow")]


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    config = with_resnet(SMALL)
    checkpoint.save(path, checkpoint.Checkpoint(small_model(config).eval(), config, CATEGORIES))
    return str(path)


def write_coco(folder: Path, names: tuple[str, ...] = ("pear", "cup")) -> Path:
    """An ordinary instance file: two visible parts, a crowd, and an image without objects."""
    for name in ("a.png", "b.png"):
        pixels = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / name)

    def annotation(number: int, category: int, box: tuple[int, int, int, int], **more) -> dict:
        x, y, w, h = box
        polygon = [x, y, x + w, y, x + w, y + h, x, y + h]
        about = {"id": number, "image_id": 1, "category_id": category, "bbox": list(box), "area": w * h, "iscrowd": 0}
        return about | {"segmentation": [polygon]} | more

    crowd = {"iscrowd": 1, "segmentation": {"size": [48, 64], "counts": [100, 50, 48 * 64 - 150]}}
    content = {
        "images": [{"id": i, "file_name": f, "height": 48, "width": 64} for i, f in ((1, "a.png"), (2, "b.png"))],
        "categories": [{"id": 10 + i, "name": name} for i, name in enumerate(names)],
        "annotations": [
            annotation(7, 10, (5, 5, 20, 10)),
            annotation(8, 11, (30, 20, 10, 20)),
            annotation(9, 10, (0, 0, 5, 5), **crowd),
        ],
    }
    path = folder / "instances.json"
    path.write_text(json.dumps(content))
    return path


def test_seen_parts_become_whole_objects(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(prompting, "GROWTH", 1.0)  # random weights claim nothing in a box that is hardly grown
    source = write_coco(tmp_path)
    how = How(device="cpu", untouched="complete", least_change=0)
    complete(source, model, out=tmp_path / "amodal.json", how=how)
    before, after = annotation_files.read(source), annotation_files.read(tmp_path / "amodal.json", tmp_path)
    assert [(a.id, a.image_id, a.category_id) for a in after.annotations] == [(7, 1, 10), (8, 1, 11), (9, 1, 10)]
    assert len(after.images) == 2
    for old, new in list(zip(before.annotations, after.annotations, strict=True))[:2]:
        seen, kept, whole = rle.decode([old.visible, new.visible, new.amodal], (48, 64))
        assert (seen == kept).all()
        assert not (kept & ~whole).any()
    assert any(rle.areas([a.amodal])[0] > rle.areas([a.visible])[0] for a in after.annotations)
    assert after.annotations[2].amodal == before.annotations[2].amodal
    assert "3 objects in 2 images" in capsys.readouterr().out


def test_by_default_what_nothing_touches_stays(model, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(prompting, "GROWTH", 1.0)
    source = write_coco(tmp_path)
    complete(source, model, out=tmp_path / "amodal.json", how=How(device="cpu"))
    before, after = annotation_files.read(source), annotation_files.read(tmp_path / "amodal.json", tmp_path)
    assert [a.amodal for a in after.annotations] == [a.visible for a in before.annotations]
    assert "0 objects are partly hidden" in capsys.readouterr().out


def test_labelme_files_for_correction_by_hand(model, tmp_path):
    complete(write_coco(tmp_path), model, out=tmp_path / "drawn", to="labelme", how=How(device="cpu"))
    shapes = json.loads((tmp_path / "drawn" / "a.json").read_text())["shapes"]
    assert {"pear_amodal", "pear_visible", "cup_amodal", "cup_visible"} <= {shape["label"] for shape in shapes}


def test_categories_that_the_model_does_not_know(model, tmp_path):
    source = write_coco(tmp_path, ("pear", "anvil"))
    with pytest.raises(UserError, match="the model knows no 'anvil'"):
        complete(source, model, out=tmp_path / "amodal.json", how=How(device="cpu"))
    mistyped = write_coco(tmp_path, ("pear", "cip"))
    with pytest.raises(UserError, match=r"the model knows no 'cip'. Did you mean Cup"):
        complete(mistyped, model, out=tmp_path / "amodal.json", how=How(device="cpu"))
    source = write_coco(tmp_path, ("pear", "anvil"))
    complete(source, model, out=tmp_path / "amodal.json", how=How(any_category=True, device="cpu"))
    after = annotation_files.read(tmp_path / "amodal.json", tmp_path)
    assert [c.name for c in after.categories] == ["pear", "anvil"]
    assert [a.category_id for a in after.annotations] == [10, 11, 10]


def test_bad_input_is_named(model, tmp_path):
    source = write_coco(tmp_path)
    with pytest.raises(UserError, match="would replace the input"):
        complete(source, model, out=source)
    with pytest.raises(UserError, match="is written to a file"):
        complete(source, model, out=tmp_path)
    (tmp_path / "a.png").unlink()
    with pytest.raises(UserError, match=r"a\.png: no such file"):
        complete(source, model, out=tmp_path / "amodal.json", how=How(device="cpu"))
    Image.new("RGB", (10, 12)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="is 10x12, the annotations say 64x48"):
        complete(source, model, out=tmp_path / "amodal.json", how=How(device="cpu"))
    assert not (tmp_path / "amodal.json").exists()
