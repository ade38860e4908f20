"""What `benchmarks.complete` keeps of an earlier result."""

from pathlib import Path

from benchmarks.complete import left

from amodal.files import write_json


def test_what_is_not_measured_anew_stays_and_says_when_it_was_measured(tmp_path: Path):
    out = tmp_path / "complete.json"
    assert left(out, []) == []
    before = {"date": "2026-01-01", "commit": "abc"}
    rows = [{"method": method, "set": name, "miou": 1.0} for method in ("hull", "ours") for name in ("real", "drawn")]
    write_json(out, {"about": before, "rows": rows})
    anew = [{"method": "ours", "set": "real", "miou": 2.0}]
    kept = left(out, anew)
    assert kept == [{**row, "measured": before} for row in rows if (row["method"], row["set"]) != ("ours", "real")]
    write_json(out, {"about": {"date": "2026-02-02", "commit": "def"}, "rows": [*anew, *kept]})
    again = left(out, [{"method": "hull", "set": "real"}])
    assert [row["measured"]["commit"] for row in again] == ["def", "abc", "abc"]
