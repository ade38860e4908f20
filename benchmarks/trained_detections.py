"""What a trained detector finds, as files that every program for evaluation reads."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from amodal import rle
from amodal.evaluation.evaluator import LoaderSettings, predict
from amodal.files import write_json
from amodal.formats import coco
from amodal.inference.model_files import model_file
from amodal.models import checkpoint
from benchmarks.evaluation import KINDS, TRUTH
from benchmarks.photographs import open_sets


def write(folder: Path, photographs: Path) -> tuple[int, int]:
    """The packaged detector's detections, all of them, on the validation photographs as they are.

    Args:
        folder: Takes the files, as `evaluation.write_data` names them; masks are the visible ones.
        photographs: Folder of the photographs' annotations.

    Returns:
        The numbers of images and of detections.
    """
    torch.set_num_threads(1)
    samples = open_sets(photographs)["photographs as they are"]
    model = checkpoint.load(model_file("photos")).model
    predicted = predict(model.detect, samples, loading=LoaderSettings(workers=0))
    images = [replace(image, file_name=f"{image.id}.jpg") for image in predicted.truth.images]
    coco.write_plain(replace(predicted.truth, images=images), folder / TRUTH, "visible")
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
    for kind, content in zip(KINDS, (boxes, masks), strict=True):
        write_json(folder / f"{kind}.json", content)
    return len(predicted.truth.images), len(boxes)
