"""What README and the page of results say was measured stands so in the committed result files."""

import json
import re
from pathlib import Path

import pytest

from amodal.paper.branch_table import markdown
from tests.places import ROOT

RESULTS = ROOT / "benchmarks" / "results"
PAGE = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
TABLES = sorted(RESULTS.glob("table[123]_*.md"))


def rows(text: str) -> list[list[str]]:
    """Lines of Markdown tables as cells, bold marks left out; headings and rulers too."""
    lines = (line for line in text.splitlines() if line.startswith("|"))
    return [[cell.strip(" *") for cell in line.strip().strip("|").split("|")] for line in lines]


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_the_page_of_results_shows_every_committed_table(table: Path) -> None:
    shown, committed = rows(PAGE), rows(table.read_text(encoding="utf-8"))
    assert len(committed) > 4
    assert [row for row in committed if row not in shown] == []


@pytest.mark.parametrize("table", TABLES, ids=lambda path: path.stem)
def test_a_committed_table_is_complete(table: Path) -> None:
    about = json.loads(table.with_suffix(".about.json").read_text())
    assert about["command"].startswith(f"amodal bench {table.stem.split('_')[0]}")
    for row in json.loads(table.with_suffix(".json").read_text()):
        assert row["amodal_ap"] is not None
        assert row["images"] > 0


def test_the_readme_shows_numbers_of_the_committed_table() -> None:
    heading, *committed = rows((RESULTS / "table1_eth80.md").read_text(encoding="utf-8"))
    columns = [heading.index(name) for name in ("AP", "AP50", "AP75", "AP (Occluded)", "visible AP")]
    measured = {row[0]: [row[column] for column in columns] for row in committed}
    shown = {row[0].split(",")[0]: row[1:] for row in rows((ROOT / "README.md").read_text(encoding="utf-8"))}
    for label in ("Mask R-CNN", "Two heads", "ORCNN", "AISFormer", "VRSP", "VRSP-R"):
        assert shown[label] == measured[label]


def test_the_page_of_results_shows_the_masks_of_trained_models() -> None:
    shown = rows(PAGE)
    for row in json.loads((RESULTS / "trained_masks_eth80.json").read_text())["rows"]:
        cells = [
            "NA" if row[c] is None else f"{row[c]:.1f}" for c in ("amodal", "amodal_occluded", "hidden", "visible")
        ]
        change = row["amodal_occluded_difference"]
        cells.append("NA" if change is None else f"{change[0]:+.1f} ({change[1]:+.1f} to {change[2]:+.1f})")
        assert cells in [row[1:] for row in shown]


@pytest.mark.parametrize("file", sorted(path.name for path in RESULTS.glob("masks_eth80*.json")))
def test_the_page_of_results_shows_the_bench_of_mask_branches(file: str) -> None:
    expected, shown = rows(markdown(json.loads((RESULTS / file).read_text()), "two_heads")), rows(PAGE)
    assert len(expected) > 4
    assert [row for row in expected if row not in shown] == []


def test_results_that_the_page_names_are_there() -> None:
    named = set(re.findall(r"`(benchmarks/results/[\w.]+)`", PAGE))
    assert named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
