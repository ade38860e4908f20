"""A model over a data set: masks, labels and ids arrive, in one process as in two."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from amodal import processes, rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.boxed_masks import BoxedMasks
from amodal.commands.evaluate import Running, Written
from amodal.commands.evaluate import evaluate as evaluate_command
from amodal.data.dataset import Sample
from amodal.errors import UserError
from amodal.evaluation.evaluator import LoaderSettings, as_detections, evaluate, predict
from amodal.evaluation.report import Report
from amodal.formats import coco
from amodal.instances import Prediction, Target
from amodal.models.checkpoint import Checkpoint, save
from tests.small_models import small_model, with_method
from tests.training_processes import in_two_processes

MASKS = ("amodal_masks", "visible_masks")


class Squares:
    """Two squares an image, the left one's right part hidden by the right one; the image's brightness is its id."""

    def __init__(self, count: int = 5) -> None:
        self.categories = [Category(4, "front"), Category(7, "back")]
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Sample:
        image = torch.full((3, 16, 24), 10 * index, dtype=torch.uint8)
        return {"image": image, "target": squares(index), "image_id": index}


def squares(index: int) -> Target:
    amodal = torch.zeros(2, 16, 24, dtype=torch.bool)
    amodal[0, 4:12, 8 + index : 16 + index] = True
    amodal[1, 4:12, 4 + index : 12 + index] = True
    visible = amodal.clone()
    visible[1] &= ~amodal[0]
    boxes = torch.tensor([[8.0 + index, 4, 16 + index, 12], [4.0 + index, 4, 12 + index, 12]])
    return {"boxes": boxes, "labels": torch.tensor([1, 2]), "amodal_masks": amodal, "visible_masks": visible}


def knowing(images: list[Tensor]) -> list[Prediction]:
    """The truth, as a prediction."""
    answers: list[Prediction] = []
    for image in images:
        target = squares(int(image[0, 0, 0]) // 10)
        answers.append(
            {
                "boxes": target["boxes"],
                "labels": target["labels"],
                "scores": torch.tensor([0.9, 0.5]),
                "amodal_masks": target["amodal_masks"],
                "visible_masks": target["visible_masks"],
                "amodal_probabilities": torch.full((2, 4, 4), 0.75),
            }
        )
    return answers


def boxed(images: list[Tensor]) -> list[BoxedMasks]:
    """The same with small masks over the boxes; the coarse amodal masks are the visible ones."""
    whole, left = np.ones((2, 4, 4), np.float32), np.ones((2, 4, 4), np.float32)
    left[1, :, 2:] = 0
    return [
        BoxedMasks(*(one[key].numpy() for key in ("boxes", "labels", "scores")), whole, left, left, left)
        for one in knowing(images)
    ]


@pytest.mark.parametrize("model", [knowing, boxed])
def test_a_model_that_knows_the_truth_is_perfect(model) -> None:
    report, detections = evaluate(model, Squares(), loading=LoaderSettings(batch_size=2))
    assert report.amodal and report.visible and report.invisible and report.box
    assert (report.amodal.ap, report.visible.ap, report.invisible.ap, report.box.ap) == (1, 1, 1, 1)
    assert (report.counts.images, report.counts.instances, report.counts.occluded) == (5, 10, 5)
    assert [d.category_id for d in detections] == [4, 7] * 5
    assert [d.image_id for d in detections] == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_coarse_masks_are_scored_apart() -> None:
    report, _ = evaluate(boxed, Squares(), masks="coarse")
    # The front square (unoccluded) is found; the back one's coarse mask is its visible half, IoU 0.5: AP50 only.
    assert report.amodal and report.amodal.by_category == {"front": 1.0, "back": pytest.approx(0.1)}
    assert report.ap_occluded() == pytest.approx(0.1)


def test_a_model_without_coarse_masks_is_refused_them() -> None:
    with pytest.raises(UserError, match="no coarse masks"):
        evaluate(knowing, Squares(), masks="coarse")


def test_answers_to_detections() -> None:
    found = as_detections(boxed([torch.zeros(3, 16, 24)])[0], ImageRecord(3, "", 16, 24), Squares().categories)
    assert [(d.image_id, d.category_id, d.box) for d in found] == [(3, 4, (8, 4, 16, 12)), (3, 7, (4, 4, 12, 12))]
    assert found[1].amodal and found[1].visible
    assert rle.areas([found[1].amodal, found[1].visible]).tolist() == [64, 32]
    pasted, small = (predict(model, Squares()).detections["refined"] for model in (knowing, boxed))
    assert pasted == small


def test_hidden_pixels_are_counted_over_all_images() -> None:
    found = predict(knowing, Squares(), with_invisible=True)
    # In each of five images the back square's hidden half, 4 x 8 pixels; the front one has nothing unseen in its box.
    bins = found.invisible["refined"]
    assert (bins.counts.sum(), bins.right.sum()) == (160, 160)
    # Six of eight rows and three of four columns lie within the outermost cell centres, the rest fades to the border.
    assert bins.counts[7] == 5 * 6 * 3
    assert predict(knowing, Squares()).invisible == {}


def test_batches_and_workers_change_nothing() -> None:
    one = predict(knowing, Squares(), loading=LoaderSettings(batch_size=1))
    three = predict(knowing, Squares(), loading=LoaderSettings(batch_size=3, workers=1))
    assert one == three


def numbers() -> str:
    """What evaluation finds, in the lead process."""
    report, detections = evaluate(knowing, Squares())
    invisible = predict(knowing, Squares(), with_invisible=True).invisible["refined"].calibration()
    return json.dumps([report.to_json(), len(detections), invisible.error], sort_keys=True)


def write_numbers(folder: Path) -> None:
    with processes.joined("cpu"):
        assert processes.world_size() == 2
        (folder / str(processes.rank())).write_text(numbers())


@pytest.mark.slow
def test_two_processes_give_the_numbers_of_one(tmp_path: Path) -> None:
    in_two_processes(write_numbers, tmp_path)
    assert [(tmp_path / rank).read_text() for rank in "01"] == [numbers()] * 2


def test_a_checkpoint_is_evaluated_refined_and_coarse(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    image = ImageRecord(1, "1.png", 64, 80)
    target = squares(0)
    masks = [rle.encode(np.pad(target[key].numpy(), ((0, 0), (0, 48), (0, 56)))) for key in MASKS]
    objects = [Annotation(i + 1, 1, 1 + i, masks[0][i], masks[1][i]) for i in range(2)]
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((64, 80, 3), 90, np.uint8)).save(tmp_path / "images" / "1.png")
    data, model = tmp_path / "annotations.json", tmp_path / "model.safetensors"
    names = [Category(i, name) for i, name in enumerate(("carrot", "mug", "pear"), start=1)]
    coco.write(AnnotationSet([image], objects, names), data)
    config = with_method("vrsp")
    save(model, Checkpoint(small_model(config), config, names))
    for masks_kind in ("refined", "coarse"):
        written = Written(out=tmp_path / f"{masks_kind}.json", detections=tmp_path / "detections.json")
        evaluate_command((model, data), running=Running(masks=masks_kind, device="cpu", workers=0), written=written)
        report = Report.from_json(json.loads((tmp_path / f"{masks_kind}.json").read_text()))
        assert report.visible and report.amodal and report.analysis and report.about["masks"] == masks_kind
        assert report.analysis.invisible_calibration
    assert "amodal masks" in capsys.readouterr().out

    found = [one["category_id"] for one in json.loads((tmp_path / "detections.json").read_text())]
    turned = [Category(1, "pear"), Category(2, "carrot"), Category(3, "mug")]  # the same names under other numbers
    coco.write(AnnotationSet([image], objects, turned), data)
    evaluate_command((model, data), running=Running(masks="coarse", device="cpu", workers=0), written=written)
    numbers = [one["category_id"] for one in json.loads((tmp_path / "detections.json").read_text())]
    assert numbers == [{1: 2, 2: 3, 3: 1}[number] for number in found]

    coco.write(AnnotationSet([image], objects, [*names[:2], Category(3, "fork")]), data)
    with pytest.raises(UserError, match="the model knows no 'fork' and the data have no 'pear'"):
        evaluate_command((model, data), running=Running(device="cpu", workers=0))
    with pytest.raises(UserError, match="no such file"):
        evaluate_command((tmp_path / "none.safetensors", data), running=Running(device="cpu"))
