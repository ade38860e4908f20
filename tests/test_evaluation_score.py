"""COCO numbers and AP by occlusion rate: against pycocotools, against the authors' mechanism, and by hand."""

import contextlib
import io

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.evaluation import coco, occlusion, records
from amodal.evaluation.score import score

SIZE = (40, 50)


def random_data(seed: int, *, occluded: bool = True, images: int = 12) -> tuple[AnnotationSet, list[Detection]]:
    """Random rectangles, some hidden at one side; detections are the same rectangles moved, with equal scores too."""
    rng = np.random.default_rng(seed)
    records = [ImageRecord(int(i), f"{i}.jpg", *SIZE) for i in rng.permutation(images) + 3]
    annotations: list[Annotation] = []
    detections: list[Detection] = []
    for image in records:
        for _ in range(rng.integers(0, 6)):
            category, box = int(rng.choice([2, 5, 9])), rng.integers(2, 24, 4)
            hidden = int(rng.integers(0, box[3])) if occluded and rng.random() < 0.7 else 0
            amodal, visible = rectangle(*box, hidden)
            crowd = bool(rng.random() < 0.1)
            annotations.append(Annotation(len(annotations) + 1, image.id, category, amodal, visible, is_crowd=crowd))
            for _ in range(rng.integers(0, 4)):
                moved = np.maximum(box + rng.integers(-2, 3, 4), 1)
                guess = max(0, hidden + int(rng.integers(-3, 4))) if occluded else 0
                masks = rectangle(*moved, guess)
                other = int(rng.choice([2, 5, 9])) if rng.random() < 0.2 else category
                detections.append(
                    Detection(image.id, other, round(float(rng.random()), 1), amodal=masks[0], visible=masks[1])
                )
    return AnnotationSet(records, annotations, [Category(c, str(c)) for c in (2, 5, 9)]), detections


def rectangle(top: int, left: int, height: int, width: int, hidden: int = 0) -> tuple[rle.Rle, rle.Rle]:
    """A rectangle and what is left of it without its first `hidden` columns."""
    masks = np.zeros((2, *SIZE), dtype=bool)
    masks[0, top : top + height, left : left + width] = True
    masks[1, top : top + height, left + hidden : left + width] = True
    amodal, visible = rle.encode(masks)
    return amodal, visible


def reference(truth: AnnotationSet, detections: list[Detection], masks: str, *, vrsp: bool = False) -> COCOeval:
    """pycocotools; with `vrsp` made to do what the authors' changed copy does: ratios in `area`, ranges of them."""
    key = "amodal" if masks == "box" else masks
    ratios = occlusion.visible_ratios(truth)
    with contextlib.redirect_stdout(io.StringIO()):
        gt, results = COCO(), []
        gt.dataset = {
            "images": [{"id": i.id, "height": i.height, "width": i.width} for i in truth.images],
            "categories": [{"id": c.id} for c in truth.categories],
            "annotations": [
                {
                    "id": a.id, "image_id": a.image_id, "category_id": a.category_id, "iscrowd": int(a.is_crowd),
                    "segmentation": getattr(a, key), "bbox": rle.boxes([a.amodal])[0].tolist(), "area": 1.0,
                }
                for a in truth.annotations
            ],
        }  # fmt: skip
        gt.createIndex()
        for d in detections:
            mask = getattr(d, key)
            shape = {"bbox": rle.boxes([mask])[0].tolist()} if masks == "box" else {"segmentation": mask}
            results.append({"image_id": d.image_id, "category_id": d.category_id, "score": d.score, **shape})
        dt = gt.loadRes(results)
        evaluation = COCOeval(gt, dt, "bbox" if masks == "box" else "segm")
        if vrsp:
            for annotation, ratio in zip(gt.dataset["annotations"], ratios, strict=True):
                annotation["area"] = ratio
            for found, d in zip(dt.dataset["annotations"], detections, strict=True):
                amodal, visible = rle.decode([d.amodal, d.visible], SIZE)
                with np.errstate(invalid="ignore"):
                    found["area"] = np.float64((amodal & visible).sum()) / np.float64(amodal.sum())
            evaluation.params.areaRng = [[0, 1.0], [0, 0.85], [0, 0.75], [0, 0.60]]
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return evaluation


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("masks", ["box", "amodal", "visible"])
def test_equals_pycocotools(seed: int, masks: str) -> None:
    truth, detections = random_data(seed)
    scores = getattr(score(truth, detections), masks)
    ours = [scores.ap, scores.ap50, scores.ap75, scores.ar1, scores.ar10, scores.ar100]
    assert ours == pytest.approx(reference(truth, detections, masks).stats[[0, 1, 2, 6, 7, 8]], abs=1e-12)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("masks", ["amodal", "visible"])
def test_vrsp_mode_is_the_authors_evaluator_to_the_bit(seed: int, masks: str) -> None:
    truth, detections = random_data(seed)
    rows = [s for s in score(truth, detections).occlusion if s.mode == "vrsp" and s.masks == masks]
    stats = reference(truth, detections, masks, vrsp=True).stats
    assert [r.ap for r in rows] == [None if s < 0 else s for s in stats[[0, 3, 4, 5]]]
    assert [r.ar100 for r in rows] == [None if s < 0 else s for s in stats[[8, 9, 10, 11]]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("column", ["all", occlusion.column(0.15)])
def test_ap_from_match_records_is_the_evaluators(seed: int, column: str) -> None:
    truth, detections = random_data(seed)
    clean = occlusion.clean_grading(truth)
    found = records.collect(truth, detections, coco.AMODAL, clean, column)
    assert records.Records.from_text(found.to_text()).matched.tolist() == found.matched.tolist()
    ours = np.nanmean(records.average_precisions(found, np.ones(len(truth.images))))
    outcome = coco.run(truth, detections, coco.AMODAL, clean)
    assert ours == pytest.approx(outcome.average_precision(column), abs=1e-12)
