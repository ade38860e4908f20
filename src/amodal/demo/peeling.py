"""What an object might look like without what covers it: its invisible part filled with its colours."""

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

from amodal import mask_arrays


def peel(
    pixels: UInt8[np.ndarray, "H W 3"], amodal: Bool[np.ndarray, "H W"], visible: Bool[np.ndarray, "H W"]
) -> UInt8[np.ndarray, "H W 3"]:
    """The image with the object's invisible part painted in: each pixel like the nearest visible one, softened.

    It shows the shape that the model infers, with plausible colours; it is no photograph of what is there.
    """
    invisible = amodal & ~visible
    # At the seam pixels mix with the occluder's.
    sure = np.asarray(ndimage.binary_erosion(visible, iterations=2), dtype=bool)
    sure = sure if sure.any() else np.asarray(visible)
    if not invisible.any() or not sure.any():
        return pixels
    window = mask_arrays.window(amodal)
    nearest = np.asarray(ndimage.distance_transform_edt(~sure[window], return_distances=False, return_indices=True))
    filled = pixels[window][nearest[0], nearest[1]].astype(np.float32)
    inside = amodal[window].astype(np.float32)
    width = max(1.0, (invisible.sum() ** 0.5) / 8)
    weight = np.maximum(ndimage.gaussian_filter(inside, width), 1e-3)[:, :, None]
    soft = ndimage.gaussian_filter(filled * inside[:, :, None], (width, width, 0)) / weight
    peeled = pixels.copy()
    peeled[invisible] = soft[invisible[window]].clip(0, 255).round().astype(np.uint8)
    return peeled


def cut_out(pixels: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "h w 4"] | None:
    """What lies under a mask as RGBA, cropped to it; None for an empty mask."""
    window = mask_arrays.window(mask)
    if not window[0].stop:
        return None
    return np.dstack([pixels[window], np.where(mask[window], 255, 0).astype(np.uint8)])
