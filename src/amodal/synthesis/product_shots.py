"""Objects cut out of photographs with a plain background, as shops have them: border colour first, then GrabCut.

GrabCut: Rother, Kolmogorov and Blake, SIGGRAPH 2004; OpenCV's.
"""

from typing import Any

import numpy as np
from jaxtyping import Bool, Float, UInt8
from scipy import ndimage

from amodal.errors import UserError
from amodal.synthesis import plain_background
from amodal.synthesis.config import CutOutConfig
from amodal.synthesis.plain_background import Difference

SURE, FAR, NEAR = 12.0, 8.0, 3.0
"""Differences from the background, in units of its noise: what no shadow explains and lies beyond the first is an
object's, what lies beyond the second is likely so, and what lies within the third is likely the background's."""
HOLE = 0.01
"""Holes smaller than this share of an object are highlights."""
LEAST_STEP = 4.0
"""Least difference, in units of noise, between an outline's inner and outer side."""
SPECK = 0.05
"""Parts smaller than this share of the largest one are no objects."""
MARGIN = 0.06
"""Of a picture's longer side, around what stands out: what GrabCut looks at."""
ROUNDS = 5


def cut_out(pixels: UInt8[np.ndarray, "H W 3"], config: CutOutConfig) -> list[UInt8[np.ndarray, "h w 4"]]:
    """The objects of a photograph as RGBA, each cropped to what can be seen, with a soft edge; left to right.

    Args:
        pixels: RGB.
        config: How.

    Raises:
        UserError: The background is not plain, nothing stands out of it, an object is cut by the border or too small,
            there are several and that is not wanted; or OpenCV is not installed.
    """
    cv2 = require_opencv()
    pixels = _shrunk(pixels, config.side, cv2)
    picture = pixels.astype(np.float32) / 255

    def to_lab(rgb: np.ndarray) -> np.ndarray:
        return cv2.cvtColor(rgb, cv2.COLOR_RGB2LAB)

    background = plain_background.find(picture, to_lab, lambda lab: cv2.cvtColor(lab, cv2.COLOR_LAB2RGB))
    if not background.is_plain:
        raise UserError(
            f"its background is not plain ({background.plain_share:.0%} of the border is of one colour)",
            remedy="Cut it out by hand, or annotate it",
        )
    difference = plain_background.difference(picture, background, to_lab)
    mask = _grab_cut(pixels, difference, cv2)
    if config.fill_holes:
        mask = np.asarray(ndimage.binary_fill_holes(mask))
    objects = _objects(mask, config)
    for one in objects:
        _require_outline(one, difference.total)
    return [_soft(pixels, one) for one in objects]


def require_opencv() -> Any:
    """The module, on one thread. Raises UserError where it is not installed."""
    try:
        import cv2
    except ModuleNotFoundError as error:
        remedy = "pip install 'amodal[cutouts]'"
        raise UserError("opencv-python-headless is not installed, which cuts objects out", remedy=remedy) from error
    cv2.setNumThreads(1)
    return cv2


def _shrunk(pixels: np.ndarray, side: int, cv2: Any) -> np.ndarray:
    scale = side / max(pixels.shape[:2])
    if scale >= 1:
        return pixels
    size = (max(1, round(pixels.shape[1] * scale)), max(1, round(pixels.shape[0] * scale)))
    return cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)


