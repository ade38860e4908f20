"""Tables from real, tiny runs: made, found again, resumed; and what is written of them."""

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from amodal.commands.bench import TableSettings, bench_table1
from amodal.errors import UserError
from amodal.models.methods.vrsp import VRSP
from amodal.paper import runs, tables, variants
from amodal.prior.shape_prior import ShapePrior
from amodal.training import loop, run_folder
from amodal.training.config import with_iterations
from tests.bench_models import tiny_recipe
from tests.training_processes import PROCESSES

SCORES = ("amodal_ap", "amodal_ap50", "amodal_ap75", "amodal_ar", "amodal_ap_occluded", "visible_ap", "visible_ar")
ABOUT = {"recipe": "tiny", "command": "amodal bench", "machine": "1 core", "date": "2026-01-01"}


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(variants, "base", lambda name, data: tiny_recipe())


@pytest.fixture
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    """Table 1 of two rows, for tests that need no more."""
    few = [row for row in variants.TABLES["table1"] if row.method in ("mask_rcnn", "vrsp")]
    monkeypatch.setitem(variants.TABLES, "table1", tuple(few))


def count_trainings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, bool]]:
    """A list to which every training from now on adds its folder and whether it resumed."""
    trained, train = [], loop.train

    def counting(config: Any, folder: Path, *, resume: bool, device_name: str) -> dict[str, Any]:
        trained.append((folder.name, resume))
        return train(config, folder, resume=resume, device_name=device_name)

    monkeypatch.setattr(loop, "train", counting)
    return trained


def test_table_1_is_trained_measured_and_written_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    trained = count_trainings(monkeypatch)
    settings = TableSettings(recipe="tiny", out=tmp_path, iterations=1, device="cpu")
    bench_table1(settings=settings)
    assert len(trained) == 11
    rows = json.loads((tmp_path / "table1_tiny.json").read_text())
    assert [row["method"] for row in rows] == [
        "mask_rcnn",
        "mask_rcnn_c8",
        "two_heads",
        "orcnn",
        "sln",
        "aisformer",
        "bcnet",
        "vrsp",
        "vrsp_r",
    ]
    for row in rows:
        assert row["seed"] == 0
        assert row["images"] == 2
        needs_both = row["method"].startswith("mask_rcnn")
        assert (row["amodal_ap_occluded"] is None) == needs_both
        assert all(0 <= row[name] <= 100 for name in SCORES if name != "amodal_ap_occluded")
        assert row["training_seconds"] > 0
    about = json.loads((tmp_path / "table1_tiny.about.json").read_text())
    assert about["command"] == "amodal bench table1 --recipe tiny --data DATA --seeds 0 --iterations 1"
    assert {"commit", "machine", "date", "versions", "paper", "over_seeds"} <= about.keys()
    assert str(tmp_path) not in json.dumps(about)
    assert "| Mask R-CNN |" in capsys.readouterr().out

    bench_table1(settings=settings)  # everything is there
    assert len(trained) == 11
    assert json.loads((tmp_path / "table1_tiny.json").read_text()) == rows


@pytest.mark.usefixtures("short")
def test_a_stopped_table_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = TableSettings(recipe="tiny", out=tmp_path / "out", runs=tmp_path / "runs", device="cpu")
    save, saved = loop.save, []

    def breaking(run: loop.Run) -> None:
        save(run)
        saved.append(run.folder.name)
        if len(saved) == 3:  # the first step of the second run
            raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(loop, "save", breaking)
        with pytest.raises(KeyboardInterrupt):
            bench_table1(settings=settings)
    assert [row["method"] for row in json.loads((tmp_path / "out" / "table1_tiny.json").read_text())] == []
    assert runs.is_finished(tmp_path / "runs" / "mask_rcnn-seed0")

    trained = count_trainings(monkeypatch)
    bench_table1(settings=settings)
    assert trained == [("mask_rcnn_visible-seed0", True), ("vrsp-seed0", False)]
    assert len(json.loads((tmp_path / "out" / "table1_tiny.json").read_text())) == 2


