"""What is tried: a line for every reader. A new format is one line more."""

import io
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console

from amodal import rle
from amodal.annotations import AnnotationSet
from amodal.completion import checkpoint as completer_checkpoint
from amodal.errors import UserError
from amodal.evaluation.compare import compare
from amodal.evaluation.report import Report
from amodal.files import read_json
from amodal.formats import annotation_files, check, coco
from amodal.inference import onnx
from amodal.models import checkpoint
from amodal.pictures import check_image, image_size, read_image, read_rgba
from amodal.prior import released
from amodal.prior.shape_prior import ShapePrior
from amodal.results import result_files
from amodal.rle_validation import sound_areas
from amodal.synthesis.cutout_folder import read_list
from amodal.training import run_folder
from amodal.video import predict as video
from benchmarks.fuzz import seeds
from benchmarks.fuzz.workers import Reader

FRAMES = 8
"""Of a video are decoded."""


def all_readers(folder: Path) -> list[Reader]:
    """Every reader with whole files for it, which are written in a folder."""
    annotations = seeds.annotations(folder / "annotations") | seeds.foreign_annotations()
    models, from_authors = seeds.models(folder / "models"), seeds.released(folder / "released")
    run = seeds.runs(folder / "runs")
    return [
        *(Reader(f"annotations-{name}", read_annotations, found) for name, found in annotations.items()),
        Reader("masks", read_mask, seeds.masks()),
        Reader("results", read_results, seeds.results(folder / "results")),
        Reader("report", read_report, seeds.reports(folder / "reports")),
        Reader("run-settings", run_folder.settings, [only(seed, run_folder.CONFIG) for seed in run]),
        Reader("run-state", read_state, [only(seed, run_folder.STATE) for seed in run]),
        Reader("run-notes", read_notes, [only(seed, run_folder.LOSSES, run_folder.SCORES) for seed in run]),
        Reader("prior", read_prior, models["prior"]),
        Reader("checkpoint", checkpoint.load, models["model"]),
        Reader("completer", completer_checkpoint.load, models["completer"]),
        Reader("onnx", onnx.load, seeds.exported()),
        Reader("released-code-book", released.load_codebook, from_authors[".npy"]),
        Reader("released-auto-encoder", released.load_autoencoder, from_authors[".pth"]),
        Reader("cut-outs", read_list, seeds.cutout_lists()),
        Reader("pictures", read_picture, seeds.pictures(folder / "pictures")),
        Reader("videos", read_video, seeds.videos(folder / "videos")),
    ]


def only(seed: seeds.Seed, *names: str) -> seeds.Seed:
    """The folder with these files damaged and no other."""
    return seeds.Seed(seed.files, seed.target, tuple(name for name in seed.files if name not in names))


def read_annotations(path: Path) -> AnnotationSet:
    """Read and checked, each with a sound outcome; what was read can be written."""
    refused = None
    try:
        found = annotation_files.read(path)
        require_sound(found)
        coco.write(found, path.parent / "written.json")
    except UserError as error:
        refused = error
    repaired = check.check(path).repaired
    require_sound(repaired)
    if refused:
        raise refused
    return repaired


def require_sound(annotation_set: AnnotationSet) -> None:
    """Raises AssertionError where annotations break what is promised of them."""
    sizes = {image.id: [image.height, image.width] for image in annotation_set.images}
    known = {category.id for category in annotation_set.categories}
    assert len({annotation.id for annotation in annotation_set.annotations}) == len(annotation_set.annotations)
    for annotation in annotation_set.annotations:
        assert annotation.category_id in known
        assert annotation.amodal["size"] == annotation.visible["size"] == sizes[annotation.image_id]
        area, seen = sound_areas([annotation.amodal, annotation.visible]).tolist()
        assert area > 0 <= seen
        assert rle.areas([rle.subtract(annotation.visible, annotation.amodal)])[0] == 0


def read_mask(path: Path) -> rle.Rle:
    """A mask and its pixels, or the ValueError that is promised."""
    content: Any = read_json(path)
    try:
        mask, _ = rle.from_json(content["mask"], tuple(content["size"]))
    except (ValueError, KeyError, TypeError) as error:
        if isinstance(error, ValueError) or not isinstance(content, dict) or "mask" not in content:
            raise UserError("no mask", file=path) from error
        if not isinstance(content.get("size"), list):
            raise UserError("no size", file=path) from error
        raise
    assert sound_areas([mask])[0] == rle.runs(mask)[1::2].sum()
    return mask


def read_results(path: Path) -> None:
    """Results as amodal masks and as visible ones."""
    truth = seeds.truth()
    result_files.read(path, truth)
    result_files.read(path, truth, segmentation="visible")


def read_report(path: Path) -> None:
    """A report, shown, and compared with itself."""
    report = Report.from_json(read_json(path), file=str(path))
    Console(file=io.StringIO(), width=200).print(report.table())
    compare({"first": report, "second": report}, resamples=2)


def read_state(folder: Path) -> None:
    """The state of a run, put into a model."""
    state = run_folder.load_state(folder)
    assert state is not None
    run_folder.restore(state, *seeds.tiny_run(), folder)
    assert type(state["step"]) is int
    assert isinstance(state["seconds"], float)


def read_notes(folder: Path) -> None:
    """What a run noted, as `--resume` reads it."""
    run_folder.forget_after(folder, 2)
    for name in (run_folder.LOSSES, run_folder.SCORES):
        assert all(line["step"] <= 2 for line in run_folder.notes(folder, name))


def read_prior(path: Path) -> np.ndarray:
    """A prior, and the shapes of its first class."""
    return ShapePrior.load(path).shapes(0).numpy()


def read_picture(path: Path) -> np.ndarray:
    """A picture in every way that it is read."""
    try:
        read_rgba(path)
    except UserError as error:
        if "no transparency" not in error.problem:
            raise
    check_image(path, image_size(path))
    return read_image(path)


def read_video(path: Path) -> int:
    """The first frames of a video."""
    with video._opened(path) as container:
        return len(list(islice(video._demuxed(container, path, None), FRAMES)))
