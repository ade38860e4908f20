"""Models on the hub, against a stand-in that keeps its repositories in a folder."""

import shutil
from pathlib import Path

import pytest
from small_models import SMALL, small_model

import amodal
from amodal.annotations import Category
from amodal.errors import UserError
from amodal.inference.hub import push_to_hub
from amodal.models import checkpoint

huggingface_hub = pytest.importorskip("huggingface_hub")

CATEGORIES = [Category(4, "cup"), Category(5, "pear | plum"), Category(9, "cow")]


@pytest.fixture
def hub(tmp_path, monkeypatch) -> Path:
    """The folder of a hub that is always there; user "other" may not be written to."""
    folder = tmp_path / "hub"

    class Api:
        def create_repo(self, repository, *, private, exist_ok):
            if repository.startswith("other/"):
                raise OSError("403 Forbidden\nmore")
            (folder / repository).mkdir(parents=True, exist_ok=exist_ok)

        def upload_file(self, *, path_or_fileobj, path_in_repo, repo_id):
            target = folder / repo_id / path_in_repo
            if isinstance(path_or_fileobj, bytes):
                target.write_bytes(path_or_fileobj)
            else:
                shutil.copy(path_or_fileobj, target)

    def hf_hub_download(repository, name, *, revision=None):
        found = folder / repository / name
        if revision not in (None, "main") or not found.is_file():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such entry")
        return str(found)

    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    details = {"recipe": "demo", "step": 7}
    checkpoint.save(path, checkpoint.Checkpoint(small_model(SMALL).eval(), SMALL, CATEGORIES, details))
    return path


def test_a_model_goes_there_and_comes_back(hub, model):
    address = push_to_hub(model, "ann/shapes")
    assert address == "hf://ann/shapes"
    for each in (address, f"{address}@main"):
        assert amodal.load(each, device="cpu").categories == tuple(CATEGORIES)
    card = (hub / "ann/shapes/README.md").read_text()
    assert 'amodal.load("hf://ann/shapes")' in card
    assert "| Categories | cup, pear \\| plum, cow |" in card
    assert "| recipe | demo |" in card


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("hf://ann", "no address on the hub"),
        ("hf://ann/b/c", "no address on the hub"),
        ("hf://ann/nothing", r"hf://ann/nothing: cannot be had \(no such entry\)"),
        ("hf://ann/shapes@v9", "cannot be had"),
    ],
)
def test_what_is_not_there_is_named(hub, address, problem):
    with pytest.raises(UserError, match=problem):
        amodal.load(address)


def test_what_cannot_be_put_there_is_named(hub, model, tmp_path):
    with pytest.raises(UserError, match=r"the hub refuses it \(403 Forbidden\)"):
        push_to_hub(model, "other/shapes")
    with pytest.raises(UserError, match="no such file"):
        push_to_hub(tmp_path / "gone", "ann/shapes")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match="is no checkpoint"):
        push_to_hub(tmp_path / "text", "ann/shapes")
