"""Images in whatever form a caller has them, as one form."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from amodal.addresses import is_address
from amodal.errors import UserError
from amodal.pictures import read_at, read_image, upright_rgb

if TYPE_CHECKING:
    from torch import Tensor

    ImageLike = str | Path | Image.Image | np.ndarray | Tensor


def as_pixels(image: "ImageLike") -> UInt8[np.ndarray, "H W 3"]:
    """An image as uint8 RGB.

    Args:
        image: A path or address (`https://`, `s3://`), a PIL image, an array (H, W, 3 or 4 or 1) or (H, W) as Pillow
            and imageio give them, or a tensor (3 or 1, H, W) as torchvision gives them. Integers are 0-255, floats
            0-1. A photograph's EXIF rotation is applied to files and PIL images.

    Raises:
        UserError: A file that is missing or damaged, or an array that is no image.
    """
    if isinstance(image, str | Path):
        return read_at(image) if is_address(image) and not Path(image).exists() else read_image(image)
    if isinstance(image, Image.Image):
        return upright_rgb(image)
    if isinstance(image, np.ndarray):
        return _array_pixels(image)
    torch = sys.modules.get("torch")  # whoever holds a tensor has imported it
    if torch is not None and isinstance(image, torch.Tensor):
        if image.ndim != 3:
            raise UserError(f"a tensor image is (channels, height, width), not {tuple(image.shape)}")
        is_small = image.dtype == torch.uint8
        array = (image if is_small else image.detach().float()).cpu().numpy().transpose(1, 2, 0)
        return _array_pixels(array, integer=not image.is_floating_point())
    raise UserError(f"cannot take {type(image).__name__} as an image", remedy="Give a path, PIL image, array or tensor")


def _array_pixels(array: np.ndarray, *, integer: bool = False) -> np.ndarray:
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3 or array.shape[2] not in (1, 3, 4) or 0 in array.shape:
        raise UserError(f"an array of shape {array.shape} is no image", remedy="Give (height, width, 3), RGB")
    array = np.repeat(array, 3, axis=2) if array.shape[2] == 1 else array[:, :, :3]
    if array.dtype == np.uint8:
        return np.ascontiguousarray(array)
    if array.dtype.kind not in "iuf" or not np.isfinite(array).all():
        raise UserError("the image holds values that are no colours", remedy="Give 0-255 integers or 0-1 floats")
    top = 255 if integer or np.issubdtype(array.dtype, np.integer) else 1
    if array.min() < 0 or array.max() > top:
        problem = f"the image's values run from {array.min():g} to {array.max():g}, not 0 to {top}"
        raise UserError(problem, remedy="Give 0-255 integers or 0-1 floats")
    return np.ascontiguousarray((array * (255 / top)).round().astype(np.uint8))
