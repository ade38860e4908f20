"""COCO numbers and AP by occlusion rate: against pycocotools, against the authors' mechanism, and by hand."""

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.errors import UserError
from amodal.evaluation.analysis import analyse
from amodal.evaluation.matching import coco, records
from amodal.evaluation.matching.mask_kinds import AMODAL
from amodal.evaluation.metrics import occlusion
from amodal.evaluation.metrics.bootstrap import Resampling
from amodal.evaluation.report import Report
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


@pytest.mark.parametrize("masks", ["box", "amodal", "visible"])
@settings(max_examples=25, derandomize=True)
@given(seed=st.integers(0, 2**32 - 1), images=st.integers(1, 15), occluded=st.booleans())
def test_equals_pycocotools(masks: str, seed: int, images: int, occluded: bool) -> None:
    truth, detections = random_data(seed, images=images, occluded=occluded)
    assume(detections and not all(a.is_crowd for a in truth.annotations))
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
    clean = occlusion.clean_filter(truth)
    [found] = records.collect(truth, detections, AMODAL, clean, [column])
    assert records.Records.from_text(found.to_text()).matched.tolist() == found.matched.tolist()
    ours = np.nanmean(Resampling(found).average_precisions(np.ones(len(truth.images), int)))
    outcome = coco.run(truth, detections, AMODAL, clean)
    assert ours == pytest.approx(outcome.average_precision(column), abs=1e-12)


def one_image(*annotations: Annotation) -> AnnotationSet:
    return AnnotationSet(
        [ImageRecord(1, "1.jpg", *SIZE)], list(annotations), [Category(1, "carrot"), Category(2, "mug")]
    )


WHOLE, SEEN = rectangle(10, 10, 10, 20, hidden=8)  # occlusion rate 0.4
ELSEWHERE = rectangle(30, 35, 5, 5)[0]


@pytest.mark.parametrize("seed", range(3))
def test_without_occlusion_amodal_visible_and_pycocotools_agree(seed: int) -> None:
    truth, detections = random_data(seed, occluded=False)
    report = score(truth, detections)
    assert report.amodal == report.visible
    assert report.amodal and report.amodal.ap == pytest.approx(
        reference(truth, detections, "amodal").stats[0], abs=1e-12
    )
    assert report.invisible and report.invisible.ap is None
    assert report.ap_occluded() is None
    assert report.counts.occluded == 0


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_images_and_annotations_is_irrelevant(seed: int) -> None:
    truth, detections = random_data(seed)
    distinct = [replace(d, score=d.score + 1e-4 * place) for place, d in enumerate(detections)]
    turned = replace(truth, images=truth.images[::-1], annotations=truth.annotations[::-1])
    assert score(turned, distinct[::-1]) == score(truth, distinct)


def test_the_rounding_of_rates_at_the_limits() -> None:
    truth = one_image(Annotation(1, 1, 1, WHOLE, SEEN))  # 0.40 exactly belongs to ">= 0.40"
    report = score(truth, [Detection(1, 1, 0.9, amodal=WHOLE, visible=SEEN)])
    assert [s.ap for s in report.occlusion] == pytest.approx([1.0] * 16)


def test_an_unmatched_detection_counts_in_clean_mode_and_hides_in_vrsp_mode() -> None:
    truth = one_image(Annotation(1, 1, 1, WHOLE, SEEN))
    # A false positive that claims to be fully visible stands above the true one.
    detections = [
        Detection(1, 1, 0.9, amodal=ELSEWHERE, visible=ELSEWHERE), Detection(1, 1, 0.5, amodal=WHOLE, visible=SEEN),
    ]  # fmt: skip
    report = score(truth, detections)
    assert report.amodal and report.amodal.ap == pytest.approx(0.5)
    assert report.ap_occluded(mode="clean") == pytest.approx(0.5)
    assert report.ap_occluded(mode="vrsp") == pytest.approx(1.0)
    # Claimed to be half hidden, it is a false positive in both.
    half = replace(detections[0], visible=rle.encode(np.zeros((1, *SIZE), bool))[0])
    assert score(truth, [half, detections[1]]).ap_occluded(mode="vrsp") == pytest.approx(0.5)


