"""Numbers that tell what a data set is like: occlusion, sizes, who covers whom, typical shapes."""

from itertools import permutations

import numpy as np
from PIL import Image

from amodal import mask_arrays, rle
from amodal.annotations import AnnotationSet


def occlusion_rates(annotation_set: AnnotationSet) -> np.ndarray:
    """Each annotation's share of invisible pixels, float64 (N,) in [0, 1]."""
    amodal = rle.areas([annotation.amodal for annotation in annotation_set.annotations])
    visible = rle.areas([annotation.visible for annotation in annotation_set.annotations])
    return mask_arrays.occlusion_rates(amodal, visible)


def relative_sizes(annotation_set: AnnotationSet) -> np.ndarray:
    """The square root of each amodal mask's share of its image, float64 (N,): a side's share, if both were square."""
    pixels = {image.id: image.height * image.width for image in annotation_set.images}
    areas = rle.areas([annotation.amodal for annotation in annotation_set.annotations])
    return np.sqrt(areas / np.array([pixels[annotation.image_id] for annotation in annotation_set.annotations]))


def spread(count: int, wanted: int) -> list[int]:
    """Up to `wanted` indices below `count`, evenly spread."""
    return np.unique(np.linspace(0, count - 1, min(count, wanted)).astype(int)).tolist() if count else []


def occlusions(annotation_set: AnnotationSet, categories: list[int], num_images: int) -> np.ndarray:
    """Who covers whom in an even choice of images, int64 (K, K).

    Entry (i, j) counts the objects of category i that an object of category j hides some of: a pixel of the one's
    invisible mask is in the other's visible mask.
    """
    place = {category: index for index, category in enumerate(categories)}
    table = np.zeros((len(categories), len(categories)), dtype=np.int64)
    for index in spread(len(annotation_set.images), num_images):
        annotations = [a for a in annotation_set.by_image[annotation_set.images[index].id] if a.category_id in place]
        invisible = [rle.subtract(annotation.amodal, annotation.visible) for annotation in annotations]
        overlap = rle.ious(invisible, [annotation.visible for annotation in annotations]) > 0
        for behind, front in permutations(range(len(annotations)), 2):
            if overlap[behind, front]:
                table[place[annotations[behind].category_id], place[annotations[front].category_id]] += 1
    return table


def mean_shape(annotation_set: AnnotationSet, category: int, num_masks: int, side: int) -> np.ndarray:
    """The mean of an even choice of a category's amodal masks, each stretched from its box, float64 (side, side)."""
    members = [annotation for annotation in annotation_set.annotations if annotation.category_id == category]
    total = np.zeros((side, side))
    chosen = spread(len(members), num_masks)
    for index in chosen:
        pixels, _, _ = rle.crop(members[index].amodal)
        shape = Image.fromarray(pixels.astype(np.uint8) * 255).resize((side, side), Image.Resampling.BOX)
        total += np.asarray(shape) / 255
    return total / max(len(chosen), 1)
