"""The page that shows a data set, and the numbers on it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from annotation_files import CUP, JUG, d2sa, image_entry, save, save_image

from amodal.annotations import AnnotationSet
from amodal.commands.data import data_show
from amodal.data import charts, show, statistics
from amodal.errors import UserError
from amodal.formats import annotation_files


@pytest.fixture
def scene(tmp_path: Path) -> AnnotationSet:
    save_image(tmp_path / "a.png")
    return annotation_files.read(save(d2sa(), tmp_path / "scene.json"))


class Page(HTMLParser):
    """Tags in order, checked to be closed, and every address."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.addresses: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.addresses += [value or "" for key, value in attrs if key in ("src", "href")]
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        pass

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_the_page_is_whole_and_needs_nothing_beside_it(scene: AnnotationSet, tmp_path: Path):
    show.write(scene, tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text())
    assert len(page.addresses) == 3  # a picture and two mean shapes
    assert all(address.startswith("data:image/") for address in page.addresses)
    words = " ".join(page.words)
    for part in (
        "Annotations of each category",
        "Occlusion rate",
        "Size",
        "Who covers whom",
        "Mean shape",
        "cup",
        "jug",
    ):
        assert part in words


def test_names_cannot_break_the_page(tmp_path: Path):
    content = d2sa()
    content["categories"] = [{"id": 2, "name": "<script>x</script>"}, {"id": 5, "name": 'a"&b'}]
    content["images"] = [image_entry(10, '"><b>.png')]
    data_show(save(content, tmp_path / "scene.json"), tmp_path / "page.html")
    text = (tmp_path / "page.html").read_text()
    assert "<script" not in text
    assert "<b>" not in text
    Page(text)


def test_empty_sets_and_missing_images_are_shown_too(scene: AnnotationSet, tmp_path: Path):
    show.write(AnnotationSet([], [], []), tmp_path / "empty.html")
    Page((tmp_path / "empty.html").read_text())
    (tmp_path / "a.png").unlink()
    show.write(scene, tmp_path / "page.html")
    assert "no such file" in (tmp_path / "page.html").read_text()
    save_image(tmp_path / "a.png", (3, 3))
    show.write(scene, tmp_path / "page.html")
    assert "the annotations say" in (tmp_path / "page.html").read_text()


def test_a_negative_count_is_refused(scene: AnnotationSet, tmp_path: Path):
    with pytest.raises(UserError, match="negative"):
        show.write(scene, tmp_path / "page.html", -1)


def test_numbers(scene: AnnotationSet):
    np.testing.assert_allclose(statistics.occlusion_rates(scene), [0.5, 0])
    np.testing.assert_allclose(statistics.relative_sizes(scene), np.sqrt([12 / 48, 15 / 48]))
    # One cup is partly hidden, by a jug; nothing hides a jug.
    np.testing.assert_array_equal(statistics.occlusions(scene, [2, 5], 10), [[0, 1], [0, 0]])
    np.testing.assert_array_equal(statistics.occlusions(scene, [2], 10), [[0]])
    np.testing.assert_allclose(statistics.mean_shape(scene, 2, 10, 4), np.ones((4, 4)))  # the cup fills its box
    np.testing.assert_allclose(statistics.mean_shape(scene, 99, 10, 4), np.zeros((4, 4)))


@pytest.mark.parametrize(("count", "wanted", "chosen"), [(0, 5, []), (3, 5, [0, 1, 2]), (9, 3, [0, 4, 8]), (9, 0, [])])
def test_an_even_choice(count: int, wanted: int, chosen: list[int]):
    assert statistics.spread(count, wanted) == chosen


def test_masks_are_drawn_where_they_are(scene: AnnotationSet):
    grey = np.full((6, 8, 3), 100, dtype=np.uint8)
    changed = (show._draw(grey, scene.annotations) != 100).any(axis=2)
    assert (changed & ~(CUP | JUG)).sum() == 0
    assert changed[JUG].all()
    large = show._draw(np.zeros((1000, 700, 3), dtype=np.uint8), [])
    assert large.shape == (334, 234, 3)


def test_charts_draw_their_values():
    text = charts.bars(["a", "b<"], [4, 2])
    lengths = [float(width) for width in re.findall(r'class="bar"[^>]* width="([\d.]+)"', text)]
    assert lengths == [charts.PLOT, charts.PLOT / 2]
    assert "b&lt;" in text
    heights = re.findall(r'height="([\d.]+)"><title>', charts.histogram([1, 0, 2], [0, 1, 2, 3], "x"))
    assert [float(height) for height in heights] == [75, 0, 150]
    shades = re.findall(r'opacity="([\d.]+)"', charts.matrix(["a", "b"], np.array([[0, 4], [1, 0]]), "rows", "columns"))
    assert shades == ["0.00", "1.00", "0.50", "0.00"]
