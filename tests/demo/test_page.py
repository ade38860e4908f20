"""The page: what it does with a picture, and all of it in a real browser."""

import io
import json
import os
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks
from amodal.demo import decoding
from amodal.demo import session as session_module
from amodal.demo.peeling import cut_out, peel
from amodal.demo.session import Session, open_picture
from amodal.drawing.render import Style
from amodal.errors import UserError
from amodal.inference.predictor import Predictor

HEIGHT, WIDTH = 60, 80
STYLE = Style(scale=1, labels=False)


class TwoBars:
    """Finds a standing bar in front of a lying one in any picture, and something faint."""

    categories = (Category(3, "post"), Category(8, "rail / beam"))
    is_class_agnostic = False

    def detect(self, images, *, score_threshold=0.0, coarse=False):
        return [self._found(*image.shape[:2]) for image in images]

    def _found(self, height: int, width: int) -> BoxedMasks:
        scale = np.array([width / WIDTH, height / HEIGHT] * 2, np.float32)
        boxes = np.array([[30, 10, 50, 50], [10, 20, 70, 40], [0, 0, 8, 8]], np.float32) * scale
        amodal = np.ones((3, 28, 28), np.float32)
        visible = amodal.copy()
        visible[1, :, 9:19] = 0
        return BoxedMasks(boxes, np.array([1, 2, 1]), np.array([0.9, 0.6, 0.2], np.float32), amodal, visible)

    def complete(self, image, prompts):
        """All of a box, its right half seen."""
        amodal = np.ones((len(prompts.boxes), 28, 28), np.float32)
        visible = amodal.copy()
        visible[:, :, :14] = 0
        labels, scores = np.ones(len(amodal), np.int64), np.full(len(amodal), 0.5, np.float32)
        return BoxedMasks(prompts.boxes.astype(np.float32), labels, scores, amodal, visible)


PREDICTOR = Predictor(TwoBars())


