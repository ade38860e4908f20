"""Optional packages: what needs one says which, and how to get it."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

import amodal
from amodal.annotations import Category
from amodal.commands.bench_figures import bench_figure5
from amodal.commands.cutouts import cutouts
from amodal.commands.demo import demo
from amodal.errors import UserError
from amodal.export.detector import export_onnx
from amodal.inference.predictor import Predictor
from amodal.scale.cluster import connected
from amodal.scale.rows import to_table
from amodal.video.predict import Painter, predict_video
from tests.drawing.test_render import bars
from tests.small_models import SMALL, small_model


def export(folder: Path) -> None:
    export_onnx(small_model(SMALL).eval(), [Category(1, "cup")], folder / "a.onnx")


class Nothing:
    categories = (Category(1, "cup"),)

    def detect(self, images: list[np.ndarray], *, score_threshold: float = 0.0, coarse: bool = False) -> list:
        return []


def watch(folder: Path) -> None:
    (folder / "a.mp4").touch()
    predict_video(Painter(Predictor(Nothing()), 0.5, None), folder / "a.mp4", folder / "b.mp4")


def work_on_a_cluster(folder: Path) -> None:
    with connected("local"):
        pass


USES = {
    "av": ("video", watch),
    "cv2": ("cutouts", lambda folder: cutouts((folder,), out=folder / "out")),
    "onnx": ("onnx", export),
    "onnxruntime": ("onnx", lambda folder: amodal.load(Path(shutil.copy(__file__, folder / "a.onnx")))),
    "supervision": ("supervision", lambda folder: bars().to_supervision()),
    "huggingface_hub": ("hub", lambda folder: amodal.load("hf://ann/model")),
    "matplotlib": ("paper", lambda folder: bench_figure5(folder / "prior.safetensors")),
    "sklearn": ("paper", lambda folder: bench_figure5(folder / "prior.safetensors")),
    "gradio": ("page", lambda folder: demo("demo")),
    "ray": ("ray", work_on_a_cluster),
    "pyarrow": ("ray", lambda folder: to_table([])),
}


@pytest.mark.parametrize("package", USES)
def test_a_missing_package_is_named_with_the_way_to_get_it(package, tmp_path, monkeypatch):
    extra, use = USES[package]
    monkeypatch.setitem(sys.modules, package, None)
    inside = [module for module in sys.modules if module.startswith(f"{package}.")]
    for module in ("amodal.demo.page", "amodal.paper.figure5", *inside):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UserError, match=rf"not installed.*pip install 'amodal\[{extra}\]'"):
        use(tmp_path)
