"""Contact sheets: many pictures on one, with captions."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from amodal.drawing.letters import Font, font_for, written

_GAP = 12
_TEXT = (33, 37, 41)
_PAPER = (255, 255, 255)


@dataclass(frozen=True)
class Tile:
    """A picture of a sheet and the line under it."""

    picture: Image.Image | np.ndarray
    caption: str = ""


def contact_sheet(
    tiles: Sequence[Tile], *, columns: int | None = None, headings: Sequence[str] = (), side: int = 360
) -> Image.Image:
    """Pictures row by row, each shrunk or enlarged to fit a square of `side` pixels.

    Args:
        tiles: The pictures, in reading order; at least one.
        columns: Pictures in a row: as many as there are headings, or else about a square's worth, at most 4.
        headings: A line above each column.
        side: Width of a column in pixels.
    """
    if not tiles:
        raise ValueError("a contact sheet needs a picture")
    columns = columns or len(headings) or min(4, int(np.ceil(len(tiles) ** 0.5)))
    pictures = [_fit(tile.picture, side) for tile in tiles]
    rows = [range(start, min(start + columns, len(tiles))) for start in range(0, len(tiles), columns)]
    letters = max(12, side / 22)
    font = font_for([*headings, *(tile.caption for tile in tiles)], letters)
    line = int(letters * 1.6)
    foot = line if any(tile.caption for tile in tiles) else 0
    heights = [max(pictures[i].height for i in row) + foot + _GAP for row in rows]
    head = line if headings else 0
    sheet = Image.new("RGB", (columns * (side + _GAP) + _GAP, head + _GAP + sum(heights)), _PAPER)
    draw = ImageDraw.Draw(sheet)
    for column, heading in enumerate(headings):
        centre = _GAP + column * (side + _GAP) + side / 2
        draw.text((centre, (head + _GAP) / 2), _shortened(heading, font, side), _TEXT, font, anchor="mm")
    top = head + _GAP
    for row, height in zip(rows, heights, strict=True):
        for column, index in enumerate(row):
            left = _GAP + column * (side + _GAP)
            sheet.paste(pictures[index], (left + (side - pictures[index].width) // 2, top))
            caption = _shortened(tiles[index].caption, font, side)
            draw.text((left + side / 2, top + height - _GAP - foot / 2), caption, _TEXT, font, anchor="mm")
        top += height
    return sheet


def _fit(picture: Image.Image | np.ndarray, side: int) -> Image.Image:
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    return image.convert("RGB").resize(size, Image.Resampling.LANCZOS)


def _shortened(text: str, font: Font, width: float) -> str:
    """The text as the font writes it, its middle left out where it is wider than `width`."""
    text = written(text, font)
    if font.getlength(text) <= width:
        return text
    for kept in range(len(text) - 1, 1, -1):
        short = f"{text[: (kept + 1) // 2]}\N{HORIZONTAL ELLIPSIS}{text[-(kept // 2) :]}"
        if font.getlength(short) <= width:
            return short
    return ""