def _grab_cut(pixels: UInt8[np.ndarray, "H W 3"], difference: Difference, cv2: Any) -> Bool[np.ndarray, "H W"]:
    """What is no background, by colour models that begin with the pixels that differ from the border."""
    far = _opened(difference.total > FAR)
    if not far.any():
        raise UserError("nothing stands out from its background", remedy="Take a darker or lighter background")
    margin = round(MARGIN * max(far.shape)) + 2
    box = tuple(
        slice(max(found.start - margin, 0), found.stop + margin) for found in ndimage.find_objects(far.astype(int))[0]
    )
    far, near, sure = far[box], difference.total[box] < NEAR, _opened(difference.rest[box] > SURE)
    state = np.where(far, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    state[_from_outside(near)] = cv2.GC_BGD
    state[_eroded(sure, 2)] = cv2.GC_FGD
    cv2.setRNGSeed(0)
    window = np.ascontiguousarray(pixels[box][..., ::-1])
    if (state == cv2.GC_BGD).any():
        cv2.grabCut(window, state, None, np.zeros((1, 65)), np.zeros((1, 65)), ROUNDS, cv2.GC_INIT_WITH_MASK)
    mask = np.zeros(pixels.shape[:2], dtype=bool)
    mask[box] = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    return _without_small_holes(_opened(mask))


def _eroded(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.asarray(ndimage.binary_erosion(mask, iterations=pixels), dtype=bool)


def _dilated(mask: np.ndarray, pixels: int) -> np.ndarray:
    return np.asarray(ndimage.binary_dilation(mask, iterations=pixels), dtype=bool)


def _opened(mask: np.ndarray) -> np.ndarray:
    return np.asarray(ndimage.binary_opening(mask, np.ones((3, 3), dtype=bool)))


def _labelled(mask: np.ndarray, *, diagonal: bool = False) -> tuple[np.ndarray, int]:
    """The parts of a mask, numbered from 1, and how many there are."""
    labels = np.zeros(mask.shape, np.int32)
    count = ndimage.label(mask, np.ones((3, 3), dtype=bool) if diagonal else None, output=labels)
    return labels, int(count)  # type: ignore[arg-type]


def _from_outside(mask: np.ndarray) -> np.ndarray:
    """The parts of a mask that reach its border: what is enclosed, as a highlight is, may be the object's own."""
    labels, _ = _labelled(mask)
    outside = np.unique(np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]]))
    return np.isin(labels, outside[outside > 0])


def _without_small_holes(mask: np.ndarray) -> np.ndarray:
    """Highlights filled in; the hole of a handle is larger."""
    labels, count = _labelled(~mask)
    areas = np.bincount(labels.ravel(), minlength=count + 1)
    small = np.flatnonzero(areas < HOLE * mask.sum())
    return mask | (np.isin(labels, small) & ~mask)


def _objects(mask: Bool[np.ndarray, "H W"], config: CutOutConfig) -> list[Bool[np.ndarray, "H W"]]:
    """The masks of what counts as an object. Raises UserError where one is not whole, too small, or too many."""
    labels, count = _labelled(mask, diagonal=True)
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not count:
        raise UserError("nothing stands out from its background", remedy="Take a darker or lighter background")
    large = [number for number in range(1, count + 1) if areas[number - 1] >= SPECK * areas.max()]
    masks = [labels == number for number in large]
    if config.several == "together":
        masks = [np.any(masks, axis=0)]
    if len(masks) > 1 and config.several == "refuse":
        raise UserError(
            f"shows {len(masks)} things apart from each other",
            remedy="--several split cuts out each, --several together takes them as one",
        )
    for one in masks:
        if one[[0, -1]].any() or one[:, [0, -1]].any():
            raise UserError("what it shows is cut by its border, and not whole", remedy="Leave it out")
        if one.sum() < config.min_area:
            problem = f"what it shows has {one.sum():,} pixels, fewer than {config.min_area:,}"
            raise UserError(problem, remedy="Take a larger picture, or a smaller --min-area")
    return sorted(masks, key=lambda one: int(np.argmax(one.any(axis=0))))


def _require_outline(mask: Bool[np.ndarray, "H W"], difference: Float[np.ndarray, "H W"]) -> None:
    """Raises UserError where an outline runs through what fades: a shadow's, or of a thing like its background."""
    inner = mask & ~_eroded(mask, 3)
    outer = _dilated(mask, 4) & ~_dilated(mask, 1)
    step = float(np.median(difference[inner]) - np.median(difference[outer]))
    if step < LEAST_STEP:
        raise UserError(
            "what it shows hardly differs from its background", remedy="Take a darker, lighter or coloured background"
        )


def _soft(pixels: UInt8[np.ndarray, "H W 3"], mask: Bool[np.ndarray, "H W"]) -> UInt8[np.ndarray, "h w 4"]:
    """An object with an edge that fades over a pixel, and none of the background's colour in it."""
    (rows, columns) = ndimage.find_objects(mask.astype(int))[0]
    box = np.s_[rows.start - 1 : rows.stop + 1, columns.start - 1 : columns.stop + 1]
    inside = mask[box]
    sure = _eroded(inside, 2)
    colours = pixels[box]
    if sure.any():  # towards the edge pixels mix with the background: the nearest that does not stands for them
        nearest = np.asarray(ndimage.distance_transform_edt(~sure, return_distances=False, return_indices=True))
        colours = colours[nearest[0], nearest[1]]
    alpha = ndimage.uniform_filter(inside.astype(np.float32), 3)
    return np.dstack([colours, (255 * np.clip(2 * alpha - 1, 0, 1)).round().astype(np.uint8)])
