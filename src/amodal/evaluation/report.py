"""What an evaluation found: plain numbers, as a dataclass, as JSON and as a table for the terminal.

Fractions in [0, 1] everywhere but in the table, which shows them times 100 as papers do. None stands for "nothing to
measure": no instance counts, or the detections lack that kind of mask.
"""

from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

from msgspec import ValidationError, convert
from rich.console import Console, Group
from rich.table import Table

from amodal.arguments import require_word
from amodal.errors import UserError
from amodal.evaluation import comparable
from amodal.evaluation.analysis import Analysis
from amodal.evaluation.metrics.occlusion import OCCLUSION_RATES, column
from amodal.evaluation.metrics.oracles import MEANING, Losses

Number = float | None


@dataclass(frozen=True)
class Counts:
    """What was evaluated. `occluded` instances are hidden by at least 15 %."""

    images: int
    instances: int
    occluded: int
    detections: int
    categories: int


@dataclass(frozen=True)
class Scores:
    """COCO's numbers for one kind of mask, or for boxes.

    Attributes:
        ap: Mean of AP over IoU .50:.95 and categories; `ap50`, `ap75` at one IoU.
        ar1: Recall over IoU .50:.95 with at most 1 detection a category and image; `ar10`, `ar100` so too.
        by_category: AP of each category, by name.
        curves: Mean precision over categories at 101 recall points, by IoU ("0.50:0.95", "0.50", "0.75").
    """

    ap: Number
    ap50: Number
    ap75: Number
    ar1: Number
    ar10: Number
    ar100: Number
    by_category: dict[str, Number] = field(default_factory=dict)
    curves: dict[str, list[float] | None] = field(default_factory=dict)


@dataclass(frozen=True)
class OcclusionScores:
    """AP of instances of one range of occlusion rates (`amodal.evaluation.metrics.occlusion` defines the two modes)."""

    masks: str
    mode: str
    column: str
    instances: int
    ap: Number
    ap50: Number
    ar100: Number


@dataclass(frozen=True)
class Report:
    """Everything that was measured of one set of detections."""

    counts: Counts
    box: Scores | None
    amodal: Scores | None
    visible: Scores | None
    invisible: Scores | None
    occlusion: list[OcclusionScores]
    analysis: Analysis | None = None
    about: dict[str, Any] = field(default_factory=dict)
    """Where the numbers come from: data, checkpoint, command. Free for the caller to fill."""

    def ap_occluded(self, *, mode: Literal["clean", "vrsp"] = "clean", least_rate: float = 0.15) -> Number:
        """AP of amodal masks of instances hidden by at least `least_rate`. Mode "vrsp": the paper's AP(Occluded).

        None where no instance counts, or the mode needs visible masks that there are not. Raises UserError for a rate
        that reports do not have.
        """
        require_word("mode", mode, ("clean", "vrsp"))
        require_word("least_rate", least_rate, OCCLUSION_RATES)
        wanted = ("amodal", mode, column(least_rate))
        return next((s.ap for s in self.occlusion if (s.masks, s.mode, s.column) == wanted), None)

    def to_json(self) -> dict[str, Any]:
        """As JSON's own types, with what each number may be compared with; `from_json` gives the report back."""
        content = asdict(replace(self, analysis=None))
        analysis = self.analysis.to_json() if self.analysis else None
        return content | {"analysis": analysis, "comparable": comparable.to_json(self.about)}

    @staticmethod
    def from_json(content: Any, *, file: str | None = None) -> "Report":
        """The report that `to_json` wrote. Raises UserError for anything else."""
        try:
            analysis = content.get("analysis") if isinstance(content, dict) else None
            plain = convert(content | {"analysis": None} if isinstance(content, dict) else content, Report)
            return replace(plain, analysis=Analysis.from_json(analysis) if analysis else None)
        except (ValidationError, UserError) as error:
            problem = error.problem if isinstance(error, UserError) else f"not a report of `amodal evaluate` ({error})"
            raise UserError(problem, file=file, remedy="Write one with `amodal evaluate --out report.json`") from error

    def __str__(self) -> str:
        """The table as text."""
        console = Console(width=100)
        with console.capture() as text:
            console.print(self.table())
        return text.get()

    def table(self) -> Group:
        """For rich's console: numbers times 100, as papers print them."""
        further = [self._by_occlusion()] if self.occlusion else []
        if self.analysis and self.analysis.losses:
            further.append(self._lost(self.analysis.losses))
        return Group(self._standard(), *further, *([self._beyond(self.analysis)] if self.analysis else []))

    def _standard(self) -> Table:
        c = self.counts
        title = f"{c.instances} instances ({c.occluded} occluded) in {c.images} images, {c.detections} detections"
        table = Table("", "AP", "AP50", "AP75", "AR1", "AR10", "AR100", title=title)
        for name, scores in (
            ("boxes", self.box), ("amodal masks", self.amodal),
            ("visible masks", self.visible), ("invisible masks", self.invisible),
        ):  # fmt: skip
            if scores:
                numbers = (scores.ap, scores.ap50, scores.ap75, scores.ar1, scores.ar10, scores.ar100)
                table.add_row(name, *map(percent, numbers))
        return table

    def _by_occlusion(self) -> Table:
        table = Table("masks", "mode", "instances with", "count", "AP", "AP50", "AR100")
        for one in self.occlusion:
            label = "any occlusion rate" if one.column == "all" else one.column
            numbers = map(percent, (one.ap, one.ap50, one.ar100))
            table.add_row(one.masks, one.mode, label, str(one.instances), *numbers)
        return table

    @staticmethod
    def _lost(losses: Losses) -> Table:
        table = Table("AP of amodal masks lost to", "points", "how many", "what that is")
        for kind, meaning in MEANING.items():
            table.add_row(kind, percent(losses.gains.get(kind)), f"{losses.counts.get(kind, 0):,}", meaning)
        return table

    @staticmethod
    def _beyond(analysis: Analysis) -> Table:
        shapes, depth = analysis.shapes, analysis.depth
        table = Table("beyond AP", "value", "of")
        instances = f"{shapes.instances} instances, {shapes.missed} missed"
        table.add_row("mIoU full", percent(shapes.mean_iou_full), instances)
        table.add_row("mIoU occluded", percent(shapes.mean_iou_occluded), "instances with an invisible part")
        table.add_row("boundary IoU", percent(shapes.mean_boundary_iou), instances)
        table.add_row("depth order", percent(depth.accuracy), f"{depth.found} of {depth.pairs} overlapping pairs")
        table.add_row("calibration error of scores", percent(analysis.calibration.error), "AP50's matches")
        if analysis.invisible_calibration:
            pixels = f"{sum(analysis.invisible_calibration.counts):,} pixels"
            table.add_row(
                "calibration error of invisible pixels", percent(analysis.invisible_calibration.error), pixels
            )
        for name, one in analysis.recall.items():
            table.add_row(f"class-agnostic AR100, {name}", percent(one.ar100), f"{one.instances} instances")
        return table


def percent(value: Number) -> str:
    """A fraction as papers print it: times 100, one decimal; a dash for None."""
    return "-" if value is None else f"{100 * value:.1f}"
