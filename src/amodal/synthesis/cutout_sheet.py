"""Contact sheets on which one sees whether cut-outs are good: photograph and cut-outs side by side."""

import textwrap

import numpy as np
from PIL import Image, ImageDraw

from amodal.drawing.letters import font_for, written
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.pictures import read_rgba
from amodal.synthesis.cutting import Cut

TILES = 40
"""Photographs on a sheet."""
COLUMNS, SIDE = 5, 400
PANEL = 200
"""Longer side of each picture in a tile."""
GROUND = (255, 0, 255)
"""Behind cut-outs: a colour that few things have, so that what is missing or too much is seen."""


def sheet_names(count: int) -> list[str]:
    """The names of the sheets for so many photographs."""
    sheets = -(-count // TILES)
    return ["sheet.jpg"] if sheets == 1 else [f"sheet-{number:03d}.jpg" for number in range(1, sheets + 1)]


def sheet(cuts: list[Cut]) -> Image.Image:
    """The sheet of at most TILES photographs."""
    return contact_sheet([_tile(cut) for cut in cuts], columns=min(COLUMNS, len(cuts)), side=SIDE)


def _tile(cut: Cut) -> Tile:
    """The photograph on the left, and on the right its cut-outs, or why there is none."""
    tile = Image.new("RGB", (2 * PANEL, PANEL), (255, 255, 255))
    if cut.seen is not None:
        _paste(tile, Image.fromarray(cut.seen), (0, 0, PANEL, PANEL))
    if cut.problem:
        words = "\n".join(textwrap.wrap(f"left out: {cut.problem}", 24)[:9])
        font = font_for([words], 15)
        ImageDraw.Draw(tile).text((PANEL + 8, 8), written(words, font), (160, 30, 30), font)
    elif cut.files:
        across = int(np.ceil(len(cut.files) ** 0.5))
        side = PANEL // across
        for number, content in enumerate(cut.files[: across * across]):
            left, top = PANEL + number % across * side, number // across * side
            _paste(tile, _on_ground(content), (left, top, left + side, top + side))
    return Tile(tile, f"{cut.shot.folder}/{cut.shot.stem}")


def _on_ground(content: bytes) -> Image.Image:
    cut_out = Image.fromarray(read_rgba(content))
    ground = Image.new("RGBA", cut_out.size, (*GROUND, 255))
    return Image.alpha_composite(ground, cut_out).convert("RGB")


def _paste(tile: Image.Image, picture: Image.Image, box: tuple[int, int, int, int]) -> None:
    """Puts a picture into the middle of a box of the tile, as large as fits."""
    left, top, right, bottom = box
    scale = min((right - left) / picture.width, (bottom - top) / picture.height)
    size = (max(1, round(picture.width * scale)), max(1, round(picture.height * scale)))
    corner = (left + (right - left - size[0]) // 2, top + (bottom - top - size[1]) // 2)
    tile.paste(picture.resize(size, Image.Resampling.LANCZOS), corner)