@pytest.mark.usefixtures("short")
def test_a_run_of_other_settings_is_refused_before_anything_is_done(tmp_path: Path) -> None:
    settings = TableSettings(recipe="tiny", out=tmp_path / "out", runs=tmp_path, iterations=1, device="cpu")
    config = with_iterations(tiny_recipe(), 1)
    job = runs.jobs(variants.table("table1"), config, tmp_path, (0,))[0]
    runs.finish(job, "cpu")
    assert tables.rows(variants.table("table1"), config, tmp_path, (0,)) == [], "the visible model is not there yet"
    (before,) = [path for path in tables.paths(settings.out / "table1_tiny") if path.suffix == ".md"]
    before.parent.mkdir()
    before.write_text("of one step")
    (settings.out / "table1_tiny.about.json").write_text('{"command": "amodal bench table1 ..."}')
    moved = replace(job.config.data.train, cutouts="elsewhere")
    runs.check_same(replace(job.config, data=replace(job.config.data, train=moved), workers=3), job.folder)
    for _ in range(2):
        with pytest.raises(
            UserError, match=r"other settings \(schedule\.iterations: 1, not 2.*another folder with --runs"
        ):
            bench_table1(settings=replace(settings, iterations=2))
        (job.folder / run_folder.METRICS).unlink(missing_ok=True)  # as if it had been stopped
    assert before.read_text() == "of one step"
    assert not (tmp_path / "vrsp-seed0").exists()


@pytest.mark.usefixtures("short")
def test_a_run_that_fails_does_not_stop_the_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    finish = runs.finish

    def failing(job: runs.Job, device: str) -> None:
        if job.config.model.method == "vrsp":
            raise UserError("losses are no longer finite")
        finish(job, device)

    monkeypatch.setattr(runs, "finish", failing)
    with pytest.raises(UserError, match=r"1 of 3 runs failed: vrsp-seed0: losses are no longer finite"):
        bench_table1(settings=TableSettings(recipe="tiny", out=tmp_path, iterations=1, device="cpu"))
    assert [row["method"] for row in json.loads((tmp_path / "table1_tiny.json").read_text())] == ["mask_rcnn"]


def test_vrsp_runs_of_a_seed_share_a_prior_and_rescoring_is_judged_on_the_same_weights(tmp_path: Path) -> None:
    config = tiny_recipe()
    names = ("vrsp_no_matching", "vrsp_no_visible_attention", "vrsp")
    todo = [
        job
        for job in runs.jobs(variants.table("table2"), config, tmp_path, (3,))
        if job.folder.name.split("-")[0] in names
    ]
    runs.share_priors(todo, tmp_path)
    priors = {(job.folder / run_folder.PRIOR).read_bytes() for job in todo}
    assert priors == {(tmp_path / "prior-seed3.safetensors").read_bytes()}
    assert ShapePrior.load(tmp_path / "prior-seed3.safetensors").details["seed"] == 3

    (job,) = [job for job in todo if len(job.models) == 2]
    runs.finish(job, "cpu")
    with_rescoring, without = (
        runs.read_evaluation(job.folder, name) for name in ("vrsp_no_matching", "vrsp_no_rescoring")
    )
    assert with_rescoring is not None
    assert without is not None
    assert with_rescoring.training == without.training
    changed = runs.load_as(job.folder / run_folder.CHECKPOINT, dict(job.models)["vrsp_no_rescoring"], runs.CPU)
    assert isinstance(changed.branch, VRSP)
    assert not changed.branch.config.prior_rescoring
    assert changed.branch.config.prior_refinement
    assert [row["method"] for row in tables.rows(variants.table("table2"), config, tmp_path, (3,))] == [
        "vrsp_no_rescoring",
        "vrsp_no_matching",
    ]


@pytest.mark.slow
@pytest.mark.usefixtures("short")
def test_runs_go_at_once_in_processes_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs.multiprocessing, "get_context", lambda _: PROCESSES)  # which have imported all already
    todo = runs.jobs(variants.table("table1"), replace(tiny_recipe(), checkpoint_every=2), tmp_path, (0,))[:2]
    finished = dict(runs.finish_all(todo, ["cpu", "cpu"]))
    assert set(finished.values()) == {None}
    assert all(runs.is_finished(job.folder) and runs.read_evaluation(job.folder, job.models[0][0]) for job in todo)
    assert "step" in (tmp_path / "mask_rcnn-seed0.log").read_text()


def row(method: str, seed: int, **scores: float | None) -> tables.TableRow:
    given = dict.fromkeys(tables.COLUMNS, 10.0) | scores
    rest = {"steps": 5, "training_seconds": 1.0, "evaluation_seconds": 1.0, "images": 7, "device": "cpu"}
    return {"method": method, "seed": seed, **given, **rest}


