"""The settings of composed scenes. No torch here, nor anything else that is slow to import."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

from amodal.errors import UserError

Split = Literal["train", "val", "all"]
Item = TypeVar("Item")


@dataclass(frozen=True)
class SceneConfig:
    """How scenes are composed. Ranges are (least, most), both included."""

    size: tuple[int, int] = (256, 256)
    """Height and width of the image in pixels."""
    num_objects: tuple[int, int] = (4, 9)
    """Objects in a scene. Fewer where no place is found for one."""
    scale: tuple[float, float] = (0.25, 0.55)
    """Longer side of an object, before rotation, as a share of the image's shorter side."""
    rotation: float = 180.0
    """Largest rotation to either side, in degrees."""
    flip: float = 0.5
    """Probability that an object is mirrored."""
    brightness: float = 0.25
    """Largest change of an object's brightness, as a share."""
    colour: float = 0.08
    """Largest change of each of an object's colour channels, as a share."""
    shadow: float = 0.45
    """Darkness of the soft shadow that an object casts on what lies behind it: 0 none, 1 black."""
    occlusion_rate: tuple[float, float] | None = None
    """Wanted occlusion rate of the objects that are occluded. An object that finds no such place is left unoccluded,
    or out. None takes any rate."""
    min_visible_area: int = 64
    """Least visible area of an object in pixels."""
    min_inside: float = 0.85
    """Least share of an object that lies inside the image."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that no scene can meet."""
        ranges = {"num_objects": self.num_objects, "scale": self.scale, "occlusion_rate": self.occlusion_rate or (0, 1)}
        for name, (least, most) in ranges.items():
            if least > most:
                raise UserError("is the wrong way round", record=f"{name} {least} {most}", remedy="Give least, most")
        claims = {
            "size must be at least 16 16": min(self.size) >= 16,
            "num_objects must be at least 1": self.num_objects[0] >= 1,
            "scale must be above 0 and at most 2": self.scale[0] > 0 and self.scale[1] <= 2,
            "occlusion_rate must lie in [0, 1)": self.occlusion_rate is None
            or (self.occlusion_rate[0] >= 0 and self.occlusion_rate[1] < 1),
            "min_visible_area must be at least 1": self.min_visible_area >= 1,
            "min_inside must lie in (0, 1]": 0 < self.min_inside <= 1,
            "rotation must not be negative": self.rotation >= 0,
            "flip, brightness, colour and shadow must lie in [0, 1]": all(
                0 <= share <= 1 for share in (self.flip, self.brightness, self.colour, self.shadow)
            ),
        }
        for claim, holds in claims.items():
            if not holds:
                raise UserError(claim, remedy="Change the scene settings")


@dataclass(frozen=True)
class OcclusionConfig:
    """How cut-outs are laid over photographs. Ranges are (least, most), both included."""

    num_occluders: tuple[int, int] = (1, 3)
    """Cut-outs laid over a photograph."""
    scale: tuple[float, float] = (0.4, 1.2)
    """Longer side of a cut-out, as a share of the longer side of the object that it is laid over."""
    occlusion_rate: tuple[float, float] = (0.05, 0.7)
    """How much of that object may be hidden, by all cut-outs together."""
    untouched: float = 0.25
    """Share of photographs that nothing is laid over, so that whole things are learnt as such."""
    rotation: float = 20.0
    """Largest rotation of a cut-out to either side, in degrees."""
    flip: float = 0.5
    """Probability that a cut-out is mirrored."""
    colour_match: float = 0.6
    """Most that a cut-out's mean colour is drawn towards the photograph's: 0 not at all, 1 wholly."""
    min_visible_area: int = 64
    """Least visible area of an object in pixels."""

    def __post_init__(self) -> None:
        """Raises UserError for settings that no scene can meet."""
        claims = {
            "num_occluders must be at least 1": 1 <= self.num_occluders[0] <= self.num_occluders[1],
            "scale must be above 0, least before most": 0 < self.scale[0] <= self.scale[1],
            "occlusion_rate must lie in [0, 1), least before most": 0
            <= self.occlusion_rate[0]
            <= self.occlusion_rate[1]
            < 1,
            "rotation must not be negative": self.rotation >= 0,
            "min_visible_area must be at least 1": self.min_visible_area >= 1,
            "untouched, flip and colour_match must lie in [0, 1]": all(
                0 <= share <= 1 for share in (self.untouched, self.flip, self.colour_match)
            ),
        }
        for claim, holds in claims.items():
            if not holds:
                raise UserError(claim, remedy="Change the occlusion settings")


def part_of(items: Sequence[Item], split: Split, train_share: float = 0.75) -> list[Item]:
    """The items of a split: the first `train_share` of them train, the rest validate.

    Both parts get at least one of two or more items; a single one trains.
    """
    if split == "all":
        return list(items)
    border = min(max(round(len(items) * train_share), 1), max(len(items) - 1, 1))
    return list(items[:border] if split == "train" else items[border:])


@dataclass(frozen=True)
class CutOutConfig:
    """How photographs of single objects are cut out."""

    several: Literal["refuse", "split", "together"] = "refuse"
    """A photograph with several things apart from each other: is left out, gives one cut-out each, or is one thing of
    several parts."""
    side: int = 1024
    """Photographs are shrunk to this longer side first, in pixels."""
    min_area: int = 1024
    """Least area of an object in pixels."""
    fill_holes: bool = False
    """Take enclosed places that look like the background as part of the object: a white label, but no handle's hole."""

    def __post_init__(self) -> None:
        """Raises UserError for sizes that cannot be."""
        if self.side < 16 or self.min_area < 1:
            raise UserError("--side must be 16 or more and --min-area 1 or more", remedy="Leave them out")
