"""Scenes composed from cut-outs, against the loop that one would write first."""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from amodal.synthesis import composition, shapes
from amodal.synthesis.backgrounds import FolderBackgrounds
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.cutouts import FolderCutOuts
from amodal.synthesis.surfaces import DrawnBackgrounds
from benchmarks.speed import pillow_calls, plain_loop
from benchmarks.speed.harness import Curve, Measured, Row, Stage, best, compare

TITLE = "Scenes"
OBJECTS = 8
LOOP = "a plain Pillow and NumPy loop"
CALLS = "the library calls alone, in their cheapest form, for as many objects"


@dataclass(frozen=True)
class Material:
    """Cut-outs of 8 categories, 400 pixels long (PNG), backgrounds of 640 x 480 (JPEG); both ways to compose."""

    cutouts: list[list[Path]]
    backgrounds: list[Path]
    known: dict[Path, Image.Image]
    """Every file, read."""
    source: FolderCutOuts
    surfaces: FolderBackgrounds

    def compose(self, config: SceneConfig, index: int) -> composition.Scene:
        """This package's scene."""
        return composition.compose(self.source, self.surfaces, config, composition.scene_rng(0, index))

    def compose_plainly(self, config: SceneConfig, index: int, *, known: bool = False) -> dict[str, Any]:
        """The loop's scene; with `known` it reads no file."""
        read = self.known.__getitem__ if known else Image.open
        rng = composition.scene_rng(0, index)
        return plain_loop.compose(self.cutouts, self.backgrounds, config, rng, read)

    def decoded(self) -> pillow_calls.Decoded:
        """A cut-out of each category and a background."""
        first = [self.known[paths[0]].convert("RGBa") for paths in self.cutouts]
        return pillow_calls.Decoded(first, self.known[self.backgrounds[0]].convert("RGB"))


def material(folder: Path, quick: bool) -> Material:
    length, variants, photographs, size = (48, 1, 1, (48, 64)) if quick else (400, 4, 8, (480, 640))
    names = list(shapes.DRAWINGS)[:8]
    cutouts = [[folder / "cutouts" / name / f"{variant}.png" for variant in range(variants)] for name in names]
    for name, paths in zip(names, cutouts, strict=True):
        paths[0].parent.mkdir(parents=True)
        for variant, path in enumerate(paths):
            drawn = shapes.draw(name, variant, length)
            Image.fromarray(np.dstack([drawn.pixels, drawn.alpha])).save(path)
    backgrounds = [folder / "backgrounds" / f"{number}.jpg" for number in range(photographs)]
    backgrounds[0].parent.mkdir()
    for number, path in enumerate(backgrounds):
        Image.fromarray(DrawnBackgrounds().sample(size, np.random.default_rng(number))).save(path, quality=90)
    known: dict[Path, Image.Image] = {path: Image.open(path) for paths in [*cutouts, backgrounds] for path in paths}
    for image in known.values():
        image.load()
    source, surfaces = FolderCutOuts(folder / "cutouts"), FolderBackgrounds(folder / "backgrounds")
    return Material(cutouts, backgrounds, known, source, surfaces)


def repeated(compose: Callable[..., object], config: SceneConfig, scenes: int, **options: bool) -> Callable[[], None]:
    """A callable that composes so many scenes, new ones each time it is called."""
    numbers = count()

    def run() -> None:
        for _ in range(scenes):
            compose(config, next(numbers), **options)

    return run


def measure(quick: bool) -> Measured:
    sides, repetitions = ((48, 64), 2) if quick else ((256, 1024), 7)
    rows, stages, facts = [], [], {}
    with tempfile.TemporaryDirectory() as folder:
        things = material(Path(folder), quick)
        for side in sides:
            config = SceneConfig(size=(side, side), num_objects=(OBJECTS, OBJECTS))
            scenes = 1 if quick else 4096 // side
            repeated(things.compose, config, 1 if quick else 60)()  # the cut-outs are read
            for known, aim, manner in ((False, 5.0, LOOP), (True, None, f"{LOOP}, its files read beforehand")):
                timing = compare(
                    repeated(things.compose, config, scenes),
                    repeated(things.compose_plainly, config, scenes, known=known),
                    repetitions=repetitions,
                )
                end = ", rival's files known" if known else ""
                row = timing.row(
                    f"Scenes of {side} x {side} pixels, {OBJECTS} objects{end}", manner, aim, scenes_a_repetition=scenes
                )
                rows.append(row)
            rows.append(beside_calls(things, config, scenes, repetitions))
            seconds = rows[-1].details["seconds"] / scenes
            stages.append(stage(things, config, seconds))
            facts[f"scenes_per_second_{side}"] = 1 / seconds
        return Measured(rows, curves(things, quick), stages, {**facts, "sides": list(sides)})


