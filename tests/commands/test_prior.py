from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.commands.prior import Masks, prior_convert, prior_fit, prior_show
from amodal.errors import UserError
from amodal.formats import coco
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.config import PriorConfig
from amodal.prior.shape_prior import ShapePrior

QUICK = PriorConfig(steps=5, shapes_per_class=4)


@pytest.fixture
def annotations() -> AnnotationSet:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:40, :40]
    discs = np.stack([(x - 20) ** 2 + (y - 20) ** 2 < r**2 for r in rng.uniform(8, 15, 4)])
    bars = np.stack([(abs(x - y) < 4) & (abs(x - 20) < half) for half in (8, 10, 12, 14)])
    masks = rle.encode(np.concatenate([discs, bars]))
    found = [Annotation(i + 1, 1, 5 if i < 4 else 2, mask, mask) for i, mask in enumerate(masks)]
    return AnnotationSet([ImageRecord(1, "a.png", 40, 40)], found, [Category(5, "disc"), Category(2, "bar")])


@pytest.fixture
def data(annotations: AnnotationSet, tmp_path: Path) -> Path:
    coco.write(annotations, tmp_path / "data.json")
    return tmp_path / "data.json"


@pytest.fixture
def prior(data: Path, tmp_path: Path) -> Path:
    prior_fit((data,), out=tmp_path / "prior.safetensors", settings=QUICK)
    return tmp_path / "prior.safetensors"


def test_fit_writes_a_prior_with_its_categories_and_quality(
    data: Path, prior: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    written = ShapePrior.load(prior)
    assert [category.name for category in written.categories] == ["bar", "disc"]
    assert written.codebook.counts.tolist() == [4, 4]
    assert written.details["quality"]["num_masks"] == 8
    for validate, which in ((None, "fitted"), (data, "new")):
        prior_fit((data,), out=prior, masks=Masks(validate), settings=QUICK)
        assert f"8 shapes of 2 categories\nIoU of 8 {which} masks" in capsys.readouterr().out


@pytest.mark.parametrize("nearest", [False, True])
def test_show_draws_a_row_for_each_category(data: Path, prior: Path, tmp_path: Path, nearest: bool) -> None:
    prior_show(prior, tmp_path / "shapes.png", data=data if nearest else None, count=4)
    with Image.open(tmp_path / "shapes.png") as picture:
        width, height = picture.size
        pixels = np.asarray(picture.convert("L"))
    assert width == (6 if nearest else 5) * (112 + 12) + 12
    assert height > 2 * 112
    assert pixels.min() < 60 and pixels.max() == 255


def test_more_shapes_than_there_are_leave_places_empty(prior: Path, tmp_path: Path) -> None:
    prior_show(prior, tmp_path / "shapes.png", count=9)
    with Image.open(tmp_path / "shapes.png") as picture:
        assert picture.width == 10 * (112 + 12) + 12


def test_released_files_become_a_prior(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    autoencoder = MaskAutoencoder(3)
    torch.save({"outconv.0.bias": autoencoder.output.bias}, tmp_path / "net.pth")
    monkeypatch.setattr("amodal.prior.released.load_autoencoder", lambda _: autoencoder)
    np.save(tmp_path / "book.npy", {0: np.ones((3, 128))}, allow_pickle=True)  # type: ignore[arg-type]
    out = tmp_path / "prior.safetensors"
    prior_convert(tmp_path / "net.pth", tmp_path / "book.npy", out=out)
    assert ShapePrior.load(out).num_classes == 1
    prior_convert(tmp_path / "net.pth", tmp_path / "book.npy", out=out, categories=data)
    converted = ShapePrior.load(out)
    assert [category.name for category in converted.categories] == ["bar", "disc"]
    assert converted.codebook.counts.tolist() == [3, 0]
    assert converted.details == {"released": ["net.pth", "book.npy"]}


def test_bad_input_is_named(annotations: AnnotationSet, data: Path, prior: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"missing\.json: no such file"):
        prior_fit((tmp_path / "missing.json",))
    with pytest.raises(
        UserError, match=r"data\.json: is not a shape prior|data\.json: cannot be read as a shape prior"
    ):
        prior_show(data)
    other = tmp_path / "other.json"
    coco.write(replace(annotations, categories=[Category(5, "disc"), Category(2, "stick")]), other)
    with pytest.raises(UserError, match=r"other\.json: the prior knows no 'stick' and the data have no 'bar'"):
        prior_show(prior, data=other)
    with pytest.raises(UserError, match=r"other\.json: the prior knows no 'stick'"):
        prior_fit((data,), out=tmp_path / "p.safetensors", masks=Masks(other), settings=QUICK)
    coco.write(replace(annotations, annotations=[]), other)
    with pytest.raises(UserError, match=r"other\.json: has no amodal masks"):
        prior_fit((other,), out=tmp_path / "p.safetensors", settings=QUICK)
    assert not (tmp_path / "p.safetensors").exists()
