"""The rows of the bench of mask branches as a table that people read."""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import Any

from amodal.paper.branch_rows import Key, Row, key_of

LABELS = {
    "two_heads": "Two heads",
    "orcnn": "ORCNN",
    "sln": "SLN, sum of levels",
    "sln_any": "SLN, any level",
    "sln_logsumexp": "SLN, logsumexp of levels",
    "aisformer": "AISFormer",
    "bcnet": "BCNet",
    "mask_rcnn": "Mask R-CNN",
    "mask_rcnn_visible": "Mask R-CNN, visible",
    "mask_rcnn_c8": "Mask R-CNN (C8)",
    "vrsp": "VRSP",
    "vrsp_r": "VRSP-R",
    "vrsp_r_not_grown": "VRSP-R, regions not grown",
    "vrsp_r_no_second_look": "VRSP-R without the second look",
    "vrsp_r_no_overlap": "VRSP-R without the loss of overlap",
    "vrsp_unguided": "VRSP without the guided pass",
    "vrsp_unguided_no_matching": "VRSP without the guided pass and matching",
    "vrsp_detached": "VRSP, matching to the detached refined pass",
    "vrsp_guided_matching": "VRSP, matching to the guided pass",
    "vrsp_reference": "VRSP, the authors' semantics",
    "vrsp_no_matching": "VRSP without matching",
    "vrsp_no_visible_attention": "and without visible attention",
    "vrsp_no_reclassification": "and without re-classification",
    "vrsp_no_prior_refinement": "and without shape-prior refinement",
    **{
        f"attention_{kind}{suffix}": f"attention ({letter}), no prior{words}"
        for suffix, words in (("", ""), ("_unguided", ", no guided pass"))
        for kind, letter in (("self", "a"), ("visible", "b"), ("cross", "c"), ("ours", "d"))
    },
}
"""How variants are called; others by their own names."""
COLUMNS = ("amodal", "occluded", "hidden", "visible")
HEADINGS = (
    "steps", "seeds", "amodal IoU", "of occluded objects", "invisible part", "visible IoU",
    "occluded, against the base", "MFLOP a region, training", "inference", "CPU seconds",
)  # fmt: skip


def markdown(content: dict[str, Any], base: str) -> str:
    """A line for each variant and number of steps, the steps apart; mean over seeds, and ± their standard deviation.

    Args:
        content: Of the JSON file: rows and differences.
        base: The variant of the differences that are shown.
    """
    lines = ["| | " + " | ".join(HEADINGS) + " |", "|---" * (1 + len(HEADINGS)) + "|"]
    groups: dict[Key, list[Row]] = {}
    for row in content["rows"]:
        groups.setdefault(key_of(row), []).append(row)
    for key in sorted(groups, key=_place):
        variant, steps, boxes, lr = key
        rows, rate = groups[key], "" if lr is None else f", rate {lr:g}"
        label = LABELS.get(variant, variant) + rate + ("" if boxes == "true" else ", the detector's boxes")
        cells = [str(steps), str(len(rows)), *(_over_seeds([row[f"{name}_iou"] for row in rows]) for name in COLUMNS)]
        cells.append(_difference(content["differences"], key, base))
        cells += [f"{rows[0][name]:.0f}" for name in ("training_mflops", "inference_mflops")]
        cells.append(f"{fmean(row['cpu_seconds'] for row in rows):.0f}")
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def _place(key: Key) -> tuple[bool, int, float, int]:
    """Where a line stands: by boxes, steps, rate (the recipe's first), and variant."""
    variant, steps, boxes, lr = key
    names = list(LABELS)
    return boxes != "true", steps, lr or 0.0, names.index(variant) if variant in names else len(names)


def _over_seeds(values: Sequence[float | None]) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "NA"
    return f"{fmean(known):.1f}" + (f" ± {stdev(known):.1f}" if len(known) > 1 else "")


def _difference(found: Sequence[Row], key: Key, base: str) -> str:
    """Of the IoU of occluded objects, at the same steps and rate, with its interval."""
    for row in found:
        is_alike = row["base_steps"] == row["steps"] and row.get("base_lr") == row.get("lr")
        if key_of(row) == key and row["base"] == base and is_alike:
            if row["occluded"] is None:
                return "NA"
            mean, low, high = row["occluded"]
            return f"{mean:+.1f} ({low:+.1f} to {high:+.1f})"
    return ""
