"""What a trained detector finds, as files that every program for evaluation reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from amodal import rle
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.files import write_json
from amodal.formats import coco
from amodal.inference.model_files import model_file
from amodal.models import checkpoint
from benchmarks.photographs import open_sets


def write(folder: Path, photographs: Path, files: tuple[str, str, str]) -> tuple[int, int]:
    """The packaged detector's detections, all of them, on the validation photographs as they are.

    Args:
        folder: Takes the files.
        photographs: Folder of the photographs' annotations.
        files: Names of the truth, of the results of boxes and of those of masks (the visible ones).

    Returns:
        The numbers of images and of detections.
    """
    samples = open_sets(photographs)["photographs as they are"]
    model = checkpoint.load(model_file("photos")).model
    predicted = predict(model.detect, samples, loading=LoaderSettings(workers=0))
    images = [replace(image, file_name=f"{image.id}.jpg") for image in predicted.truth.images]
    coco.write_plain(replace(predicted.truth, images=images), folder / files[0], "visible")
    boxes, masks = [], []
    for found in predicted.detections["refined"]:
        assert found.visible is not None
        box = rle.boxes([found.visible])[0].tolist()
        one = {
            "image_id": found.image_id,
            "category_id": found.category_id,
            "bbox": box,
            "score": float(np.float32(found.score)),
        }
        boxes.append(one)
        masks.append(one | {"segmentation": rle.to_json(found.visible)})
    write_json(folder / files[1], boxes)
    write_json(folder / files[2], masks)
    return len(predicted.truth.images), len(boxes)
