"""Auto-labelling: annotations of visible parts in, the same annotations with whole objects out."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from tqdm import tqdm

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, ImageRecord, require_images
from amodal.categories import key, labels_by_name, listed
from amodal.errors import UserError, unknown
from amodal.inference.careful import Care, believed
from amodal.inference.predictor import Occluders, Predictor
from amodal.pictures import read_annotated_image
from amodal.results.result import Result


def complete_annotations(
    annotation_set: AnnotationSet,
    predictor: Predictor,
    *,
    any_category: bool = False,
    occluders: Occluders = "anything",
    care: Care | None = None,
) -> AnnotationSet:
    """The same images, objects and ids, with the model's amodal masks around the given visible ones.

    Crowds, and objects of which nothing is visible, stay as they are; so does what `care` does not believe to be
    occluded. The depth order is read off the new masks.

    Args:
        annotation_set: Visible masks; amodal ones, if there are any, are replaced where an object is completed.
        predictor: The model.
        any_category: Let the model name every object for itself, where its categories are not the data set's.
        occluders: What may hide an object: anything in its image, or only what is annotated there.
        care: When the model is believed; as in `Care()` if None.

    Raises:
        UserError: An image is missing, or the model does not know a category.
    """
    image_folder = require_images(annotation_set.image_folder, annotation_set.source)
    if predictor.model.is_class_agnostic:  # it need not even name them: each keeps its own category
        label_of = dict.fromkeys((category.id for category in annotation_set.categories), 1)
    else:
        label_of = None if any_category else _labels(annotation_set, predictor)
    care = (care or Care()).with_a(completer=predictor.model.is_class_agnostic)

    def prompt(pixels: np.ndarray, annotations: list[Annotation], others: np.ndarray | None) -> Result:
        masks = rle.decode([a.visible for a in annotations], (pixels.shape[0], pixels.shape[1]))
        labels = None if label_of is None else [label_of[a.category_id] for a in annotations]
        result = predictor.complete(pixels, labels=labels, visible_masks=masks, occluders=occluders)
        if result.amodal_masks is None:
            raise UserError("this model predicts visible masks only", remedy="Use one that predicts amodal masks")
        return replace(result, amodal_masks=believed(result.amodal_masks, masks, others, care))

    completed: list[Annotation] = []
    for image in tqdm(annotation_set.images, unit="image"):
        pixels = read_annotated_image(image.place_in(image_folder), (image.height, image.width))
        completed += _complete(annotation_set.by_image[image.id], image, pixels, prompt)
    return replace(annotation_set, annotations=completed)


def _labels(annotation_set: AnnotationSet, predictor: Predictor) -> dict[int, int]:
    """The model's label of each category id, by the category's name."""
    known = labels_by_name(predictor.categories)
    used = {annotation.category_id for annotation in annotation_set.annotations}
    lacking = [c.name for c in annotation_set.categories if c.id in used and key(c.name) not in known]
    if lacking:
        raise unknown(
            f"the model knows no {listed(lacking)}",
            lacking[0],
            [c.name for c in predictor.categories],
            file=annotation_set.source,
            otherwise="With --any-category it takes each object for its highest-scoring category",
        )
    return {c.id: known[key(c.name)] for c in annotation_set.categories if c.id in used}


def _complete(
    annotations: list[Annotation],
    image: ImageRecord,
    pixels: np.ndarray,
    prompt: Callable[[np.ndarray, list[Annotation], np.ndarray | None], Result],
) -> Iterator[Annotation]:
    """The annotations of one image, in their order."""
    areas = rle.areas([annotation.visible for annotation in annotations])
    chosen = [a for a, area in zip(annotations, areas, strict=True) if area and not a.is_crowd]
    crowds = [annotation.visible for annotation in annotations if annotation.is_crowd]
    others = rle.decode([rle.union(crowds)], (image.height, image.width))[0] if crowds else None
    objects = prompt(pixels, chosen, others).to_annotations(image.id) if chosen else []
    found = {annotation.id: whole for annotation, whole in zip(chosen, objects, strict=True)}
    for annotation in annotations:
        other = found.get(annotation.id)
        if other is None:
            yield replace(annotation, depth_order=None)
        else:
            is_completed = other.amodal != other.visible  # else an amodal mask that is annotated already stays
            amodal = other.amodal if is_completed else annotation.amodal
            yield replace(annotation, amodal=amodal, visible=other.visible, depth_order=other.depth_order)
