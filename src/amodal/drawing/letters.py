"""The font of what is written on pictures: names of categories and files may be in any script."""

import unicodedata
from functools import cache

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
FONTS = (
    *("DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf", "segoeui.ttf", "Arial.ttf"),
    *("NotoSansCJK-Regular.ttc", "wqy-microhei.ttc", "wqy-zenhei.ttc", "DroidSansFallbackFull.ttf"),
    *("msyh.ttc", "YuGothM.ttc", "malgun.ttf", "PingFang.ttc", "Arial Unicode.ttf"),
)
"""Files of systems' fonts, which Pillow finds by name: first those of alphabets, then those of all scripts."""
_NO_LETTER = "\uffff"


def font_for(texts: list[str], size: float) -> Font:
    """Pillow's own font, which has the letters of English; where that lacks some, the system's that lacks fewest."""
    own = ImageFont.load_default(size)
    letters = frozenset("".join(texts))
    if not _lacking(own, letters):
        return own
    found = (font for name in FONTS if (font := _system_font(name, size)) is not None)
    return min((own, *found), key=lambda font: len(_lacking(font, letters)))


def written(text: str, font: Font) -> str:
    """The text with what the font lacks as its plain letters (`u` for an umlaut), else as `?`."""
    lacking = _lacking(font, frozenset(text))
    return "".join(_plain(letter, font) if letter in lacking else letter for letter in text)


def _plain(letter: str, font: Font) -> str:
    parts = unicodedata.normalize("NFKD", letter)
    kept = "".join(part for part in parts if not unicodedata.combining(part))
    return kept if kept != letter and not _lacking(font, frozenset(kept)) else "?"


def _lacking(font: Font, letters: frozenset[str]) -> set[str]:
    foreign = {letter for letter in letters if letter > "~" and not letter.isspace()}
    unknown = _drawn(_NO_LETTER, font) if foreign else b""
    return {letter for letter in foreign if _drawn(letter, font) == unknown}


def _drawn(letter: str, font: Font) -> bytes:
    return bytes(font.getmask(letter))  # type: ignore[arg-type] - which it does not say of itself


@cache
def _system_font(name: str, size: float) -> ImageFont.FreeTypeFont | None:
    try:
        return ImageFont.truetype(name, size)
    except OSError:  # there is none of that name here
        return None
