"""Objects that were drawn twice in a labelling tool, once whole and once as far as they are visible.

The two shapes are told apart and paired

* by the label's ending: `cup_amodal` and `cup_visible` (also with a space, "-", ":" or "." between), paired by their
  group, or else by a number at the end (`cup_visible_2`), or else by the amodal shape that covers it most;
* without an ending, by the group alone: of two shapes of the same label and group, one mostly within the other,
  the larger is amodal. Other shapes of one group are parts of one object.

An object drawn once is fully visible, as far as its shapes tell, unless its amodal shape is marked as hidden.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple

from amodal import rle
from amodal.annotations import Extra
from amodal.formats.problems import Problem
from amodal.rle import Rle

_LABEL = re.compile(r"(?P<name>.+?)[ _.:-](?P<role>amodal|visible)(?:[ _.:-]?(?P<number>\d+))?", re.IGNORECASE)


class Shape(NamedTuple):
    """One shape of an image.

    Attributes:
        name: How messages call it.
        label: With an ending or without.
        group: What it shares with the other shapes of its object, if it has any.
        height: How far up it lies among the image's shapes, for tools that order them.
        extra: What else is stated of it.
    """

    name: str
    label: str
    mask: Rle
    group: str | None = None
    is_hidden: bool = False
    height: int = 0
    extra: Extra | None = None


@dataclass
class Thing:
    """The shapes of one object; `plain` ones carry no ending in their label."""

    label: str
    height: int = 0
    amodal: list[Rle] = field(default_factory=list)
    visible: list[Rle] = field(default_factory=list)
    plain: list[Rle] = field(default_factory=list)
    is_hidden: bool = False
    extra: Extra = field(default_factory=dict)

    def add(self, shape: Shape, role: str) -> None:
        """Takes a shape in."""
        getattr(self, role).append(shape.mask)
        self.height = max(self.height, shape.height)
        self.is_hidden |= shape.is_hidden
        self.extra |= shape.extra or {}

    def masks(self) -> tuple[Rle, Rle | None] | None:
        """The amodal mask, and the visible one where the shapes tell it; None if there is no amodal one."""
        amodal, visible = self.amodal, self.visible
        if not amodal and not visible and len(self.plain) == 2:
            amodal, visible = _nested(self.plain)
        elif amodal and not visible:
            visible = self.plain
        else:
            amodal = [*amodal, *self.plain]
        if not amodal:
            return None
        whole = rle.union(amodal)
        if visible:
            return whole, rle.union(visible)
        return whole, rle.subtract(whole, whole) if self.is_hidden else None


def things(shapes: Iterable[Shape]) -> tuple[list[Thing], list[Problem]]:
    """The objects of one image's shapes, and the shapes that belong to none."""
    keyed: dict[tuple[str, str], Thing] = {}
    single: list[Thing] = []
    loose: list[tuple[Shape, str]] = []
    for shape in shapes:
        match = _LABEL.fullmatch(shape.label)
        label, role = (match["name"], match["role"].lower()) if match else (shape.label, "plain")
        key = f"group {shape.group}" if shape.group is not None else (match and match["number"])
        if key is None and role == "visible":
            loose.append((shape, label))
            continue
        if key is None:
            single.append(Thing(label, shape.height))
        thing = single[-1] if key is None else keyed.setdefault((label, key), Thing(label, shape.height))
        thing.add(shape, role)
    unpaired = [problem for shape, label in loose if (problem := _pair(shape, label, single))]
    return [*keyed.values(), *single], unpaired


def category_of(label: str) -> str:
    """The label without an ending that tells the mask."""
    match = _LABEL.fullmatch(label)
    return match["name"] if match else label


def unpaired(name: str) -> Problem:
    """What is wrong with an object without an amodal mask."""
    return Problem("unpaired", name, "it has a visible shape and no amodal one")


def _pair(shape: Shape, label: str, found: list[Thing]) -> Problem | None:
    """Gives a visible shape without group or number to the amodal shape of its label that covers it most."""
    candidates = [thing for thing in found if thing.label == label and thing.amodal]
    shares = [rle.areas([rle.intersect(shape.mask, thing.amodal[0])])[0] for thing in candidates]
    if not shares or max(shares) * 2 < rle.areas([shape.mask])[0]:
        return Problem("unpaired", shape.name, f"no shape '{label}_amodal' covers this visible one")
    candidates[shares.index(max(shares))].visible.append(shape.mask)
    return None


def _nested(masks: list[Rle]) -> tuple[list[Rle], list[Rle]]:
    """Two shapes as (amodal, visible) if the smaller lies mostly within the larger, else as parts of one object."""
    small, large = sorted(masks, key=lambda mask: int(rle.areas([mask])[0]))
    common, area = rle.areas([rle.intersect(small, large), small])
    return ([large], [small]) if common * 2 > area else (masks, [])
