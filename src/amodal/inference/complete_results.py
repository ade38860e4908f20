"""Other people's detections made whole: COCO results of visible masks in, the same with amodal masks out."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from tqdm import tqdm

from amodal import rle
from amodal.annotations import TEXT_ID, Annotation, AnnotationSet, Category, Detection, ImageRecord, require_images
from amodal.errors import UserError
from amodal.files import read_json
from amodal.formats import annotation_files
from amodal.inference.detected import Detected
from amodal.inference.predictor import Occluders, Predictor
from amodal.pictures import find_images, image_size, read_annotated_image
from amodal.results import own_numbers, result_files
from amodal.results.own_numbers import OwnNumbers


def images_of(source: Path, predictions: Path, images: Path | None) -> AnnotationSet:
    """The images that results are about, and the categories.

    Args:
        source: Annotations of any format, whose objects are left out; or a folder of images. There, `image_id` is the
            number that a file is called by, as ultralytics has it, or its place among the sorted files, from 1.
        predictions: The results: with a folder of images it alone knows which categories there are.
        images: The image folder, if it is not found near the annotations.

    Raises:
        UserError: There are none, or results that are none.
    """
    if not source.is_dir() or annotation_files.holds_annotations(source):
        return replace(annotation_files.read(source, images), annotations=[])
    content = read_json(predictions)
    if not isinstance(content, list) or not all(isinstance(raw, dict) for raw in content):
        raise UserError("not COCO results (a list of detections)", file=predictions, remedy=result_files.REMEDY)
    files = find_images([source])
    own = own_numbers.beside(predictions)
    if own is None:
        ids = _ids(files, {raw.get("image_id") for raw in content if isinstance(raw.get("image_id"), int | str)})
        numbers = {raw["category_id"] for raw in content if isinstance(raw.get("category_id"), int)}
        categories = [Category(number, f"category {number}") for number in sorted(numbers)]
    else:
        ids, categories = _own_ids(files, own), [Category(*one) for one in own.categories.items()]
    records = [_record(number, file, source) for number, file in zip(ids, files, strict=True)]
    return AnnotationSet(records, [], categories, source, predictions)


def _own_ids(files: Sequence[Path], own: OwnNumbers) -> list[int]:
    """The files' numbers in results of `amodal predict`; others, from the highest on, for those that it did not see."""
    find = own.images_in([ImageRecord(place, file.as_posix(), 1, 1) for place, file in enumerate(files)])
    places = {} if find is None else {find(number): number for number in own.images}
    return [places.get(place, max(own.images) + 1 + place) for place in range(len(files))]


def _ids(files: Sequence[Path], stated: set[int | str]) -> list[int]:
    stems = [file.stem for file in files]
    if len(set(stems)) == len(stems) and all(stem.isdecimal() for stem in stems) and stated <= {int(s) for s in stems}:
        return [int(stem) for stem in stems]
    return list(range(1, len(files) + 1))


def _record(number: int, file: Path, folder: Path) -> ImageRecord:
    height, width = image_size(file)
    return ImageRecord(number, str(file.relative_to(folder)), height, width, {TEXT_ID: file.stem})


def complete_results(
    images: AnnotationSet, predictions: str | Path, predictor: Predictor, occluders: Occluders = "anything"
) -> list[Detection]:
    """The detections of a COCO results file in its order, with amodal masks; scores and categories stay.

    Args:
        images: What the results are about, as `images_of` gives it.
        predictions: The results. `visible_mask` is the visible mask, or `segmentation` where there is none; detections
            without masks are completed from their boxes, if the model can.
        predictor: The model.
        occluders: What may hide an object: anything in its image, or only the other detections.

    Raises:
        UserError: An image is missing, or a detection is wrong, or of a category that the model has to know.
    """
    image_folder = require_images(images.image_folder, images.source)
    given = result_files.read(predictions, images)
    has_visible = "visible" in given.kinds_of_masks and None not in given.visible
    found = [
        replace(one, amodal=None, visible=mask)
        for one, mask in zip(given, given.visible if has_visible else given.amodal, strict=True)
    ]
    places: dict[int, list[int]] = {}
    for place, one in enumerate(found):
        places.setdefault(one.image_id, []).append(place)
    for image in tqdm([image for image in images.images if image.id in places], unit="image"):
        own = places[image.id]
        pixels = read_annotated_image(image.place_in(image_folder), (image.height, image.width))
        whole = _complete([found[place] for place in own], images.categories, pixels, predictor, occluders)
        for place, one in zip(own, whole, strict=True):
            found[place] = one
    return found


def _complete(
    detections: Sequence[Detection],
    categories: Sequence[Category],
    pixels: np.ndarray,
    predictor: Predictor,
    occluders: Occluders,
) -> Iterator[Detection]:
    """The detections of one image, in their order."""
    masks = [one.visible for one in detections if one.visible is not None]
    label_of = {category.id: label for label, category in enumerate(categories, start=1)}
    given = Detected(
        None if masks else np.array([one.box for one in detections], dtype=np.float32),
        rle.decode(masks, (pixels.shape[0], pixels.shape[1])) if masks else None,
        np.array([label_of[one.category_id] for one in detections], dtype=np.int64),
        np.array([one.score for one in detections], dtype=np.float32),
        tuple(categories),
    )
    result = predictor.complete(pixels, given, occluders=occluders)
    if result.amodal_masks is None:
        raise UserError("this model predicts visible masks only", remedy="Use one that predicts amodal masks")
    for one, whole in zip(detections, result.to_detections(detections[0].image_id), strict=True):
        yield replace(whole, score=one.score)


def as_annotations(images: AnnotationSet, detections: Sequence[Detection]) -> AnnotationSet:
    """Completed detections as annotations, for formats that are corrected by hand; scores are left out."""
    objects = [
        Annotation(number, one.image_id, one.category_id, one.amodal, one.visible, depth_order=one.depth_order)
        for number, one in enumerate(detections, start=1)
        if one.amodal is not None and one.visible is not None
    ]
    return replace(images, annotations=objects)
