"""What a user chooses where a file may be meant in two ways. Imports nothing heavy: commands show it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Choices:
    """How to take what a file may mean in two ways."""

    crowds_are_objects: bool = False
    """Whether regions marked `iscrowd` are objects: CVAT marks so what was drawn with its brush."""
    boxes_are_objects: bool = False
    """Whether an object with a box in place of a mask is kept, as a rectangle; else it is left out."""


AS_STATED = Choices()
"""Nothing chosen."""
