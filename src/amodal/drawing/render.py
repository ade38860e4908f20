"""Pictures of results: what is visible is tinted, what is invisible is hatched.

Everything is drawn through signed distances to the masks' edges, so that lines, hatching and tints are smooth at any
size, and in each object's own window, so that hundreds of objects cost no more than their pixels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float32, Int64, UInt8
from PIL import Image

from amodal import mask_arrays
from amodal.arguments import Within, require_word
from amodal.drawing.colours import Colour, colour
from amodal.drawing.distances import smooth_distance
from amodal.drawing.labels import Label, draw_labels
from amodal.errors import UserError

READABLE = 640
"""Images with a shorter short side than this are enlarged, so that names can be read..."""
LONGEST_ENLARGED = 4096
"""...but none beyond this long side: of a thin image that would be millions of pixels, and more than a JPEG holds."""

BLURRED = 6
"""Pixels of a mask over which a distance is smoothed and resized."""


@dataclass(frozen=True)
class Style:
    """What to draw."""

    show: Literal["both", "visible", "invisible"] = "both"
    """Visible and invisible parts, or one of them."""
    labels: bool = True
    """Names and scores."""
    scale: float | None = None
    """Output pixels for each image pixel; None enlarges small images until names can be read."""

    def __post_init__(self) -> None:
        """Raises UserError for a word that `show` does not take, or a scale of nothing."""
        require_word("show", self.show, ("both", "visible", "invisible"))
        if self.scale is not None:
            Within(0, above=True).check("scale", self.scale)


@dataclass(frozen=True)
class Objects:
    """What is drawn of the objects of one image, the most important first.

    Attributes:
        masks: The whole objects, bool (N, H, W).
        visible_masks: Their visible parts, bool (N, H, W); the whole ones again where none are known.
        captions: A line about each object, N of them.
        depth_order: Place of each from the front, int64 (N,).
    """

    masks: Bool[np.ndarray, "N H W"]
    visible_masks: Bool[np.ndarray, "N H W"]
    captions: Sequence[str]
    depth_order: Int64[np.ndarray, " N"]

    def __len__(self) -> int:
        return len(self.masks)

    @property
    def size(self) -> tuple[int, int]:
        """The image's (height, width)."""
        return self.masks.shape[1], self.masks.shape[2]


@dataclass(frozen=True)
class _Layers:
    """One object's paint: opacities in its window of the output."""

    window: tuple[slice, slice]
    tint: Float32[np.ndarray, "h w"]
    hatching: Float32[np.ndarray, "h w"]
    outline: Float32[np.ndarray, "h w"]
    """The line around the whole object, or around the part of it that is shown."""
    seam: Float32[np.ndarray, "h w"]
    """The line where the visible part ends."""


def readable_scale(height: int, width: int) -> float:
    """How many times an image is enlarged, at least 1."""
    return max(1.0, min(READABLE / min(height, width), LONGEST_ENLARGED / max(height, width)))


