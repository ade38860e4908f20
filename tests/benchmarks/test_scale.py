"""What the documentation says of large data sets is what was measured, and the measuring runs."""

import json
from pathlib import Path

import pytest
from benchmarks.scale import page, sizes


def test_the_page_is_what_its_figures_say() -> None:
    shown = page.PAGE.read_text(encoding="utf-8")
    assert shown == page.written(shown), "run python -m benchmarks.scale.page"
    assert len(page.SECTION.findall(shown)) == 1


def test_the_committed_figures_are_whole() -> None:
    for name, part in json.loads(page.RESULTS.read_text(encoding="utf-8")).items():
        assert part["about"].keys() >= {"command", "commit", "machine", "versions", "load_average"}
        assert not part["about"]["small"], name


def test_what_breaks_first_is_what_grows(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    found = sizes.measure(tmp_path, small=True)
    assert found["shards"] == 64
    assert 0 < found["bytes_a_record"] < found["bytes_a_detection"]
    assert found["bytes_a_picture"] > len("part-00000/000000000.jpg")