def test_mean_spread_na_and_the_paper_are_written(tmp_path: Path) -> None:
    found = [
        row("mask_rcnn", 0, amodal_ap=60.0, amodal_ap_occluded=None),
        row("mask_rcnn", 1, amodal_ap=62.0, amodal_ap_occluded=None),
        row("vrsp", 0, amodal_ap=71.04),
    ]
    paths = tables.write(tmp_path / "table1_d2sa", variants.table("table1"), "d2sa", found, ABOUT)
    assert [path.name for path in paths] == [f"table1_d2sa{end}" for end in (".json", ".csv", ".md", ".about.json")]
    assert json.loads(paths[0].read_text()) == found
    lines = {line.split("|")[1].strip(): line for line in paths[2].read_text().splitlines() if line.startswith("|")}
    mean = [cell.strip() for cell in lines["Mask R-CNN"].split("|")[2:-1]]
    assert mean[:2] == ["61.0 ± 1.4 (63.6)", "10.0 ± 0.0 (83.9)"]
    assert mean[3:6] == ["10.0 ± 0.0 (65.2)", "10.0 ± 0.0", "NA"], "the paper's AR stands beside AR1"
    assert lines["VRSP"].startswith("| VRSP | 71.0 (70.2) |")
    assert lines["ORCNN"].startswith("| ORCNN | - (64.2) |"), "not measured yet"

    with paths[1].open() as file:
        written = {(line["method"], line["seed"]): line for line in csv.DictReader(file)}
    assert written["mask_rcnn", "mean"]["amodal_ap"] == "61.0"
    assert written["mask_rcnn", "spread"]["amodal_ap"] == "1.41"
    assert written["mask_rcnn", "0"]["amodal_ap_occluded"] == "NA"
    assert written["vrsp", "paper"]["amodal_ap"] == "70.2"
    assert written["sln", "paper"]["visible_ap"] == "NA"
    assert ("vrsp", "mean") not in written

    about = json.loads(paths[3].read_text())
    assert about["over_seeds"]["mask_rcnn"]["amodal_ap"] == {"mean": 61.0, "spread": pytest.approx(1.41, abs=0.01)}
    assert about["paper"]["orcnn"]["amodal_ap_occluded"] == 45.2


def test_a_table_without_any_row_and_of_another_data_set_can_be_written() -> None:
    text = tables.markdown(variants.table("table3"), "eth80", [], ABOUT)
    assert "| (d) VRSP's | " + " | ".join(["-"] * len(tables.COLUMNS)) + " |" in text
    assert "In brackets" not in text


def test_a_table_of_some_methods_has_their_rows_alone(tmp_path: Path) -> None:
    some = variants.table("table1", ("vrsp", "orcnn"))
    assert {job.folder.name for job in runs.jobs(some, tiny_recipe(), tmp_path, (0,))} == {"orcnn-seed0", "vrsp-seed0"}
    paths = tables.write(tmp_path / "table1_d2sa", some, "d2sa", [row("vrsp", 0)], ABOUT)
    shown = [line.split("|")[1].strip() for line in paths[2].read_text().splitlines() if line.startswith("|")]
    assert shown == ["", "---", "ORCNN", "VRSP"]
    with paths[1].open() as file:
        lines = [(line["method"], line["seed"]) for line in csv.DictReader(file)]
    assert lines == [("vrsp", "0"), ("orcnn", "paper"), ("vrsp", "paper")]
    with pytest.raises(UserError, match="table1 has no row 'vrps'"):
        bench_table1(settings=TableSettings(out=tmp_path, methods=("vrps",)))


@pytest.mark.parametrize(
    ("asked", "lost"),
    [
        ({"methods": ("vrsp",)}, r"mask_rcnn with seed 0, mask_rcnn with seed 1, of tiny"),
        ({"seeds": (1,)}, r"mask_rcnn with seed 0, vrsp with seed 0, of tiny"),
        ({"recipe": "small"}, r"mask_rcnn with seed 0, mask_rcnn with seed 1 and 2 more, of tiny"),
    ],
)
def test_a_table_with_more_rows_is_not_replaced_unasked(asked, lost, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(variants, "data_set", lambda recipe: "tiny")
    table, rows = variants.table("table1"), [row(name, seed) for name in ("mask_rcnn", "vrsp") for seed in (0, 1)]
    written = tables.write(tmp_path / "table1_tiny", table, "tiny", rows, ABOUT)
    before = [path.read_bytes() for path in written]
    settings = replace(TableSettings(recipe="tiny", out=tmp_path, seeds=(0, 1), device="cpu"), **asked)
    with pytest.raises(UserError, match=rf"table1_tiny\.json: would lose rows \({lost}\)"):
        bench_table1(settings=settings)
    assert [path.read_bytes() for path in written] == before
    assert not (tmp_path / "runs").exists()
    tables.refuse_loss(tmp_path / "table1_tiny", table, "tiny", (0, 1, 2))


def test_a_table_needs_a_seed(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no seeds given"):
        bench_table1(settings=TableSettings(out=tmp_path, seeds=()))
