"""Writes into docs/how-to/scale.md what the figures in benchmarks/results/scale.json come to.

    python -m benchmarks.scale.page

What stands between its two marks is this script's; a test compares it to the figures.
"""

import re
from pathlib import Path
from typing import Any

from amodal.files import read_json, replacing
from amodal.scale.sources import MOST_ROWS
from benchmarks.scale.sizes import OFTEN, SIZE

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
    return "\n\n".join([*_reach(measured), *_on_ray(measured), *_annotations(measured)])


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
        f"A report takes {sizes['report_bytes_a_detection']:.0f} bytes a detection at its peak, which was looked for "
        f"every {OFTEN * 1000:.0f} ms, and "
        f"{sizes['record_bytes_on_disk']:.0f} on disk meanwhile; the detections themselves, with masks of {SIZE[1]} x "
        f"{SIZE[0]} pixels, would take {sizes['bytes_a_detection']:.0f} to begin with.",
        f"On paper, for `predict` on ten machines of 64 cores ({CORES} in all) at ${PRICE:.2f} for a core's hour, a "
        "price that is assumed. What Ray itself takes is not in it"
        + ("." if "rows" in measured else ": that could not be measured on the machine at hand."),
        "\n".join(rows),
        "What breaks first is the command's memory, since it knows the name of every picture of a folder or list: for "
        "more than some ten million give Parquet files or archives, of which it knows the rows or the names alone. The "
        "next is the folder, in which a shard is a file, and `amodal join`, which makes one file of all. `evaluate` "
        "reaches less far: a report of ten million detections takes "
        f"{sizes['report_bytes_a_detection'] / 100:.1f} GB, since average precision sorts all detections of a category "
        "by score, and the report keeps what `amodal compare` resamples.",
    ]


def _on_ray(measured: dict[str, Any]) -> list[str]:
    """What a cluster of one machine costs, as far as it was measured."""
    said = []
    if rows := measured.get("rows"):
        counts, first, last = [one["rows"] for one in rows["sizes"]], rows["sizes"][0], rows["sizes"][-1]
        said.append(
            "`predict --ray local` on tiny pictures with a small model, two cores: between "
            f"{counts[0]:,} and {counts[1]:,} rows one takes {rows['cpu_a_row'][0] * 1000:.1f} ms of a core, between "
            f"{counts[-2]:,} and {counts[-1]:,} {rows['cpu_a_row'][-1] * 1000:.1f} ms; the command's memory "
            f"at its peak goes from {first['command_peak'] / 1e6:.0f} to {last['command_peak'] / 1e6:.0f} MB, "
            f"a worker's from {first['worker_peak'] / 1e6:.0f} to {last['worker_peak'] / 1e6:.0f} MB."
        )
    if cost := measured.get("overhead"):
        said.append(
            f"`evaluate --ray local` takes {cost['ratio_a_row']:.2f} times the processors' time of the plain command "
            f"for a picture, and {cost['fixed_cpu']['ray'] - cost['fixed_cpu']['plain']:.0f} s of it more to start."
        )
    if one := measured.get("recovery"):
        same = "the same rows" if one["equal_rows"] else "other rows"
        said.append(
            f"A worker killed in the middle of {one['undisturbed']['rows']:,} pictures costs "
            f"{one['further_cpu']:.0f} s of the processors' time, {one['wall_ratio']:.2f} times the time "
            f"by the clock, and gives {same}."
        )
    return said


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
