"""What stands behind each number of a report, and which published numbers it may be set beside."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Standing:
    """What a number is.

    Attributes:
        evaluator: How it is counted.
        most: Most detections that take part.
        beside: The published numbers that it may be compared with; empty where there are none.
    """

    evaluator: str
    most: str
    beside: str = ""

    @property
    def in_short(self) -> str:
        """For a table's last column."""
        return self.beside or "none"


_COCO, _HUNDRED = "COCO", "100 of a category in an image"
STANDINGS = {
    "boxes": Standing(_COCO, _HUNDRED, "box AP"),
    "amodal masks": Standing(_COCO, _HUNDRED, "AP of VRSP's table 1"),
    "visible masks": Standing(_COCO, _HUNDRED, "visible AP of table 1"),
    "invisible masks": Standing("COCO on amodal without visible", _HUNDRED),
    "vrsp": Standing("VRSP's authors'", _HUNDRED, "AP(Occluded), at 0.15"),
    "clean": Standing("COCO, instances chosen by their true masks", _HUNDRED),
    "lost": Standing("oracles at IoU 0.5, in AP over .50:.95", _HUNDRED),
    "mIoU": Standing(
        "C2F-Seg's, pairs as in docs/metrics.md", "one an instance, score 0.5 or more", "C2F-Seg, with care"
    ),
    "boundary IoU": Standing("mean over pairs", "one an instance, score 0.5 or more"),
    "depth order": Standing("pairs that are found", "one an instance, score 0.5 or more", "SLN's, with care"),
    "calibration": Standing("expected calibration error", _HUNDRED),
    "recall": Standing("amodalAPI's, without categories", "10, 100 or 1,000 of an image", "COCOA's AR"),
}
"""By the name of a row or part of the report. Vrsp's >= 0.25 and >= 0.40 are what its authors print as APm and APl."""


def masks_of(about: Mapping[str, Any]) -> str:
    """Which masks were scored, in words, as far as the report's origin tells."""
    kind = about.get("masks")
    words = {"refined": "the model's final masks", "coarse": "the model's masks before its shape prior"}
    return words.get(str(kind), str(kind) if kind else "the masks that were given")


def to_json(about: Mapping[str, Any]) -> dict[str, Any]:
    """For a report's JSON."""
    return {
        name: {
            "evaluator": one.evaluator,
            "most_detections": one.most,
            "masks": masks_of(about),
            "comparable_with": one.beside or None,
        }
        for name, one in STANDINGS.items()
    }
