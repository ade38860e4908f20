"""Any annotated data set gives cut-outs: written in every format, and composed again from each."""

from pathlib import Path

import pytest

from amodal.cli import main
from amodal.formats import annotation_files


@pytest.fixture(scope="module")
def scenes(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("scenes")
    # One object a scene, away from the edge: all are whole, so that all become cut-outs.
    flags = "--count 6 --size 96 96 --num-objects 1 1 --scale 0.5 0.6 --min-inside 1"
    main(f"synth --out {folder} {flags}".split())
    return folder


@pytest.mark.parametrize("to", annotation_files.WRITERS)
def test_scenes_from_a_data_set_of_each_format(to, scenes, tmp_path):
    source = tmp_path / ("data" if to in annotation_files.FOLDERS else "data.json")
    annotation_files.WRITERS[to](annotation_files.read(scenes), source)
    if not source.is_dir():
        (tmp_path / "images").symlink_to(scenes / "images")
    main(f"synth --out {tmp_path}/out --cutouts {source} --count 2 --size 96 96 --num-objects 2 2".split())
    composed = annotation_files.read(tmp_path / "out")
    assert len(composed.images) == 2
    assert all(composed.by_image[image.id] for image in composed.images)
