"""The speed benchmark: its arithmetic, its file, its page, and that every part runs."""

import json
import math
import re
from importlib import import_module
from pathlib import Path

import pytest
import torch
from benchmarks.speed import PARTS, full_size, harness, page, small
from benchmarks.speed.harness import Curve, Measured, Row, Stage, Timing
from benchmarks.speed.rival import torchvision_mask_rcnn

from amodal.inference.model_files import PACKAGED
from amodal.models import checkpoint
from tests.documentation import DOCS

RATIOS = Timing(ours=[1.0, 2.0, 4.0, 1.0], rivals=[2.0, 6.0, 4.0, 5.0])


def test_a_ratio_is_the_median_of_the_pairs() -> None:
    row = RATIOS.row("work", "loop", 3, size=7)
    assert (row.ratio, row.spread, row.met) == (2.5, 3.5 - 1.75, False)
    assert row.details == {"seconds": 1.5, "rival_seconds": 4.5, "ratios": [2.0, 3.0, 1.0, 5.0], "size": 7}
    assert RATIOS.row("work", "loop", 0.5, sense="times as long").ratio == pytest.approx((1 / 2 + 1 / 3) / 2)


@pytest.mark.parametrize(
    ("sense", "ratio", "aim", "met"),
    [
        ("times faster", 5.0, 5.0, True),
        ("times faster", 4.9, 5.0, False),
        ("times as long", 1.3, 1.3, True),
        ("share", 0.02, 0.01, False),
        ("seconds", 0.5, 1.0, True),
        ("times faster", 9.0, None, None),
    ],
)
def test_aims_are_bounds_on_the_right_side(
    sense: harness.Sense, ratio: float, aim: float | None, met: bool | None
) -> None:
    assert Row("work", "loop", ratio, 0.0, sense, aim).met is met


def test_both_take_turns_and_each_goes_first() -> None:
    calls: list[str] = []
    timing = harness.compare(lambda: calls.append("o"), lambda: calls.append("r"), repetitions=3)
    assert "".join(calls) == "or" + "or" + "ro" + "or"
    assert len(timing.ours) == len(timing.rivals) == 3
    assert min(timing.ours + timing.rivals) > 0


def made_up(ratio: float) -> Measured:
    row = Row("Masks", "loop", ratio, 0.5, "times faster", 5.0, {"ratios": [ratio]})
    return Measured([row], [Curve("paste", "objects", [1, 2], [0.1, 0.2])], [Stage("paste", 4e9, 1e9, 2.0)], {"a": 1})


def test_a_part_replaces_its_own_figures_only(tmp_path: Path) -> None:
    path = tmp_path / "speed.json"
    harness.merge("masks", made_up(6.0), path=path)
    harness.merge("start", Measured([Row("Help", "-", 0.5, 0.1, "seconds", 1.0)]), path=path)
    harness.merge("masks", made_up(4.0), path=path, quiet=False)
    measured, about = harness.read("masks", path)
    assert measured == made_up(4.0)
    assert about["command"] == "python -m benchmarks.speed masks"
    assert about["quiet"] is False
    assert [(row["name"], row["met"]) for row in json.loads(path.read_text())] == [
        ("Help", True),
        ("Masks", False),
    ]
    with pytest.raises(AssertionError, match="two rows with one name"):
        harness.merge("start", made_up(4.0), path=path)


def test_a_stage_stands_beside_the_higher_of_its_two_floors() -> None:
    stage = Stage("paste", operations=4e9, num_bytes=1e9, seconds=2.0)
    ceilings = {"operations_per_second": 40e9, "bytes_per_second": 5e9}
    assert page.floors([stage], ceilings).splitlines()[-1] == (
        "| paste | 2e+03 ms | 4,000 M | 1,000 MB | 2e+02 ms | 10 |"
    )


def test_the_page_is_what_its_figures_say() -> None:
    shown = (DOCS / "performance.md").read_text(encoding="utf-8")
    assert shown == page.page(), "run python -m benchmarks.speed.page"
    assert all((DOCS / picture).exists() for picture in re.findall(r"\((pictures/.+?)\)", shown))


def test_the_committed_figures_are_whole() -> None:
    rows, parts = json.loads(harness.RESULTS.read_text(encoding="utf-8")), harness.parts()
    assert parts.keys() == set(PARTS), "measure the missing parts: python -m benchmarks.speed NAME"
    assert len({row["name"] for row in rows}) == len(rows) > 0
    for row in rows:
        assert row["rival"]
        assert math.isfinite(row["ratio"])
        assert row["ratio"] > 0
        assert row["spread"] >= 0
        again = Row(**{key: value for key, value in row.items() if key not in ("part", "met")})
        assert row["met"] is again.met
    for part in parts.values():
        assert {"command", "commit", "machine", "versions", "date", "threads", "load_average"} <= part["about"].keys()


@pytest.mark.slow
@pytest.mark.parametrize("part", PARTS)
def test_every_part_runs_and_describes_what_it_measured(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Timings begin with it, and what all tests have imported is more than there is to time.
    monkeypatch.setattr(harness.gc, "collect", lambda: 0)
    module = import_module(f"benchmarks.speed.{part}")
    path = tmp_path / "speed.json"
    harness.merge(part, module.measure(quick=True), path=path)
    shown = page.page(path)
    assert f"## {module.TITLE}\n" in shown
    assert all(f"| {row.name} | {row.rival} |" in shown for row in harness.read(part, path)[0].rows)
    assert "nan" not in shown


@torch.inference_mode()
def test_a_model_that_is_told_its_own_decisions_predicts_what_it_predicts() -> None:
    loaded = checkpoint.load(PACKAGED / "demo.safetensors")
    rival = torchvision_mask_rcnn(loaded.model, loaded.config, len(loaded.categories))
    (image,) = small.scenes(1, 320)
    told = full_size.decide(loaded.model, rival, image)
    (expected,) = loaded.model([image])
    found = full_size.predict(loaded.model, image, told, 0.0)
    for key in ("labels", "amodal_masks", "visible_masks"):
        assert torch.equal(found[key], expected[key]), key
    torch.testing.assert_close(found["scores"], expected["scores"])
    (theirs,), (own,) = rival([image]), full_size.rival_predicts(rival, image, told)
    assert torch.equal(own["labels"], theirs["labels"])
    assert (own["masks"] - theirs["masks"]).abs().max() < 0.02  # the boxes were rounded on the way
