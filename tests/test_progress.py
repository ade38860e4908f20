"""Long work says that it goes on."""

import time

import pytest

from amodal.annotations import Category
from amodal.cli import main
from amodal.models.checkpoint import Checkpoint, save
from amodal.progress import EVERY, announced
from tests.small_models import SMALL, small_model


def test_work_is_announced_and_says_that_it_goes_on(capsys):
    with announced("counting sheep", every=0.02):
        time.sleep(0.3)
    first, *more = capsys.readouterr().err.splitlines()
    assert first == "amodal: counting sheep ..."
    assert len(more) >= 2
    assert all(line.startswith("amodal: still counting sheep, for ") for line in more)
    time.sleep(0.1)
    assert capsys.readouterr().err == ""  # and no longer than it lasts
    assert EVERY <= 10


def test_work_that_fails_is_no_longer_announced(capsys):
    with pytest.raises(ZeroDivisionError), announced("dividing", every=0.02):
        raise ZeroDivisionError
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""


def test_export_announces_every_stage(tmp_path, capsys):
    pytest.importorskip("onnx")
    path = tmp_path / "m.safetensors"
    save(path, Checkpoint(small_model(SMALL), SMALL, [Category(i, name) for i, name in enumerate("abc", start=1)]))
    main(["export", str(path), str(tmp_path / "m.onnx"), "--int8"])
    said = [line for line in capsys.readouterr().err.splitlines() if "still" not in line]
    stages = ("loading what exports", f"loading {path}", f"tracing {path}", "rounding its weights to 8 bits")
    assert said == [f"amodal: {stage} ..." for stage in stages]