def test_an_empty_predicted_mask_is_never_ignored_in_vrsp_mode() -> None:
    truth = one_image(Annotation(1, 1, 1, WHOLE, SEEN))
    empty = rle.encode(np.zeros((1, *SIZE), bool))[0]
    detections = [Detection(1, 1, 0.9, amodal=empty, visible=empty), Detection(1, 1, 0.5, amodal=WHOLE, visible=SEEN)]
    assert np.isnan(occlusion.predicted_visible_ratios(detections)).tolist() == [True, False]
    assert score(truth, detections).ap_occluded(mode="vrsp") == pytest.approx(0.5)


def test_stated_ratios_above_one_count_nowhere_in_vrsp_mode() -> None:
    truth = one_image(Annotation(7, 1, 1, WHOLE, SEEN))
    report = score(truth, [Detection(1, 1, 0.9, amodal=WHOLE, visible=SEEN)], stated_ratios={7: 1.004})
    assert {s.ap for s in report.occlusion if s.mode == "vrsp"} == {None}
    assert report.ap_occluded(mode="clean") == pytest.approx(1.0)


def test_a_duplicate_is_a_false_positive_below_the_first() -> None:
    truth = one_image(Annotation(1, 1, 1, WHOLE, SEEN), Annotation(2, 1, 1, ELSEWHERE, ELSEWHERE))
    found = Detection(1, 1, 0.9, amodal=WHOLE, visible=SEEN)
    last = Detection(1, 1, 0.7, amodal=ELSEWHERE, visible=ELSEWHERE)
    report = score(truth, [found, replace(found, score=0.8), last])
    # Precision 1 up to recall 0.5 (51 of 101 points), then 2/3.
    assert report.amodal and report.amodal.ap == pytest.approx((51 * 1 + 50 * 2 / 3) / 101)
    assert report.amodal.by_category == {"carrot": report.amodal.ap, "mug": None}
    assert report.amodal.ar1 == 0.5


def test_a_crowd_takes_any_number_and_is_not_missed() -> None:
    crowd = Annotation(1, 1, 1, WHOLE, WHOLE, is_crowd=True)
    single = Annotation(2, 1, 1, ELSEWHERE, ELSEWHERE)
    part = rectangle(10, 10, 5, 5)[0]
    detections = [Detection(1, 1, s, amodal=m, visible=m) for s, m in ((0.9, part), (0.8, part), (0.7, ELSEWHERE))]
    report = score(one_image(crowd, single), detections)
    assert report.amodal and report.amodal.ap == pytest.approx(1.0)
    assert report.counts.instances == 1


def test_no_detections_and_no_instances() -> None:
    missed = score(one_image(Annotation(1, 1, 1, WHOLE, SEEN)), [])
    assert missed.amodal and (missed.amodal.ap, missed.amodal.ar100) == (0.0, 0.0)
    nothing = score(one_image(), [Detection(1, 1, 0.9, amodal=WHOLE, visible=SEEN)])
    assert nothing.amodal and nothing.amodal.ap is None
    assert score(one_image(), []).counts.instances == 0


def test_amodal_masks_alone_give_amodal_numbers_alone() -> None:
    report = score(one_image(Annotation(1, 1, 1, WHOLE, SEEN)), [Detection(1, 1, 0.9, amodal=WHOLE)])
    assert (
        report.amodal and report.amodal.ap == pytest.approx(1.0) and report.visible is None and report.invisible is None
    )
    assert report.ap_occluded() == pytest.approx(1.0) and report.ap_occluded(mode="vrsp") is None


def test_invisible_parts_of_visible_objects_are_false_positives() -> None:
    truth = one_image(Annotation(1, 1, 1, WHOLE, SEEN), Annotation(2, 1, 1, ELSEWHERE, ELSEWHERE))
    right = Detection(1, 1, 0.5, amodal=WHOLE, visible=SEEN)
    wrong = Detection(1, 1, 0.9, amodal=ELSEWHERE, visible=rectangle(30, 35, 5, 5, hidden=2)[1])
    report = score(truth, [right, wrong])
    assert report.invisible and report.invisible.ap == pytest.approx(0.5)


def test_report_survives_json() -> None:
    truth, detections = random_data(0)
    report = replace(score(truth, detections), analysis=analyse(truth, detections), about={"data": "val.json"})
    text = json.dumps(report.to_json())
    assert json.dumps(Report.from_json(json.loads(text)).to_json()) == text
    with pytest.raises(UserError, match="not a report"):
        Report.from_json({"counts": {}}, file="x.json")
