"""Results files, their errors, the commands and the page."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from amodal import rle
from amodal.annotations import AnnotationSet, Detection
from amodal.cli import main
from amodal.commands.compare import compare
from amodal.commands.evaluate import Running, Scored, Written, evaluate
from amodal.errors import UserError
from amodal.evaluation.analysis import analyse
from amodal.evaluation.matching.pairs import assign
from amodal.evaluation.metrics.calibration import Bins
from amodal.evaluation.metrics.occlusion import stated_visible_ratios
from amodal.evaluation.report import Report
from amodal.evaluation.report_page import gallery, html
from amodal.evaluation.score import score
from amodal.formats import coco
from amodal.results import result_files
from tests.every_metric.test_by_hand import FRONT, LEFT, LEFT_SEEN, RIGHT, TRUTH, found

DETECTIONS = [
    Detection(1, 3, 0.9, (0.0, 0.0, 4.0, 2.0), LEFT, LEFT_SEEN, depth_order=1),
    Detection(1, 5, 0.8, (2.0, 0.0, 6.0, 2.0), RIGHT, RIGHT, depth_order=0),
    Detection(1, 5, 0.1, amodal=LEFT, visible=LEFT),
]


def test_results_survive_a_file(tmp_path: Path) -> None:
    for detections in (DETECTIONS, []):
        result_files.write(detections, tmp_path / "results.json")
        assert result_files.read(tmp_path / "results.json", TRUTH) == detections


def test_results_are_cocos(tmp_path: Path) -> None:
    result_files.write(DETECTIONS[:1], tmp_path / "results.json")
    [record] = json.loads((tmp_path / "results.json").read_text())
    assert record["bbox"] == [0, 0, 4, 2]
    assert record["segmentation"] == {"size": [2, 6], "counts": LEFT["counts"].decode()}


def test_ordinary_instance_segmentation_is_read_as_visible(tmp_path: Path) -> None:
    polygon = [[0.0, 0, 2, 0, 2, 2, 0, 2]]
    record = {"image_id": 1, "category_id": 3, "score": 1, "segmentation": polygon}
    (tmp_path / "results.json").write_text(json.dumps([record]))
    [detection] = result_files.read(tmp_path / "results.json", TRUTH, segmentation="visible")
    assert detection.amodal is None and detection.visible
    report = score(TRUTH, [detection])
    assert report.amodal is None and report.box is None and report.visible and report.visible.by_category["carrot"]


GOOD: dict[str, Any] = {"image_id": 1, "category_id": 3, "score": 0.5, "segmentation": rle.to_json(LEFT)}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"annotations": []}, "not COCO results"),
        ([GOOD, {**GOOD, "image_id": 9}], "detection 1: image 9 is not in the data set"),
        ([{**GOOD, "category_id": 9}], "detection 0: category 9 is not in the data set"),
        ([{k: v for k, v in GOOD.items() if k != "score"}], "detection 0: no 'score'"),
        ([{**GOOD, "score": float("nan")}], "its score is not a number"),
        ([{**GOOD, "score": "high"}], "could not convert"),
        ([{**GOOD, "segmentation": {"size": [6, 2], "counts": "0"}}], r"mask size \[6, 2\] is not the image's"),
        ([{**GOOD, "segmentation": {"size": [2, 6], "counts": "damaged"}}], "detection 0"),
        ([{k: v for k, v in GOOD.items() if k != "segmentation"}], "neither a box nor a mask"),
        ([GOOD, {**GOOD, "segmentation": None, "bbox": [0, 0, 1, 1]}], "detection 1: no amodal mask, while other"),
        ([5], "detection 0"),
        ([{**GOOD, "image_id": [1]}], "detection 0"),
        ([{**GOOD, "bbox": [1, 2]}], "detection 0"),
        ([GOOD, {**GOOD, "bbox": [5, 1, -3, 1]}], "detection 1: its box is -3 wide and 1 high: COCO's boxes are"),
    ],
)
def test_bad_results_are_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps(content))
    with pytest.raises(UserError, match=message) as error:
        result_files.read(path, TRUTH)
    assert str(error.value).startswith(str(path)) and error.value.remedy


def test_a_mask_of_another_size_and_an_empty_data_set_are_refused() -> None:
    small = rle.encode(np.ones((1, 2, 2), dtype=bool))[0]
    with pytest.raises(UserError, match="detection 0: its mask is 2 x 2, its image 2 x 6"):
        score(TRUTH, [found(small, None)])
    with pytest.raises(UserError, match="no images"):
        score(AnnotationSet([], [], []), [])


def test_visible_ratios_are_taken_as_the_file_states_them(tmp_path: Path) -> None:
    records = [
        {"id": 1, "occlude_rate": 0.25}, {"id": 2, "inmodal_seg": rle.to_json(LEFT_SEEN), "area": 3.5},
        {"id": 3, "area": 8},
    ]  # fmt: skip
    common = {"image_id": 1, "category_id": 3, "segmentation": rle.to_json(LEFT), "bbox": [0, 0, 4, 2]}
    image = {"id": 1, "file_name": "1.png", "height": 2, "width": 6}
    content = {"images": [image], "categories": [{"id": 3, "name": "carrot"}]}
    path = tmp_path / "a.json"
    path.write_text(json.dumps(content | {"annotations": [common | record for record in records]}))
    assert stated_visible_ratios(path) == {1: 0.75, 2: 4 / 3.5}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """TRUTH as files, with its image, and detections beside it."""
    (tmp_path / "images").mkdir()
    Image.fromarray(np.full((2, 6, 3), 200, np.uint8)).save(tmp_path / "images" / "1.jpg")
    coco.write(TRUTH, tmp_path / "annotations.json")
    result_files.write(DETECTIONS, tmp_path / "good.json")
    result_files.write(DETECTIONS[1:], tmp_path / "worse.json")
    return tmp_path


def test_evaluate_and_compare_from_files(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("good", "worse"):
        written = Written(out=data / f"{name}-report.json", html=data / f"{name}.html", detections=data / "again.json")
        evaluate((data / "annotations.json",), Scored(predictions=data / f"{name}.json"), Running(), written)
    assert result_files.read(data / "again.json", TRUTH) == DETECTIONS[1:]
    report = Report.from_json(json.loads((data / "good-report.json").read_text()))
    assert report.amodal and report.amodal.by_category == pytest.approx({"carrot": 1.0, "mug": 1.0})
    assert "amodal masks" in capsys.readouterr().out
    reports = (data / "good-report.json", data / "worse-report.json")
    compare(reports, resamples=10, out=data / "differences.json")
    assert json.loads((data / "differences.json").read_text())[0]["difference"] == pytest.approx(-0.5)


def test_for_a_script_standard_output_is_json_alone(
    data: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(data)
    main(["evaluate", "--predictions", "good.json", "annotations.json", "--json", "-"])
    shown, said = capsys.readouterr()
    report = Report.from_json(json.loads(shown))
    assert report.amodal and report.amodal.ap == pytest.approx(1.0)
    assert "amodal masks" in said
    main(["evaluate", "--predictions", "good.json", "annotations.json", "--json", "report.json"])
    assert json.loads(Path("report.json").read_text()) == json.loads(shown)
    Path("other.json").write_text(shown)
    capsys.readouterr()
    main(["compare", "report.json", "other.json", "--resamples", "2", "--json", "-"])
    assert json.loads(capsys.readouterr().out)[0]["difference"] == 0
    assert not Path("-").exists()


def test_the_commands_name_what_is_missing(data: Path) -> None:
    with pytest.raises(UserError, match="0 paths given"):
        evaluate(())
    with pytest.raises(UserError, match=r"2 paths given.*DATA alone"):
        evaluate((data, data), Scored(predictions=data / "good.json"))
    with pytest.raises(UserError, match="no such file"):
        evaluate((data / "annotations.json",), Scored(predictions=data / "none.json"))
    with pytest.raises(UserError, match="not a report"):
        compare((data / "annotations.json", data / "good.json"))


def test_the_page_holds_all_and_refers_to_nothing(data: Path) -> None:
    named = replace(TRUTH, categories=[replace(c, name=f"<{c.name}>") for c in TRUTH.categories])
    report = replace(score(named, DETECTIONS), analysis=analyse(named, DETECTIONS))
    html.write(report, named, DETECTIONS[1:], data / "page.html")
    page = (data / "page.html").read_text()
    parts = [
        "Average precision and recall",
        "By occlusion rate",
        "What is lost where",
        "Curves",
        "precision and recall of amodal masks",
        "Beyond AP",
        "Categories and confusions",
        "The worst failures",
        "Missed",
    ]
    assert [page.index(part) for part in parts] == sorted(page.index(part) for part in parts)
    for part in ("&lt;carrot&gt;", "<svg", "<img"):
        assert part in page
    assert "Calibration of invisible pixels is measured of a checkpoint only" in page
    assert "<carrot>" not in page
    assert "http" not in page and "<script" not in page and 'src="data:image/jpeg' in page


def test_the_page_shows_the_calibration_of_a_models_hidden_pixels(data: Path) -> None:
    analysis = analyse(TRUTH, DETECTIONS, Bins.of([0.25, 0.75], [False, True]))
    html.write(replace(score(TRUTH, DETECTIONS), analysis=analysis), TRUTH, DETECTIONS, data / "page.html")
    page = (data / "page.html").read_text()
    assert "calibration error of invisible pixels, 2 of them</td><td>25.0" in page
    assert "measured of a checkpoint only" not in page


def piled(detections: list[dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> result_files.Detections:
    """Read in the smallest pieces that there are."""
    monkeypatch.setattr(result_files, "CHARACTERS_AT_ONCE", 40)
    (tmp_path / "results.json").write_text(json.dumps(detections, indent=1))
    return result_files.read(tmp_path / "results.json", TRUTH)


def test_results_are_read_in_pieces_cut_between_detections(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = [result_files.to_json(d) for d in DETECTIONS for _ in range(5)]
    whole = piled(records, tmp_path, monkeypatch)
    assert whole == [d for d in DETECTIONS for _ in range(5)]
    assert whole[1:7:2] == list(whole)[1:7:2]
    # What looks like the end of a detection and is none: in a text, and in a list of objects.
    odd = [r | {"note": 'a }, {"b": 1}', "parts": [{"a": 1}, {"b": 2}, {"c": [{"d": 1}, {}]}]} for r in records]
    assert piled(odd, tmp_path, monkeypatch) == whole
    records[7]["score"] = "high"
    with pytest.raises(UserError, match="detection 7: could not convert"):
        piled(records, tmp_path, monkeypatch)


def test_the_worst_failures() -> None:
    swapped = [found(LEFT, LEFT), Detection(1, 5, 0.9, amodal=RIGHT, visible=rle.subtract(RIGHT, LEFT))]
    assert [f.caption for f in gallery.worst(TRUTH, list(assign(TRUTH, swapped)))["swapped"]] == [
        "mug is in front of carrot"
    ]
    missed = gallery.worst(TRUTH, list(assign(TRUTH, [])))["misses"]
    assert [f.truths[0].id for f in missed] == [FRONT.id, 1]  # the larger visible part first
    whole = rle.encode(np.ones((1, 2, 6), dtype=bool))[0]
    [hidden] = gallery.worst(TRUTH, list(assign(TRUTH, [found(whole, LEFT_SEEN)])))["false_invisible"]
    assert hidden.badness == 4
    assert gallery.picture(hidden, TRUTH, hidden.detections).size == (6, 2)
