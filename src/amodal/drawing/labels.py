"""Names and scores on a picture, placed so that they can be read."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image, ImageDraw

from amodal.drawing.colours import Colour, ink_on
from amodal.drawing.letters import font_for, written

Rectangle = tuple[float, float, float, float]
"""x0, y0, x1, y1 in pixels of the picture."""


@dataclass(frozen=True)
class Label:
    """A text about an object."""

    text: str
    colour: Colour
    box: Rectangle
    """The object's box, xyxy in pixels of the picture."""
    top: float
    """Where along x the object is highest."""


def draw_labels(picture: Image.Image, labels: Sequence[Label]) -> None:
    """Writes each label at its object, in place.

    Labels come in order of importance. One goes onto its object's highest point, or else inside, below or beside it,
    where it covers no earlier label; one that finds no free place is left out, since neither of the two could be read.
    """
    draw = ImageDraw.Draw(picture)
    letters = max(10, round(min(picture.size) / 42))
    font = font_for([label.text for label in labels], letters)
    padding, height = round(letters * 0.35), round(letters * 1.45)
    taken: list[Rectangle] = []
    for label in labels:
        text = written(label.text, font)
        place = _free_place(label, (round(font.getlength(text)) + 2 * padding, height), picture.size, taken)
        if place is not None:
            taken.append(place)
            draw.rounded_rectangle((*place[:2], place[2] - 1, place[3] - 1), padding, label.colour)  # ends are painted
            middle = (place[1] + place[3]) / 2
            draw.text((place[0] + padding, middle), text, ink_on(label.colour), font, anchor="lm")


def _free_place(
    label: Label, size: tuple[float, float], limits: tuple[int, int], taken: Sequence[Rectangle]
) -> Rectangle | None:
    """The first place at the object that is free, moved into the picture; None where all are taken."""
    x1, y1, x2, y2 = label.box
    width, height = size
    above, centre = label.top - width / 2, (x1 + x2 - width) / 2
    places = [(above, y1 - height), (above, y1), (centre, (y1 + y2 - height) / 2), (centre, y2 - height), (centre, y2)]
    places += [(x1, y1 - height), (x2 - width, y1 - height), (x1, y2), (x2 - width, y2)]
    for x, y in places:
        left, top = max(0, round(min(x, limits[0] - width))), max(0, round(min(y, limits[1] - height)))
        place = (left, top, left + width, top + height)
        if not any(_overlap(place, other) for other in taken):
            return place
    return None


def _overlap(first: Rectangle, second: Rectangle) -> bool:
    return first[0] < second[2] and second[0] < first[2] and first[1] < second[3] and second[1] < first[3]
