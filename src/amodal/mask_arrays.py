"""What is measured of masks as NumPy arrays; `amodal.masks` has the same of tensors.

A mask is a bool array (H, W); a box is xyxy in pixels, where pixel i covers [i, i + 1).
"""

import numpy as np
from jaxtyping import Bool, Float, Float32

Window = tuple[slice, slice]
"""Rows and columns of an array."""


def window(mask: Bool[np.ndarray, "H W"]) -> Window:
    """The smallest window that holds the mask; one without rows and columns for an empty mask.

    >>> window(np.array([[False, False], [False, True]]))
    (slice(1, 2, None), slice(1, 2, None))
    """
    rows = _extent(np.asarray(mask.any(axis=1)))
    return rows, _extent(np.asarray(mask[rows].any(axis=0)))


def boxes(masks: Bool[np.ndarray, "N H W"]) -> Float32[np.ndarray, "N 4"]:
    """Tight boxes; zeros for an empty mask.

    >>> boxes(np.array([[[False, False], [False, True]]])).tolist()
    [[1.0, 1.0, 2.0, 2.0]]
    """
    windows = [window(mask) for mask in masks]
    edges = [(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in windows]
    return np.array(edges, dtype=np.float32).reshape(-1, 4)


def occlusion_rates(amodal_areas: np.ndarray | int, visible_areas: np.ndarray | int) -> Float[np.ndarray, " N"]:
    """Invisible area over amodal area, in [0, 1]; 0 for an empty amodal mask. Areas are pixels, (N,) or one.

    >>> occlusion_rates(np.array([4, 0]), np.array([3, 0])).tolist()
    [0.25, 0.0]
    """
    return (amodal_areas - visible_areas) / np.maximum(amodal_areas, 1)


def _extent(is_there: Bool[np.ndarray, " L"]) -> slice:
    places = np.flatnonzero(is_there)
    return slice(int(places[0]), int(places[-1]) + 1) if len(places) else slice(0, 0)
