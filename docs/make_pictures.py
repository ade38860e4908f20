"""Draws the pictures of the documentation: `python docs/make_pictures.py`. They are of drawn objects, with exact truth.

Nothing here is a model's prediction.
"""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import distance_transform_edt

from amodal.annotations import Category
from amodal.drawing.colours import colour
from amodal.drawing.render import Style
from amodal.drawing.sheet import Tile, contact_sheet
from amodal.results.result import Result
from amodal.synthesis import shapes
from amodal.synthesis.composition import Scene, compose, render, scene_rng
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.placing import Placement
from amodal.synthesis.surfaces import DrawnBackgrounds
from amodal.synthesis.warping import Pose, warp

FOLDER = Path(__file__).parent / "pictures"
SIDE = 240
"""Pixels of a scene's side; pictures show it larger."""
CATEGORIES = tuple(Category(number, name) for number, name in enumerate(shapes.DRAWINGS, start=1))
FRONT, HIDDEN = (64, 130, 190), (214, 96, 56)


def place(name: str, variant: int, pose: Pose, centre: tuple[int, int]) -> Placement:
    """A drawn object with its middle at `centre` (x, y)."""
    sprite = warp(shapes.draw(name, variant), pose)
    left, top = centre[0] - sprite.image.width // 2, centre[1] - sprite.image.height // 2
    return Placement(sprite, left, top, list(shapes.DRAWINGS).index(name) + 1)


def background(size: tuple[int, int] = (SIDE, SIDE), seed: int = 7) -> np.ndarray:
    """A drawn table top."""
    return DrawnBackgrounds().sample(size, np.random.default_rng(seed))


def result_of(scene: Scene) -> Result:
    """The truth of a scene as a Result, to draw it as predictions are drawn."""
    scores = np.full(len(scene.labels), np.nan, dtype=np.float32)
    return Result(scene.boxes, scene.labels, scores, CATEGORIES, scene.amodal, scene.visible, scene.depth_order)


def painted(image: np.ndarray, mask: np.ndarray, ink: tuple[int, int, int]) -> np.ndarray:
    """The image, paler, with the mask's pixels inked."""
    pale = image * 0.35 + 255 * 0.65
    return np.where(mask[..., None], pale * 0.15 + np.array(ink) * 0.85, pale).astype(np.uint8)


def boxed(image: np.ndarray, boxes: list[tuple[np.ndarray, tuple[int, int, int]]]) -> Image.Image:
    """The image with boxes (xyxy, colour) drawn on it, three times as large."""
    picture = Image.fromarray(image).resize((3 * image.shape[1], 3 * image.shape[0]), Image.Resampling.LANCZOS)
    pen = ImageDraw.Draw(picture)
    for box, ink in boxes:
        pen.rectangle(tuple((3 * box).tolist()), outline=ink, width=6)
    return picture


def tight(mask: np.ndarray) -> np.ndarray:
    """The mask's box, xyxy."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1])


def masks() -> Image.Image:
    """A pear behind a mug: image, amodal, visible and invisible mask, and the two boxes."""
    mug = place("mug", 3, Pose(130), (98, 142))
    pear = place("pear", 2, Pose(160, angle=-28), (132, 108))
    scene = render(background(), [mug, pear], shadow=0.4)
    amodal, visible = scene.amodal[1], scene.visible[1]
    boxes = boxed(scene.image, [(tight(amodal), HIDDEN), (tight(visible), FRONT)])
    tiles = [
        Tile(scene.image, "a pear behind a mug"),
        Tile(painted(scene.image, amodal, (90, 90, 110)), "amodal mask: the whole pear"),
        Tile(painted(scene.image, visible, FRONT), "visible mask: what can be seen"),
        Tile(painted(scene.image, amodal & ~visible, HIDDEN), "invisible mask: the rest"),
        Tile(boxes, "amodal box, visible box"),
        Tile(result_of(scene)[[1]].draw(scene.image, Style(labels=False, scale=3)), "as amodal predict draws it"),
    ]
    return contact_sheet(tiles, columns=3, side=330)


def occlusion_rates() -> Image.Image:
    """One carrot, pushed behind a bottle step by step."""
    tiles = []
    for x in (180, 113, 103, 92):
        bottle = place("bottle", 1, Pose(222), (70, 120))
        carrot = place("carrot", 4, Pose(170, angle=12), (x, 126))
        scene = render(background(seed=11), [bottle, carrot], shadow=0.4)
        rate = 1 - scene.visible[1].sum() / scene.amodal[1].sum()
        picture = result_of(scene)[[1]].draw(scene.image, Style(labels=False, scale=3))
        tiles.append(Tile(picture, f"occlusion rate {rate:.2f}"))
    return contact_sheet(tiles, columns=4, side=300)


def depth_order() -> Image.Image:
    """Four objects on a pile, numbered from the front."""
    placements = [
        place("star", 5, Pose(90, angle=10), (116, 150)),
        place("scissors", 3, Pose(170, angle=40), (138, 116)),
        place("apple", 1, Pose(110), (84, 104)),
        place("leaf", 2, Pose(190, angle=-30), (150, 78)),
    ]
    scene = render(background(seed=3), placements, shadow=0.45)
    size = (3 * SIDE, 3 * SIDE)
    numbered = result_of(scene).draw(scene.image, Style(labels=False, scale=3))
    pen, font = ImageDraw.Draw(numbered), ImageFont.load_default(44)
    for number, visible in enumerate(scene.visible):
        x, y = middle_of(visible)
        pen.ellipse((3 * x - 32, 3 * y - 32, 3 * x + 32, 3 * y + 32), fill="white", outline=colour(number), width=6)
        pen.text((3 * x, 3 * y), str(number), (33, 37, 41), font, anchor="mm")
    tiles = [Tile(Image.fromarray(scene.image).resize(size), "a pile"), Tile(numbered, "depth order: 0 is nearest")]
    return contact_sheet(tiles, columns=2, side=420)


def middle_of(mask: np.ndarray) -> tuple[int, int]:
    """The pixel (x, y) farthest from the mask's edge."""
    depths = np.asarray(distance_transform_edt(np.pad(mask, 1)))[1:-1, 1:-1]
    y, x = np.unravel_index(int(depths.argmax()), depths.shape)
    return int(x), int(y)


def scenes() -> Image.Image:
    """Composed scenes, above as they are, below with their truth."""
    config = SceneConfig(size=(SIDE, SIDE), num_objects=(5, 7), scale=(0.35, 0.6))
    composed = [compose(shapes.DrawnCutOuts(), DrawnBackgrounds(), config, scene_rng(1, i)) for i in range(4)]
    above = [Tile(scene.image) for scene in composed]
    below = [Tile(result_of(scene).draw(scene.image, Style(labels=False, scale=3))) for scene in composed]
    return contact_sheet([*above, *below], columns=4, side=300)


PICTURES = {"masks": masks, "occlusion-rates": occlusion_rates, "depth-order": depth_order, "scenes": scenes}


def main() -> None:
    """Writes every picture."""
    FOLDER.mkdir(exist_ok=True)
    for name, make in PICTURES.items():
        path = FOLDER / f"{name}.webp"
        make().save(path, quality=82, method=6)
        print(f"{path}: {path.stat().st_size / 1024:.0f} kB")


if __name__ == "__main__":
    main()
