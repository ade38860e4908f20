"""The report's page: what it says of its numbers, and in a real browser how it uses a wide screen and a narrow one."""

from dataclasses import replace
from pathlib import Path

import pytest

from amodal.evaluation import comparable
from amodal.evaluation.analysis import analyse
from amodal.evaluation.comparable import standings
from amodal.evaluation.report import Report
from amodal.evaluation.report_page import html
from amodal.evaluation.score import score
from tests.demo.test_page import chromium
from tests.every_metric.test_independently import as_data, scenes


@pytest.fixture
def page(tmp_path: Path) -> Path:
    truth, detections = as_data(scenes(0))
    report = replace(score(truth, detections), analysis=analyse(truth, detections), about={"masks": "refined"})
    html.write(report, truth, detections, tmp_path / "report.html")
    return tmp_path / "report.html"


def test_every_number_says_what_it_may_be_compared_with(page: Path):
    text = page.read_text()
    assert "the model&#x27;s final masks" in text
    assert text.count("beside published") == 3
    for name in ("amodal masks", "amodal, vrsp", "mIoU", "depth order", "recall"):
        assert standings({})[name].in_short.replace("'", "&#x27;") in text, name
    truth, detections = as_data(scenes(0))
    report = score(truth, detections)
    content = report.to_json()
    assert content["comparable"].keys() == standings({}).keys()
    assert content["comparable"]["amodal, vrsp"]["comparable_with"].startswith("AP(Occluded)")
    assert content["comparable"]["amodal, clean"]["comparable_with"] is None
    assert {one.beside for one in standings({"masks": "coarse"}).values()} == {""}, "papers give final masks' numbers"
    assert Report.from_json(content) == report


def test_which_masks_were_scored():
    assert comparable.masks_of({"masks": "coarse"}) == "the model's masks before its shape prior"
    assert comparable.masks_of({"masks": "visible masks of the file"}) == "visible masks of the file"
    assert comparable.masks_of({}) == "the masks that were given"


def test_the_answer_is_on_the_first_screen_and_a_phone_is_no_narrower_than_the_page(page: Path):
    sync_api = pytest.importorskip("playwright.sync_api")
    browser_path = chromium()
    if browser_path is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        wide = browser.new_page(viewport={"width": 1280, "height": 900})
        wide.goto(page.as_uri())
        answer = wide.locator(".halves").first.bounding_box()
        tables = [wide.locator(".halves").first.locator("table").nth(place).bounding_box() for place in range(3)]
        narrow = browser.new_page(viewport={"width": 390, "height": 844})
        narrow.goto(page.as_uri())
        width = narrow.evaluate("document.documentElement.scrollWidth")
        browser.close()
    assert answer is not None
    assert answer["width"] > 0.9 * 1280
    assert all(table is not None and table["y"] + table["height"] < 900 for table in tables)
    assert width <= 390
