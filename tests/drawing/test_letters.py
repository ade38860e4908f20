"""What is written on pictures can be read in any script, as far as the machine has letters for it."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFont

from amodal.drawing import letters
from amodal.drawing.labels import Label, draw_labels
from amodal.drawing.letters import font_for, written
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.synthesis.cutout_sheet import sheet
from amodal.synthesis.cutting import Cut, Shot

TEXTS = ["K\u00fcche", "\u6905\u5b50", "\u0441\u0442\u0443\u043b"]
"""Kitchen with an umlaut, chair in Chinese, chair in Russian."""


def labels(text: str) -> Image.Image:
    picture = Image.new("RGB", (300, 100))
    draw_labels(picture, [Label(text, (200, 60, 60), (50, 40, 250, 90), 100)])
    return picture


def captions(text: str) -> Image.Image:
    return contact_sheet([Tile(Image.new("RGB", (50, 50)), text)], headings=[text])


def reasons(text: str) -> Image.Image:
    return sheet([Cut(Shot(Path("photo.jpg"), "cup", "1"), problem=text)])


DRAWERS = [labels, captions, reasons]


def test_english_is_written_in_pillow_s_font_and_stays_as_it_is():
    font = font_for(["cup 0.93 (3 % occluded)", "a\u2026z"], 20)
    assert font.getname() == ImageFont.load_default(20).getname()
    assert written("cup 0.93", font) == "cup 0.93"


@pytest.mark.parametrize("text", TEXTS)
def test_letters_that_no_font_has_become_plain_ones_or_question_marks(text: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(letters, "FONTS", ())
    said = written(text, font_for([text], 20))
    assert said == ("Kuche" if text == TEXTS[0] else "?" * len(text))


@pytest.mark.parametrize("text", TEXTS)
def test_a_font_of_the_system_is_taken_where_it_has_more(text: str):
    own, font = ImageFont.load_default(20), font_for([text], 20)
    if font.getname() == own.getname():
        pytest.skip("no font here has these letters")
    assert written(text, font) == text


@pytest.mark.parametrize("draw", DRAWERS)
@pytest.mark.parametrize("text", TEXTS)
def test_nowhere_is_an_empty_box_drawn_for_a_letter(draw, text: str, monkeypatch: pytest.MonkeyPatch):
    """Without any other font, every drawer writes what `written` says."""
    monkeypatch.setattr(letters, "FONTS", ())
    said = written(text, ImageFont.load_default(20))
    assert np.array_equal(np.asarray(draw(text)), np.asarray(draw(said)))
    assert not np.array_equal(np.asarray(draw(text)), np.asarray(draw("x" + said)))