def beside_calls(things: Material, config: SceneConfig, scenes: int, repetitions: int) -> Row:
    """The time of whole scenes over that of their library calls."""
    decoded = things.decoded()

    def bare(config: SceneConfig, index: int) -> object:
        return decoded.compose(config, composition.scene_rng(0, index))

    timing = compare(repeated(things.compose, config, scenes), repeated(bare, config, scenes), repetitions=repetitions)
    name = f"Scenes of {config.size[0]} x {config.size[1]} pixels, {OBJECTS} objects, over their library calls"
    return timing.row(name, CALLS, sense="times as long", scenes_a_repetition=scenes)


def stage(things: Material, config: SceneConfig, seconds: float) -> Stage:
    """A bilinear sample of four channels is 32 operations; blending and masking it are about 20 more."""
    scene = things.compose(config, 0)
    pixels, objects = float(scene.image.shape[0] * scene.image.shape[1]), float(scene.amodal.sum())
    num_bytes = pixels * (3 + 3 + 2 * len(scene.amodal)) + objects * (4 + 4)
    return Stage(f"scene of {config.size[0]} x {config.size[1]} pixels", pixels * 24 + objects * 52, num_bytes, seconds)


def curves(things: Material, quick: bool) -> list[Curve]:
    counts, sides = ([1, 2], [32, 48]) if quick else ([1, 2, 4, 8, 16, 32], [128, 256, 512, 1024, 2048])
    by_count = [SceneConfig(num_objects=(objects, objects), size=(256, 256)) for objects in counts]
    by_side = [SceneConfig(num_objects=(OBJECTS, OBJECTS), size=(side, side)) for side in sides]
    return [
        curve(things, "objects", [float(objects) for objects in counts], by_count),
        curve(things, "image side, pixels", [float(side) for side in sides], by_side),
    ]


def curve(things: Material, axis: str, sizes: list[float], configs: list[SceneConfig]) -> Curve:
    def seconds(compose: Callable[..., object]) -> list[float]:
        return [best(repeated(compose, config, 2)) / 2 for config in configs]

    return Curve("compose", axis, sizes, seconds(things.compose), seconds(things.compose_plainly), LOOP)


def describe(measured: Measured) -> str:
    small, known, bare, large, large_known, large_bare = measured.rows
    sides, facts = measured.facts["sides"], measured.facts
    rates = " and ".join(f"{facts[f'scenes_per_second_{side}']:.0f} of {side} x {side} pixels" for side in sides)
    return f"""One core composes {rates} in a second, with soft shadows and exact masks of {OBJECTS} objects. Each
object is turned, scaled and cut to size in one resampling, then touched only where it lies; the loop lays whole images
over each other. A cut-out is read from its file once.

* {small.ratio:.1f} x and {large.ratio:.1f} x faster than the loop (`benchmarks/speed/plain_loop.py`), which makes the
  same image, masks and boxes.
* {known.ratio:.1f} x and {large_known.ratio:.1f} x if the loop, too, is given every file decoded.
* {bare.ratio:.2g} and {large_bare.ratio:.2g} times as long as Pillow's calls for it alone
  (`benchmarks/speed/pillow_calls.py`): resampling the background, and for each object one reduction, one turn, a table
  of colours, a shadow, a paste and its masks. The floor below takes every operation at the rate of a large
  convolution: an aim of 10 times it is out of reach, for the resampling and blending of bytes, which is nearly all that
  a scene is, comes nowhere near that rate in the library. Another one's pixels would be other pixels, and a scene is a
  function of its seed to the byte.
* An object's reduction kept for its next use would save 6 % of a small scene where few cut-outs come again and again,
  and cost the memory that keeps cut-outs decoded where they are many: left out."""
