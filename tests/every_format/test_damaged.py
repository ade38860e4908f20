"""2,000 damaged annotation files: each is read, or gives one clear line; nothing else ever happens."""

import copy
import json
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from benchmarks.fuzz.mutators import damage, places

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.errors import UserError
from amodal.formats import annotation_files, check
from amodal.formats.label_studio_brush import encode
from tests.annotation_files import CUP, aistron, cocoa, d2sa, image_entry, kins, kins2020, labelme, save_image

FILES = 2000
SINGLE = {"id": 1, "image_id": 10, "url": "http://x/a.png", "regions": cocoa()["annotations"][0]["regions"]}
SA1B = {"image": {"image_id": 10, **image_entry()}, "annotations": d2sa()["annotations"]}
PANOPTIC = d2sa() | {
    "annotations": [{"image_id": 10, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 2}]}]
}
REGION = {"id": "r", "type": "polygonlabels", "original_width": 8, "original_height": 6}
VALUE = {"points": [[10, 10], [50, 10], [50, 50]], "polygonlabels": ["cup"]}
BRUSH = {"type": "brushlabels", "value": {"rle": encode(CUP), "brushlabels": ["jug_amodal"]}}
TASK = {"id": 10, "data": {"image": "a.png"}, "annotations": [{"result": [REGION | {"value": VALUE}, REGION | BRUSH]}]}
WHOLE: list[Any] = [d2sa(), kins(), kins2020(), aistron(), cocoa(), labelme(), SINGLE, SA1B, PANOPTIC, [TASK]]


def damaged_text(rng: random.Random) -> str:
    """A damaged file: usually whole JSON with wrong content, sometimes cut or with a wrong character."""
    tree = copy.deepcopy(rng.choice(WHOLE))
    for _ in range(rng.choice([1, 1, 1, 2, 5])):
        if places(tree):
            damage(tree, rng)
    text = json.dumps(tree)
    at = rng.randrange(len(text))
    return rng.choices([text, text[:at], text[:at] + rng.choice('{}[],:"x0') + text[at + 1 :]], [8, 1, 1])[0]


def assert_sound(result: AnnotationSet) -> None:
    images = {image.id: image for image in result.images}
    assert len({a.id for a in result.annotations}) == len(result.annotations)
    assert {a.category_id for a in result.annotations} <= {c.id for c in result.categories}
    for annotation in result.annotations:
        size = (images[annotation.image_id].height, images[annotation.image_id].width)
        amodal, visible = rle.decode([annotation.amodal, annotation.visible], size)
        assert amodal.any()
        assert not (visible & ~amodal).any()


@pytest.mark.parametrize("part", range(4))
def test_damaged_files_are_read_or_give_one_line(tmp_path: Path, part: int):
    save_image(tmp_path / "a.png")
    path, outcomes = tmp_path / "file.json", Counter()
    for seed in range(part, FILES, 4):
        text = damaged_text(random.Random(seed))
        path.write_text(text, encoding="utf-8", errors="surrogatepass")
        for act in (lambda: annotation_files.read(path), lambda: check.check(path).repaired):
            try:
                assert_sound(act())
                outcomes["read"] += 1
            except UserError as error:
                assert "\n" not in str(error), (seed, str(error))
                assert str(error).startswith(str(path)), (seed, str(error))
                outcomes["refused"] += 1
            except Exception as error:
                raise AssertionError(f"seed {seed}: {text}") from error
    # Both happen often, so that neither half of the test is idle.
    assert min(outcomes["read"], outcomes["refused"]) > FILES / 4 / 5
