"""Annotated and detected objects as small pictures, for pages that show many: drawn as results are."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool, UInt8
from PIL import Image

from amodal import rle
from amodal.annotations import Annotation, Detection, ImageRecord
from amodal.drawing.render import Objects, Style, draw
from amodal.errors import UserError
from amodal.pictures import read_annotated_image
from amodal.results.depth_order import covered_pixels, front_to_back

GREY = 110


def photograph(image: ImageRecord, folder: Path | None) -> tuple[UInt8[np.ndarray, "H W 3"], str]:
    """An annotated image, or grey in its size and what is wrong with its file."""
    grey = np.full((image.height, image.width, 3), GREY, dtype=np.uint8)
    if folder is None or not image.file_name:
        return grey, "image folder not found" if folder is None else "no file is named"
    try:
        return read_annotated_image(image.place_in(folder), (image.height, image.width)), ""
    except UserError as error:
        return grey, error.problem


def picture(
    pixels: UInt8[np.ndarray, "H W 3"],
    objects: Sequence[Annotation | Detection],
    longest_side: int,
    identities: Sequence[int] | None = None,
) -> Image.Image:
    """An image with objects drawn in, without names, shrunk to at most `longest_side`.

    An object without one of the two masks is drawn as if it had the other twice; colours follow `identities`, as
    `render.draw` says.
    """
    height, width = pixels.shape[:2]
    step = max(1, max(height, width) // longest_side)
    size = (-(-width // step), -(-height // step))
    small = np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BOX))
    amodal, visible = np.zeros((2, len(objects), size[1], size[0]), dtype=bool)
    for place, one in enumerate(objects):  # one at a time: a photograph's masks at full size are many bytes
        masks = [mask for mask in (one.amodal, one.visible) if mask is not None]
        if masks:
            decoded = rle.decode(masks, (height, width))[:, ::step, ::step]
            amodal[place], visible[place] = decoded[0], decoded[-1]
    orders = [one.depth_order for one in objects]
    known = [order for order in orders if order is not None]
    shapes = of_masks(amodal, visible, known if len(known) == len(orders) else None)
    return draw(small, shapes, Style(labels=False, scale=min(1.0, longest_side / max(size))), identities)


def of_masks(
    amodal: Bool[np.ndarray, "N H W"], visible: Bool[np.ndarray, "N H W"], depth_order: Sequence[int] | None = None
) -> Objects:
    """What `render.draw` takes, without captions; the depth order is read off the masks where none is given."""
    order = front_to_back(covered_pixels(visible, amodal & ~visible)) if depth_order is None else depth_order
    return Objects(amodal, visible, [""] * len(amodal), np.asarray(order, dtype=np.int64))
