"""A model scored in shards, which are made here one after the other: the report is that of the plain command."""

import json
import pickle
from pathlib import Path
from typing import Any

import pytest

from amodal.cli import main
from amodal.scale import parts, scoring
from amodal.scale.shards import About, Existing, ShardFolder

pytest.importorskip("pyarrow")


def in_this_process(
    task: Any, parts: list[Any], shards: ShardFolder, about: About, *, cluster: object, existing: Existing
) -> None:
    """As `amodal.scale.work.run`, without a cluster: task and parts travel as they do there."""
    missing = shards.plan(about, existing)
    shards.start(about, existing)
    work = pickle.loads(pickle.dumps(task)).open("cpu")
    for number in missing:
        shards.write(number, work(pickle.loads(pickle.dumps(parts[number]))))


def test_a_report_of_shards_is_the_plain_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scoring, "run", in_this_process)
    monkeypatch.setattr(parts, "FEWEST_PARTS", 3)
    main(["synth", "--out", "scenes", "--count", "5", "--size", "64", "64", "--workers", "1"])
    both = ["evaluate", "demo", "scenes", "--device", "cpu", "--batch-size", "2"]
    main([*both, "--workers", "0", "--out", "plain.json", "--detections", "plain-found.json"])
    main([*both, "--ray", "local", "--out", "many.json", "--detections", "many-found.json", "--html", "many.html"])
    plain, many = (json.loads(Path(name).read_text()) for name in ("plain.json", "many.json"))
    assert plain["counts"]["detections"] > 0
    assert plain["analysis"]["invisible_calibration"] is not None
    assert plain == many
    assert Path("plain-found.json").read_bytes() == Path("many-found.json").read_bytes()
    assert Path("many.html").stat().st_size > 0
    assert not list(Path().glob("*.shards"))
