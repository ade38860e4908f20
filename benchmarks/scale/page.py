"""Writes into docs/how-to/scale.md what the figures in benchmarks/results/scale.json come to.

    python -m benchmarks.scale.page

What stands between its two marks is this script's; a test compares it to the figures.
"""

import re
from pathlib import Path
from typing import Any

from amodal.files import read_json, replacing
from amodal.scale.sources import MOST_ROWS

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"
PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "scale.md"
SECTION = re.compile(r"(<!-- figures -->\n).*?(<!-- end of figures -->)", re.DOTALL)
SIZES = (10**6, 10**7, 10**8)
CORES, PRICE = 640, 0.04
"""What the table assumes: ten machines of 64 cores, and dollars for a core's hour."""


def written(page: str, results: Path = RESULTS) -> str:
    """The page with the figures in it."""
    return SECTION.sub(lambda found: f"{found[1]}\n{figures(read_json(results))}\n\n{found[2]}", page)


def figures(measured: dict[str, Any]) -> str:
    """What was measured, and what it comes to for more."""
    return "\n\n".join([*_reach(measured), *_annotations(measured)])


def _reach(measured: dict[str, Any]) -> list[str]:
    """How far pictures go."""
    sizes, picture = measured["sizes"], measured["picture"]
    rows = ["| pictures | shards | the command's memory | hours | cost |", "|---:|---:|---:|---:|---:|"]
    for count in SIZES:
        hours, memory = count * picture["cpu"] / 3600, count * sizes["bytes_a_picture"] / 1e9
        cost = f"{hours / CORES:,.1f} | ${hours * PRICE:,.0f}"
        rows.append(f"| {count:,} | {-(-count // MOST_ROWS):,} | {memory:,.1f} GB | {cost} |")
    return [
        f"Measured: `predict` with the packaged detector takes {picture['cpu']:.2f} s of a core for a photograph of "
        f"{picture['width']} x {picture['height']} pixels, without a GPU and with drawing, which a cluster leaves out. "
        f"The command holds at least {sizes['bytes_a_picture']:.0f} bytes for each picture of a list of "
        f"{sizes['pictures']:,}. "
        f"For a report it holds {sizes['bytes_a_record']:.0f} bytes a detection, in place of "
        f"{sizes['bytes_a_detection']:.0f} with its masks.",
        f"On paper, for `predict` on ten machines of 64 cores ({CORES} in all) at ${PRICE:.2f} for a core's hour, a "
        "price that is assumed. What Ray itself takes is not in it: that could not be measured on the machine at hand.",
        "\n".join(rows),
        "What breaks first is the command's memory, since it knows the name of every picture of a folder or list: for "
        "more than some ten million give Parquet files or archives, of which it knows the rows or the names alone. The "
        "next is the folder, in which a shard is a file, and `amodal join`, which makes one file of all.",
    ]


def _annotations(measured: dict[str, Any]) -> list[str]:
    """What annotations take in many processes."""
    one = measured["annotations"]
    return [
        f"`--cache`: {one['objects']:,} objects in {one['images']:,} images take {one['bytes_in_all'] / 1e6:.0f} MB in "
        f"{one['processes']} processes together, {one['ratio']:.2f} times what they take in one; read into each they "
        f"would take {one['ratio_if_read']:.0f} times as much."
    ]


def main() -> None:
    """Writes the page."""
    page = written(PAGE.read_text(encoding="utf-8"))
    with replacing(PAGE) as temporary:
        temporary.write_text(page, encoding="utf-8")


if __name__ == "__main__":
    main()