def draw(
    image: UInt8[np.ndarray, "H W 3"], objects: Objects, style: Style, identities: Sequence[int] | None = None
) -> Image.Image:
    """The image with objects drawn over it.

    Args:
        image: The image that they are in.
        objects: What is in it.
        style: What to draw.
        identities: A number for each object that its colour follows; its place among them by default.

    Returns:
        An RGB image, `style.scale` times as large.

    Raises:
        UserError: The objects are those of an image of another size.
    """
    height, width = image.shape[:2]
    if (height, width) != objects.size:
        problem = (
            f"the image is {height} x {width}, the objects were found in one of {objects.size[0]} x {objects.size[1]}"
        )
        raise UserError(problem, remedy="Draw over the image that was predicted on")
    scale = style.scale or readable_scale(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    pixels = np.array(Image.fromarray(image).resize(size, Image.Resampling.LANCZOS))
    colours = [colour(identity) for identity in (range(len(objects)) if identities is None else identities)]
    _paint(pixels, objects, colours, style.show)
    picture = Image.fromarray(pixels)
    if style.labels:
        draw_labels(picture, _labels(objects, colours, (size[0] / width, size[1] / height), style.show))
    return picture


def _paint(pixels: UInt8[np.ndarray, "h w 3"], objects: Objects, colours: Sequence[Colour], show: str) -> None:
    """Draws the objects back to front, in place: every tint first, then what must not be covered by one."""
    order = np.argsort(-objects.depth_order)
    painted = [(colours[i], layers) for i in order if (layers := _layers(objects, int(i), pixels.shape[:2], show))]
    for paint, layers in painted:
        _blend(pixels, layers.window, layers.tint, paint)
    for paint, layers in painted:
        _blend(pixels, layers.window, layers.hatching, paint)
    for paint, layers in painted:
        _blend(pixels, layers.window, layers.seam, (255, 255, 255))
        _blend(pixels, layers.window, layers.outline, paint)


def _blend(pixels: np.ndarray, window: tuple[slice, slice], opacity: np.ndarray, paint: Colour) -> None:
    part, where = pixels[window], np.nonzero(opacity)  # lines are thin
    under = part[where].astype(np.float32)
    mixed = under + opacity[where][:, None] * (np.asarray(paint, dtype=np.float32) - under)
    part[where] = mixed.round().astype(np.uint8)


def _layers(objects: Objects, index: int, size: tuple[int, int], show: str) -> _Layers | None:
    """The paint of one object on an output of `size` (height, width); None where nothing of it is shown."""
    visible_mask = objects.visible_masks[index]
    whole = visible_mask if show == "visible" else objects.masks[index] | visible_mask
    rows, columns = mask_arrays.window(whole)
    if not rows.stop:
        return None
    line = _line_width(size)
    source = np.s_[max(0, rows.start - 2) : rows.stop + 2, max(0, columns.start - 2) : columns.stop + 2]
    window = _scaled(source, objects.size, size)
    to_edge = _distance_inside(whole[source], window, objects.size, size)
    to_seam = _distance_inside(visible_mask[source], window, objects.size, size)
    invisible = (_coverage(to_edge) - _coverage(to_seam)).clip(min=0)
    is_visible_shown = show != "invisible"
    return _Layers(
        window=window,
        tint=_coverage(to_seam) * (0.42 * is_visible_shown),
        hatching=invisible * (0.28 + 0.64 * _stripes(window, 7 * line, rising=index % 2 == 0)),
        outline=_line(to_edge, line) * (1.0 if is_visible_shown else invisible),
        seam=_line(to_seam, 0.6 * line) * _coverage(to_edge - 2 * line) * (0.85 * is_visible_shown),
    )


def _line_width(size: tuple[int, int]) -> float:
    """Pixels across the line around an object, on an output of `size` (height, width)."""
    return max(1.2, min(size) / 320)


def _scaled(window: tuple[slice, slice], image: tuple[int, int], output: tuple[int, int]) -> tuple[slice, slice]:
    """An image's window in output pixels."""
    bounds = [
        (round(part.start * to / of), max(round(part.start * to / of) + 1, round(min(part.stop, of) * to / of)))
        for part, of, to in zip(window, image, output, strict=True)
    ]
    return slice(*bounds[0]), slice(*bounds[1])


def _distance_inside(
    mask: Bool[np.ndarray, "h w"], window: tuple[slice, slice], image: tuple[int, int], output: tuple[int, int]
) -> Float32[np.ndarray, "h w"]:
    """Output pixels from the mask's edge, positive inside; what is beyond the widest line need only be beyond it."""
    shape = (window[0].stop - window[0].start, window[1].stop - window[1].start)
    far = float(sum(mask.shape))
    if not mask.any() or mask.all():
        return np.full(shape, far if mask.any() else -far, dtype=np.float32)
    scale = output[0] / image[0]
    reach = math.ceil((2 * _line_width(output) + 1) / scale) + BLURRED
    distance = smooth_distance(mask, reach)
    resized = Image.fromarray(distance).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(resized) * np.float32(scale)


def _coverage(distance: Float32[np.ndarray, "h w"]) -> Float32[np.ndarray, "h w"]:
    """Share of each pixel that lies inside, from the distance of its centre."""
    return (distance + 0.5).clip(0, 1)


def _line(distance: Float32[np.ndarray, "h w"], width: float) -> Float32[np.ndarray, "h w"]:
    """Opacity of a line of `width` pixels along the inner side of the edge."""
    return np.minimum(_coverage(distance), 1 - _coverage(distance - width))


def _stripes(window: tuple[slice, slice], period: float, *, rising: bool) -> Float32[np.ndarray, "h w"]:
    """Diagonal stripes with smooth edges, half of the area, in step over the whole picture."""
    row = np.arange(window[0].start, window[0].stop, dtype=np.float32)[:, None]
    column = np.arange(window[1].start, window[1].stop, dtype=np.float32)[None, :]
    phase = (column + row if rising else column - row) * np.float32(0.5**0.5) % period
    return _coverage(period / 4 - np.abs(phase - period / 2))


def _labels(objects: Objects, colours: Sequence[Colour], scale: tuple[float, float], show: str) -> list[Label]:
    """The caption of each object of which something is shown, at its place in the output."""
    shown = objects.visible_masks if show == "visible" else objects.masks
    if show == "invisible":
        shown = shown & ~objects.visible_masks
    labels = []
    for mask, caption, paint in zip(shown, objects.captions, colours, strict=True):
        rows, columns = mask_arrays.window(mask)
        if rows.stop:
            across, down = scale
            box = (columns.start * across, rows.start * down, columns.stop * across, rows.stop * down)
            top = (np.flatnonzero(mask[rows.start]).mean() + 0.5) * across
            labels.append(Label(caption, paint, box, float(top)))
    return labels
