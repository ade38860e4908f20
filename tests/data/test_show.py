"""The page that shows a data set, and the numbers on it."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Detection
from amodal.commands.data import data_show
from amodal.data import show, statistics
from amodal.drawing import charts
from amodal.errors import UserError
from amodal.formats import annotation_files
from amodal.results import drawn
from tests.annotation_files import CUP, JUG, d2sa, image_entry, save, save_image


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


def test_masks_are_drawn_where_they_are():
    cup, jug = (np.kron(mask, np.ones((16, 16), dtype=bool)) for mask in (CUP, JUG))
    objects = [
        Annotation(1 + place, 1, 1, *rle.encode(np.stack([mask, mask]))) for place, mask in enumerate((cup, jug & ~cup))
    ]
    grey = np.full((*cup.shape, 3), 100, dtype=np.uint8)
    picture = np.asarray(drawn.picture(grey, objects, 480)).astype(int)
    changed = np.abs(picture - 100).max(axis=2) > 25
    assert (changed == (cup | jug)).mean() > 0.99
    assert np.abs(picture[40, 24] - picture[40, 88]).max() > 25, "another object, another colour"
    large = drawn.picture(np.zeros((1000, 700, 3), dtype=np.uint8), [], 480)
    assert large.size == (336, 480)
    half = np.asarray(drawn.picture(grey, objects, 64).resize(cup.shape[::-1])).astype(int)
    assert ((np.abs(half - 100).max(axis=2) > 25) == (cup | jug)).mean() > 0.9


def test_an_object_is_drawn_by_the_masks_that_it_has(scene: AnnotationSet):
    grey = np.full((6, 8, 3), 100, dtype=np.uint8)
    cup, _ = scene.annotations
    nothing, whole, seen, both = (
        np.asarray(drawn.picture(grey, [Detection(1, 1, 0.9, None, *masks)], 480))
        for masks in ((None, None), (cup.amodal, None), (None, cup.visible), (cup.amodal, cup.visible))
    )
    assert np.array_equal(nothing, grey)
    assert not np.array_equal(whole, seen) and not np.array_equal(whole, both) and not np.array_equal(seen, both)


def test_charts_draw_their_values():
    text = charts.bars(["a", "b<"], [4, 2])
    lengths = [float(width) for width in re.findall(r'class="bar"[^>]* width="([\d.]+)"', text)]
    assert lengths == [charts.PLOT, charts.PLOT / 2]
    assert "b&lt;" in text
    shares = charts.bars(["a", "b"], [0.5, None], longest=1.0, number="{:.0%}".format)
    assert "50%" in shares and ">-<" in shares
    assert re.findall(r'class="bar"[^>]* width="([\d.]+)"', shares) == [f"{charts.PLOT / 2:.1f}", "0.0"]
    heights = re.findall(r'height="([\d.]+)"><title>', charts.histogram([1, 0, 2], [0, 1, 2, 3], "x"))
    assert [float(height) for height in heights] == [75, 0, 150]
    shades = re.findall(
        r'opacity="([\d.]+)"', charts.matrix(["a", "b"], ["c", "d"], np.array([[0, 4], [1, 0]]), "what")
    )
    assert shades == ["0.00", "1.00", "0.50", "0.00"]
