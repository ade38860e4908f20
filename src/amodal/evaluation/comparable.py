"""What stands behind each number of a report, and which published numbers it may be set beside."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
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


_COCO, _HUNDRED, _ONE = "COCO", "100 of a category in an image", "one an instance, score 0.5 or more"
_VRSP, _CLEAN = "VRSP's authors'", "COCO, instances chosen by their true masks"
_ALL = {
    "boxes": Standing(_COCO, _HUNDRED, "amodal box AP"),
    "amodal masks": Standing(_COCO, _HUNDRED, "AP of VRSP's table 1"),
    "visible masks": Standing(_COCO, _HUNDRED, "visible AP of table 1"),
    "invisible masks": Standing("COCO on amodal without visible", _HUNDRED),
    "amodal, vrsp": Standing(_VRSP, _HUNDRED, "AP(Occluded), at 0.15"),
    "visible, vrsp": Standing(_VRSP, _HUNDRED),
    "amodal, clean": Standing(_CLEAN, _HUNDRED),
    "visible, clean": Standing(_CLEAN, _HUNDRED),
    "lost": Standing("oracles at IoU 0.5, in AP over .50:.95", _HUNDRED),
    "mIoU": Standing("C2F-Seg's, pairs as in docs/metrics.md", _ONE, "C2F-Seg, with care"),
    "boundary IoU": Standing("mean over pairs", _ONE),
    "depth order": Standing("pairs that are found", _ONE, "SLN's, with care"),
    "calibration": Standing("expected calibration error", _HUNDRED),
    "recall": Standing("amodalAPI's, without categories", "10, 100 or 1,000 of an image", "COCOA's AR"),
}
"""By the name of a row or part. "amodal, vrsp" at 0.25 and 0.40 is what its authors print as APm and APl."""


def standings(about: Mapping[str, Any]) -> dict[str, Standing]:
    """Of a report of this origin: papers give the numbers of final masks, so those of coarse ones stand alone."""
    if about.get("masks") == "coarse":
        return {name: replace(one, beside="") for name, one in _ALL.items()}
    return _ALL


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
        for name, one in standings(about).items()
    }
