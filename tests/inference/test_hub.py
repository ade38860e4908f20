"""Models on the hub, against a stand-in that keeps its repositories in a folder."""

import shutil
import time
from pathlib import Path

import pytest

import amodal
from amodal.annotations import Category
from amodal.cli import main
from amodal.errors import UserError
from amodal.evaluation.metrics.occlusion import column
from amodal.evaluation.report import Counts, OcclusionScores, Report, Scores
from amodal.files import write_json
from amodal.inference.hub import push_to_hub
from amodal.models import checkpoint
from tests.small_models import SMALL, small_model

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

    def hf_hub_download(repository, name, *, revision=None, local_files_only=False):
        found = folder / repository / name
        if revision not in (None, "main") or not found.is_file():
            raise huggingface_hub.errors.LocalEntryNotFoundError("no such entry")
        return str(found)

    monkeypatch.setattr("amodal.inference.hub.is_reachable", lambda endpoint: True)
    monkeypatch.setattr(huggingface_hub, "HfApi", Api)
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", hf_hub_download)
    return folder


@pytest.fixture
def model(tmp_path) -> Path:
    path = tmp_path / "model.safetensors"
    data = {"train": {"annotations": ["/home/ann/secret/cups.json"]}}
    details = {"step": 7, "training": {"recipe": "d2sa", "seed": 3, "data": data}}
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
    for row in ("| step | 7 |", "| recipe | d2sa |", "| seed | 3 |", "| Trained on | cups.json |"):
        assert row in card
    assert "secret" not in card


def test_the_card_tells_the_scores_of_a_report(hub, model, tmp_path, capsys):
    scores = Scores(0.5, 0.75, 0.625, 0.1, 0.2, 0.3)
    report = Report(
        Counts(1200, 3, 2, 9, 1),
        scores,
        scores,
        None,
        None,
        [OcclusionScores("amodal", "clean", column(0.15), 2, 0.25, 0.5, 0.5)],
    )
    write_json(tmp_path / "report.json", report.to_json())
    main(["push", str(model), "hf://ann/shapes", "--report", str(tmp_path / "report.json")])
    assert capsys.readouterr().out == "hf://ann/shapes\n"
    card = (hub / "ann/shapes/README.md").read_text()
    assert "| amodal masks | 50.0 | 75.0 | 62.5 | 30.0 |" in card
    assert "visible masks" not in card.split("## Measured")[1]
    assert "On 1,200 images with 3 objects" in card
    assert "25.0" in card


@pytest.mark.parametrize(
    ("address", "problem"),
    [
        ("hf://ann", "no address on the hub"),
        ("hf://ann/b/c", "no address on the hub"),
        ("hf://ann/nothing", r"hf://ann/nothing: could not be downloaded \(no such entry\)"),
        ("hf://ann/shapes@v9", "could not be downloaded"),
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
    with pytest.raises(UserError, match="'shapes' is no name on the hub"):
        push_to_hub(model, "shapes")
    (tmp_path / "text").write_text("text")
    with pytest.raises(UserError, match="is no checkpoint"):
        push_to_hub(tmp_path / "text", "ann/shapes")


def test_a_hub_that_cannot_be_reached_is_one_line_soon(model, monkeypatch, capsys):
    """Its address is one of this machine's ports where nobody listens: as without a network."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(huggingface_hub.constants, "ENDPOINT", "http://127.0.0.1:9")
    before = time.monotonic()
    for command in (f"push {model} ann/cups", "predict picture.jpg --model hf://ann/cups"):
        with pytest.raises(SystemExit):
            main(command.split())
        said = capsys.readouterr().err.splitlines()
        assert said[-1].startswith("amodal: ")
        assert "cannot be reached" in said[-1] or "no such file" in said[-1]
    with pytest.raises(UserError, match=r"hf://ann/cups: the hub cannot be reached\. Check the connection"):
        amodal.load("hf://ann/cups")
    assert time.monotonic() - before < 20
