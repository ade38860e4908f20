"""Scenes as grey silhouettes, for figures of photographs that may be used but not published."""

import numpy as np
from jaxtyping import Bool, UInt8
from scipy import ndimage

BACKGROUND, EDGE = 240, 110
TONES = (205, 180, 220, 192)
"""Greys of neighbouring objects in turn."""


def silhouettes(masks: Bool[np.ndarray, "N H W"]) -> UInt8[np.ndarray, "H W 3"]:
    """Objects as flat greys with darker edges, nothing of their pixels.

    Args:
        masks: Visible masks; a pixel that two of them claim is the later one's.
    """
    grey = np.full(masks.shape[1:], BACKGROUND, np.uint8)
    for place, mask in enumerate(masks):
        grey[mask] = TONES[place % len(TONES)]
        grey[mask & ~np.asarray(ndimage.binary_erosion(mask), dtype=bool)] = EDGE
    return np.repeat(grey[:, :, None], 3, axis=2)
