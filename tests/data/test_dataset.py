"""Samples from files and from composed scenes keep the rules of a target."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from amodal import instances, masks, rle
from amodal.annotations import Annotation, AnnotationSet, Category, ImageRecord
from amodal.data.config import FileSource, SceneSource
from amodal.data.dataset import AnnotatedImages, Sample
from amodal.data.merging import merge
from amodal.data.sources import num_samples, open_source
from amodal.errors import UserError
from amodal.synthesis.config import SceneConfig

AMODAL = np.array([[0, 1, 1, 1], [0, 1, 1, 1], [0, 0, 0, 0]], dtype=bool)
VISIBLE = np.array([[0, 1, 1, 0], [0, 1, 0, 0], [0, 0, 0, 0]], dtype=bool)
EMPTY = np.zeros_like(AMODAL)


def annotation(number: int, image_id: int, amodal: np.ndarray = AMODAL, **fields: object) -> Annotation:
    first, second = rle.encode(np.stack([amodal, VISIBLE & amodal]))
    return Annotation(number, image_id, 7, first, second, **fields)  # type: ignore[arg-type]


@pytest.fixture
def three_images(tmp_path: Path) -> AnnotationSet:
    for name in ("a.png", "b.png", "c.png"):
        Image.fromarray(np.full((3, 4, 3), 50, np.uint8)).save(tmp_path / name)
    images = [ImageRecord(i, name, 3, 4) for i, name in [(5, "a.png"), (6, "b.png"), (9, "c.png")]]
    found = [
        annotation(1, 5, depth_order=1),
        annotation(2, 5, EMPTY, depth_order=0),
        annotation(3, 6, is_crowd=True),
        annotation(4, 6, is_stuff=True),
    ]
    return AnnotationSet(images, found, [Category(7, "cup"), Category(2, "apple")], tmp_path)


def assert_sound(sample: Sample) -> None:
    target = sample["target"]
    instances.check(target)
    assert sample["image"].dtype == torch.uint8
    assert sample["image"].shape[1:] == target["amodal_masks"].shape[1:]
    assert target["boxes"].dtype == torch.float32
    assert target["labels"].dtype == torch.int64
    assert torch.equal(target["boxes"], masks.boxes(target["amodal_masks"]))


def test_an_annotated_image_becomes_a_sample(three_images: AnnotationSet) -> None:
    samples = AnnotatedImages(three_images)
    sample = samples[0]
    assert_sound(sample)
    target = sample["target"]
    assert sample["image_id"] == 5
    assert target["boxes"].tolist() == [[1, 0, 4, 2]]
    assert target["labels"].tolist() == [2]  # ids 2 and 7 are labels 1 and 2; the empty mask is left out
    assert target["depth_order"].tolist() == [1]
    assert np.array_equal(target["amodal_masks"][0], AMODAL)
    assert np.array_equal(target["visible_masks"][0], VISIBLE)
    assert [category.id for category in samples.categories] == [2, 7]


def test_crowds_and_stuff_are_no_objects_and_an_image_may_have_none(three_images: AnnotationSet) -> None:
    samples = AnnotatedImages(three_images)
    assert len(samples) == 3
    for index in (1, 2):
        assert_sound(samples[index])
        assert samples[index]["target"]["amodal_masks"].shape == (0, 3, 4)
    assert [image.id for image in AnnotatedImages(three_images, keep_empty=False).images] == [5]
    assert len(AnnotatedImages(three_images, keep_stuff=True)[1]["target"]["labels"]) == 1


def test_what_cannot_be_a_data_set_is_refused(three_images: AnnotationSet) -> None:
    for broken, words in [
        (replace(three_images, images=[]), "has no images"),
        (replace(three_images, categories=[]), "has no categories"),
        (replace(three_images, image_folder=None), r"its images were not found.*--images FOLDER"),
    ]:
        with pytest.raises(UserError, match=words):
            AnnotatedImages(broken)


def test_a_missing_image_or_one_of_another_size_is_named(three_images: AnnotationSet, tmp_path: Path) -> None:
    samples = AnnotatedImages(three_images)
    Image.fromarray(np.zeros((4, 4, 3), np.uint8)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"a.png: is 4x4, the annotations say 4x3"):
        samples[0]
    (tmp_path / "b.png").unlink()
    with pytest.raises(UserError, match=r"b.png: no such file"):
        samples[1]


def test_two_sets_are_merged_with_ids_of_their_own(three_images: AnnotationSet) -> None:
    other = replace(
        three_images,
        images=[ImageRecord(5, "b.png", 3, 4), ImageRecord(11, "c.png", 3, 4)],
        annotations=[annotation(1, 5), annotation(20, 11)],
    )
    merged = merge(three_images, other)
    assert [image.id for image in merged.images] == [5, 6, 9, 12, 11]
    assert [a.id for a in merged.annotations] == [1, 2, 3, 4, 21, 20]
    assert [a.image_id for a in merged.annotations[-2:]] == [12, 11]
    with pytest.raises(UserError, match=r"lists other categories: .* has no 'anvil'"):
        merge(three_images, replace(other, categories=[*other.categories, Category(99, "anvil")]))
    renamed = [replace(c, id=c.id + 50, name=c.name.upper()) for c in reversed(other.categories)]
    moved = [replace(a, category_id=a.category_id + 50) for a in other.annotations]
    again = merge(three_images, replace(other, categories=renamed, annotations=moved))
    assert again.annotations == merged.annotations  # matched by their names
    with pytest.raises(UserError, match="has its images in elsewhere"):
        merge(three_images, replace(other, image_folder=Path("elsewhere")))


def test_an_annotation_file_is_opened_from_settings(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((3, 4, 3), np.uint8)).save(tmp_path / "a.png")
    amodal, visible = (rle.to_json(one) for one in rle.encode(np.stack([AMODAL, VISIBLE])))
    content = {
        "images": [{"id": 1, "file_name": "a.png", "height": 3, "width": 4}],
        "categories": [{"id": 3, "name": "cup"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 3, "segmentation": amodal, "visible_mask": visible, "area": 6,
             "bbox": [1, 0, 3, 2], "iscrowd": 0}
        ],
    }  # fmt: skip
    (tmp_path / "truth.json").write_text(json.dumps(content))
    source = FileSource((str(tmp_path / "truth.json"),))
    samples = open_source(source)
    assert_sound(samples[0])
    assert num_samples(source, samples) == 1
    with pytest.raises(UserError, match=r"none.json: no such file"):
        open_source(FileSource((str(tmp_path / "none.json"),)))
    with pytest.raises(UserError, match="no annotation file is named"):
        open_source(FileSource(()))


SCENES = SceneSource(backgrounds="plain", scenes=SceneConfig(size=(64, 80), num_objects=(2, 4)), seed=4)


def test_scenes_are_sound_and_the_same_whenever_they_are_composed() -> None:
    first, second = open_source(SCENES), open_source(SCENES)
    assert num_samples(SCENES, first) is None
    third = first[3]
    assert_sound(third)
    assert third["image"].shape == (3, 64, 80)
    again = second[3]
    assert torch.equal(third["image"], again["image"])
    assert torch.equal(third["target"]["amodal_masks"], again["target"]["amodal_masks"])
    assert not torch.equal(third["image"], first[4]["image"])
    assert not torch.equal(third["image"], open_source(replace(SCENES, seed=5))[3]["image"])


def test_a_count_of_scenes_is_a_length_and_a_bound() -> None:
    source = replace(SCENES, count=2)
    samples = open_source(source)
    assert len(samples) == num_samples(source, samples) == 2
    with pytest.raises(IndexError):
        samples[2]
    assert len(list(samples)) == 2  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        len(open_source(SCENES))
    with pytest.raises(UserError, match="0 scenes are no data set"):
        open_source(replace(SCENES, count=0))


def test_scene_folders_that_are_not_there_are_named(tmp_path: Path) -> None:
    for source in (replace(SCENES, cutouts=str(tmp_path / "x")), replace(SCENES, backgrounds=str(tmp_path / "x"))):
        with pytest.raises(UserError, match="x: no such folder"):
            open_source(source)
