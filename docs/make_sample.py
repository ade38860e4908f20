"""Composes the package's pictures from photographs that come with scikit-image, all free of copyright.

    python docs/make_sample.py

A cat behind a cup of coffee, the cat alone, an astronaut behind the cup: what the cup hides is known to nobody who sees
the first or the last alone.
"""

from pathlib import Path

from PIL import Image, ImageDraw
from skimage import data

FOLDER = Path(__file__).parents[1] / "src" / "amodal" / "samples"
OUTLINE = """
350,150 280,180 215,240 170,310 155,380 158,450 180,535 225,610 290,670 360,722 430,755 510,773 600,775 690,765 770,735
835,695 890,640 930,580 952,515 958,450 950,395 935,345 905,290 870,245 834,212 850,155 835,135 805,133 798,148 785,130
755,98 700,65 640,45 570,38 510,38 455,52 408,88 372,125
"""
"""Cup, saucer and spoon in the photograph of the coffee, twice as large: x,y of the corners, drawn by hand."""
CUP_SIDE = 235
"""Pixels across the saucer in the pictures."""
CAT = (0, 0, 400, 300)
"""What is kept of the cat's photograph, xyxy: to its right there is furniture alone."""
BEFORE_THE_CAT = (120, 150)
"""Left and top of the cup before the cat."""
ASTRONAUT_SIDE = 480
"""Pixels across the picture of the astronaut."""
BEFORE_THE_ASTRONAUT = (22, 318)
"""Left and top of the cup before the astronaut."""


def cup() -> Image.Image:
    """The cup as RGBA, cut tight, its edge soft."""
    corners = [tuple(map(float, corner.split(","))) for corner in OUTLINE.split()]
    photograph = Image.fromarray(data.coffee())
    mask = Image.new("L", (2 * photograph.width, 2 * photograph.height))
    ImageDraw.Draw(mask).polygon(corners, fill=255)
    photograph.putalpha(mask.resize(photograph.size, Image.Resampling.BOX))
    photograph = photograph.crop(mask.resize(photograph.size).getbbox())
    return photograph.resize((CUP_SIDE, round(CUP_SIDE * photograph.height / photograph.width)), Image.Resampling.BOX)


def cat(*, covered: bool) -> Image.Image:
    """A cat, alone or behind the cup."""
    picture = Image.fromarray(data.chelsea()).crop(CAT)
    return behind_cup(picture, BEFORE_THE_CAT) if covered else picture


def astronaut(*, covered: bool) -> Image.Image:
    """An astronaut, alone or behind the cup."""
    picture = Image.fromarray(data.astronaut()).resize((ASTRONAUT_SIDE, ASTRONAUT_SIDE), Image.Resampling.LANCZOS)
    return behind_cup(picture, BEFORE_THE_ASTRONAUT) if covered else picture


def behind_cup(picture: Image.Image, place: tuple[int, int]) -> Image.Image:
    """The picture with the cup laid over it, its left and top at `place`."""
    front = cup()
    picture.paste(front, place, front)
    return picture


def main() -> None:
    """Writes the pictures."""
    pictures = {
        "sample": cat(covered=True),
        "cat": cat(covered=False),
        "astronaut_behind_cup": astronaut(covered=True),
    }
    for name, picture in pictures.items():
        path = FOLDER / f"{name}.jpg"
        picture.save(path, quality=85, optimize=True)
        print(f"{path}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