def write_picture(path: Path, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[:] = (90, 140, 60)
    pixels[size[0] // 3 : 2 * size[0] // 3, size[1] // 8 : 7 * size[1] // 8] = (200, 60, 30)
    pixels[size[0] // 6 : 5 * size[0] // 6, 3 * size[1] // 8 : 5 * size[1] // 8] = (30, 60, 200)
    Image.fromarray(pixels).save(path)
    return path


@pytest.fixture
def opened(tmp_path) -> Session:
    return open_picture(PREDICTOR, write_picture(tmp_path / "a.png"))


def test_the_slider_chooses_objects(opened):
    assert [len(opened.table(score)) for score in (0.05, 0.5, 0.95)] == [3, 2, 0]
    number, name, score, hidden, depth, _ = opened.table(0.5)[1]
    assert (number, name, score, depth) == ("2", "rail / beam", "0.60", "2")
    assert 20 < float(hidden.rstrip("%")) < 50


@pytest.mark.parametrize(
    ("row", "column", "score", "index"),
    [(30, 40, 0.5, 0), (30, 15, 0.5, 1), (55, 5, 0.5, None), (4, 4, 0.5, None), (4, 4, 0.1, 2), (-1, 4, 0.1, None)],
)
def test_a_click_finds_what_is_seen_there(opened, row, column, score, index):
    assert opened.object_at(row, column, score) == index


def test_peeling_shows_the_hidden_part_in_the_objects_colours(opened):
    picture = np.asarray(opened.picture(0.5, STYLE, peeled=1)).astype(int)
    assert np.abs(picture[30, 15] - (200, 60, 30)).max() < 5  # the object itself, undimmed
    assert picture[12, 40].min() > 150  # what covered it is dimmed
    freed = peel(
        opened.pixels, *(np.asarray(masks)[1] for masks in (opened.result.amodal_masks, opened.result.visible_masks))
    )
    assert np.abs(freed[30, 40].astype(int) - (200, 60, 30)).max() < 25
    assert (freed[12, 40] == opened.pixels[12, 40]).all()


def test_an_objects_hidden_part_can_be_seen_alone(opened):
    picture = np.asarray(opened.picture(0.5, Style("invisible", scale=1, labels=False), peeled=1)).astype(int)
    assert np.abs(picture[30, 40] - (200, 60, 30)).max() < 25  # hidden: in the object's own colours, unhatched
    assert picture[30, 15].min() > 150  # seen: dimmed, like all around
    seen = np.asarray(opened.picture(0.5, Style("visible", scale=1, labels=False), peeled=1)).astype(int)
    assert np.abs(seen[30, 15] - (200, 60, 30)).max() < 5
    assert seen[30, 40].min() > 150


def test_what_lies_in_a_box_is_made_whole_and_becomes_an_object(opened, monkeypatch):
    session = session_module.complete(PREDICTOR, opened, (60, 40, 76, 56))
    assert len(session.result) == len(opened.result) + 1
    assert session.result.masks[-1][40:56, 60:76].all()
    assert session.result.masks[-1].sum() == 256
    assert session.table(0.95)[0][3] == "50%"  # half of it is hidden, and no score hides it
    assert session.object_at(50, 74, 0.95) == 3
    monkeypatch.setattr(session_module, "MOST_OBJECTS", 4)
    with pytest.raises(UserError, match="4 objects are enough"):
        session_module.complete(PREDICTOR, session, (0, 0, 5, 5))


def test_peeling_without_anything_hidden_or_anything_seen_changes_nothing():
    pixels = np.random.default_rng(0).integers(0, 255, (9, 9, 3), dtype=np.uint8)
    some = np.zeros((9, 9), bool)
    some[2:5, 2:5] = True
    for amodal, visible in ((some, some), (some, np.zeros_like(some)), (np.zeros_like(some),) * 2):
        assert (peel(pixels, amodal, visible) == pixels).all()
    assert cut_out(pixels, np.zeros_like(some)) is None


def test_downloads(opened, tmp_path):
    content = json.loads(opened.write_coco(tmp_path / "o.json", 0.5).read_text())
    assert [a["category_id"] for a in content["annotations"]] == [3, 8]
    assert content["images"] == [{"id": 1, "height": HEIGHT, "width": WIDTH}]
    with zipfile.ZipFile(opened.write_cut_outs(tmp_path / "o.zip", 0.5)) as archive:
        names = archive.namelist()
        whole = np.asarray(Image.open(io.BytesIO(archive.read("002-rail---beam-amodal.png"))))
        seen = np.asarray(Image.open(io.BytesIO(archive.read("002-rail---beam-visible.png"))))
    assert names == [
        f"00{n}-{name}-{kind}.png" for n, name in ((1, "post"), (2, "rail---beam")) for kind in ("visible", "amodal")
    ]
    assert whole.shape == seen.shape == (20, 60, 4)
    assert (whole[:, :, 3] == 255).all()
    assert (seen[:, 25:35, 3] == 0).all()


def test_uploads_have_limits(tmp_path, monkeypatch):
    path = write_picture(tmp_path / "a.png")
    monkeypatch.setattr(session_module, "MOST_PIXELS", 1000)
    with pytest.raises(UserError, match=r"4,800 pixels. At most 1,000"):
        open_picture(PREDICTOR, path)
    monkeypatch.setattr(session_module, "MOST_BYTES", 10)
    with pytest.raises(UserError, match="larger than"):
        open_picture(PREDICTOR, path)
    monkeypatch.undo()
    monkeypatch.setattr(session_module, "WORKING_SIDE", 40)
    assert open_picture(PREDICTOR, path).result.size == (30, 40)
    path.write_text("no picture")
    with pytest.raises(UserError, match="cannot be read as an image") as caught:
        open_picture(PREDICTOR, path)
    assert "/" not in str(caught.value)  # whoever reads it is somewhere else


@pytest.mark.parametrize(("name", "limit"), [("SECONDS", 0.01), ("MEMORY", 2**20)])
def test_reading_a_picture_has_limits_of_time_and_memory(tmp_path, monkeypatch, name, limit):
    path = write_picture(tmp_path / "a.png", (1500, 2000))
    monkeypatch.setattr(decoding, name, limit)
    with pytest.raises(UserError, match="longer than 0.01 s" if name == "SECONDS" else "cannot be read"):
        decoding.decode(path, 10**7, 100)


def chromium() -> str | None:
    return os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")


def check_downloads(page) -> None:
    with page.expect_download() as caught:
        page.locator("#coco").click()
    assert [a["category_id"] for a in json.loads(Path(caught.value.path()).read_text())["annotations"]] == [3, 8]
    with page.expect_download() as caught:
        page.locator("#cut-outs").click()
    with zipfile.ZipFile(caught.value.path()) as archive:
        assert len(archive.namelist()) == 4


def check_layout(page, width: int) -> None:
    """On a phone the result is right under the picture, on a desk beside it; nothing is wider than the screen."""
    given, found, settings = (page.locator(name).bounding_box() for name in ("#given", "#found", "#settings"))
    if width < 900:
        assert 0 <= found["y"] - given["y"] - given["height"] < 40
        assert settings["y"] > found["y"]
    else:
        assert found["x"] > given["x"] + given["width"]
        assert abs(found["y"] - given["y"]) < 5
        assert 0 <= settings["y"] - given["y"] - given["height"] < 40
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    if folder := os.environ.get("PAGE_PICTURES"):  # to be looked at by a person
        page.screenshot(path=f"{folder}/page-{width}.png", full_page=True)


def check_box(page, shown, expect, width: int) -> None:
    """Two clicks have what lies between them made whole."""
    page.locator("#touch").get_by_text("Marks a corner").click()
    shown.scroll_into_view_if_needed()  # on a phone the choice is below the picture
    for across, down in ((0.8, 0.7), (0.95, 0.95)):
        before, box = shown.get_attribute("src"), shown.bounding_box()
        page.mouse.click(box["x"] + box["width"] * across, box["y"] + box["height"] * down)
        expect(shown).not_to_have_attribute("src", before)
    expect(page.locator("#table")).to_contain_text("1.00")
    if folder := os.environ.get("PAGE_PICTURES"):
        page.screenshot(path=f"{folder}/box-{width}.png", full_page=True)


def wait_for_pixel(page, across: float, down: float, condition: str) -> None:
    """Waits until the shown picture's pixel at a place (as shares of its sides) fulfils a condition on `red`."""
    page.wait_for_function(
        """([across, down, condition]) => {
            const image = document.querySelector('#picture img'), canvas = document.createElement('canvas');
            [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
            const context = canvas.getContext('2d');
            context.drawImage(image, 0, 0);
            const [red] = context.getImageData(across * canvas.width, down * canvas.height, 1, 1).data;
            return eval(condition);
        }""",
        arg=[across, down, condition],
    )


@pytest.mark.slow
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.filterwarnings("ignore")  # Gradio's and its parts' own
def test_in_a_browser(tmp_path, width):
    """Upload, slider, choice, click, click again, downloads, and a file that is no picture."""
    pytest.importorskip("gradio")
    sync_api = pytest.importorskip("playwright.sync_api")
    browser_path = chromium()
    if browser_path is None:
        pytest.skip("no Chromium (apt-get install chromium)")
    from amodal.demo.page import serving

    with serving(PREDICTOR, port=0) as address, sync_api.sync_playwright() as playwright:
        assert address.startswith("http://127.0.0.1:")
        sync_api.expect.set_options(timeout=60_000)  # a busy machine
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 1200})
        page.set_default_timeout(60_000)
        foreign: list[str] = []
        page.on(
            "request",
            lambda request: (
                foreign.append(request.url) if not request.url.startswith((address, "data:", "blob:")) else None
            ),
        )
        page.goto(address)
        page.get_by_text("This model knows post, rail / beam.").wait_for()
        for name in ("#coco", "#cut-outs"):
            sync_api.expect(page.locator(name)).to_be_disabled()
        upload = page.locator("#upload input[type=file]")
        upload.set_input_files(str(write_picture(tmp_path / "a.png")))
        shown = page.locator("#picture img")
        shown.wait_for()
        sync_api.expect(page.locator("#table")).to_contain_text("rail / beam")

        check_layout(page, width)
        check_downloads(page)
        page.locator("#show").get_by_text("Invisible only").click()
        wait_for_pixel(page, 0.2, 0.5, "red > 190")  # the rail's own colour, untinted
        page.locator("#show").get_by_text("Visible and invisible").click()
        wait_for_pixel(page, 0.2, 0.5, "red < 160")
        box = shown.bounding_box()
        assert box is not None
        for expected in ("red > 190", "red < 100"):  # the background: dimmed after a click, as it was after another
            page.wait_for_timeout(500)  # a click is lost while the picture before it is still being put in its place
            page.mouse.click(box["x"] + box["width"] * 0.2, box["y"] + box["height"] * 0.5)
            wait_for_pixel(page, 0.02, 0.9, expected)
        check_box(page, shown, sync_api.expect, width)
        slider = page.locator("#score input[type=range]")
        slider.focus()
        slider.press("End")
        slider.dispatch_event("pointerup")
        sync_api.expect(page.locator("#table")).not_to_contain_text("rail / beam")

        (tmp_path / "b.png").write_text("no picture")
        page.locator("#upload button[aria-label*='lear'], #upload button[aria-label*='emove']").first.click()
        upload.set_input_files(str(tmp_path / "b.png"))
        page.locator(".toast-wrap").get_by_text("cannot be read as an image", exact=False).first.wait_for()
        browser.close()
        assert foreign == []
