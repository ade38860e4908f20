"""Whole files to damage, small, and made by the project's own writers where it has some."""

import json
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

from amodal import rle
from amodal.annotations import Annotation, AnnotationSet, Category, Detection, ImageRecord
from amodal.completion import checkpoint as completer_checkpoint
from amodal.completion import network
from amodal.completion.config import CompleterConfig
from amodal.evaluation.analysis import analyse
from amodal.evaluation.score import score
from amodal.formats import annotation_files, coco
from amodal.inference.onnx import KIND
from amodal.models import checkpoint
from amodal.models.config import BackboneConfig, DetectorConfig, MaskConfig, ModelConfig, VRSPConfig
from amodal.models.zoo import build
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.shape_prior import ShapePrior
from amodal.results import result_files
from amodal.results.detections import Detections
from amodal.training import recipes, run_folder
from amodal.video.writer import writing_video
from benchmarks.fuzz.workers import Seed

HEIGHT, WIDTH = 12, 16
CATEGORIES = [Category(2, "cup", "thing"), Category(5, "jar é")]
TINY = ModelConfig(
    method="vrsp",
    backbone=BackboneConfig("test_resnet", "none", frozen_stages=0, fpn_channels=8),
    detector=DetectorConfig(min_size=(64,), anchor_sizes=(8, 16, 32, 64, 96), box_width=16),
    mask=MaskConfig(width=4, num_convs=1),
    vrsp=VRSPConfig(num_shapes=2, reclassification_width=8),
)


def truth(folder: Path | None = None) -> AnnotationSet:
    """Two images with a jar in front of a cup, one that is wholly visible, a crowd and one that is wholly hidden."""
    masks = np.zeros((4, HEIGHT, WIDTH), dtype=bool)
    masks[0, 2:9, 2:9], masks[1, 4:10, 6:14], masks[2, 1:4, 1:15], masks[3, 5:8, 8:12] = True, True, True, True
    seen = masks.copy()
    seen[0] &= ~masks[1]
    seen[3] &= ~masks[1]
    amodal, visible = rle.encode(masks), rle.encode(seen)
    annotations = [
        Annotation(10 + i, 1 + i // 3, 2 + 3 * (i % 2), amodal[i], visible[i], is_crowd=i == 2, depth_order=i % 3)
        for i in range(4)
    ]
    images = [ImageRecord(i, f"{i}.jpg", HEIGHT, WIDTH) for i in (1, 2)]
    return AnnotationSet(images, annotations, CATEGORIES, folder)


def write_photographs(folder: Path) -> Path:
    """The images of `truth`."""
    folder.mkdir(parents=True)
    for image in truth().images:
        Image.fromarray(noise(image.id)).save(folder / image.file_name)
    return folder


def noise(seed: int = 0, height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """Pixels, uint8 (H, W, 3)."""
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


def annotations(folder: Path) -> dict[str, list[Seed]]:
    """A file, or a folder of files, of every format that is written."""
    found = {}
    for name, writer in annotation_files.WRITERS.items():
        place = folder / name
        images = write_photographs(place / "images")
        target = "" if name in annotation_files.FOLDERS else f"annotations{'.xml' if name == 'cvat' else '.json'}"
        writer(truth(images), place / target if target else place)
        (place / "images.link").unlink(missing_ok=True)
        found[name] = [Seed.of(place, target)]
    return found


def foreign_annotations() -> dict[str, list[Seed]]:
    """Formats that are read alone."""
    masks = rle.decode([annotation.amodal for annotation in truth().annotations], (HEIGHT, WIDTH))
    objects = (masks[0] | (masks[1] * 2)).clip(max=2).astype(np.uint8)
    coloured = np.dstack([objects, objects * 0, objects * 0])
    whole = [rle.to_json(annotation.amodal) for annotation in truth().annotations]
    image = {"file_name": "1.jpg", "height": HEIGHT, "width": WIDTH}
    sa1b = {"image": {"image_id": 1, **image}, "annotations": [{"id": 3, "segmentation": whole[0], "area": 49}]}
    segments = [{"id": 1, "category_id": 2, "area": 9, "bbox": [2, 2, 7, 7]}, {"id": 2, "category_id": 5, "iscrowd": 0}]
    panoptic = {
        "images": [{"id": 1, **image}],
        "annotations": [{"image_id": 1, "file_name": "1.png", "segments_info": segments}],
        "categories": [{"id": 2, "name": "cup", "isthing": 1}, {"id": 5, "name": "jar", "isthing": 1}],
    }
    box = "<bndbox><xmin>3</xmin><ymin>3</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    size = f"<size><width>{WIDTH}</width><height>{HEIGHT}</height><depth>3</depth></size>"
    voc = f"<annotation>{size}<object><name>cat</name>{box}</object></annotation>"
    names = [{"id": 2, "name": "cup"}]
    polygons = [
        {"id": 1, "image_id": 1, "category_id": 2, "segmentation": [[1, 1, 9, 1, 9, 9.5, 1, 9]], "iscrowd": 0},
        {"id": 2, "image_id": 1, "category_id": 2, "segmentation": {"size": [HEIGHT, WIDTH], "counts": [9, 5, 178]}},
    ]
    ordinary = {"images": [{"id": 1, **image}], "categories": names, "annotations": polygons}
    return {
        "sa1b": [Seed({"1.json": _json(sa1b)}, "1.json")],
        "panoptic": [Seed({"truth.json": _json(panoptic), "truth/1.png": _png(coloured)}, "truth.json", fixed=())],
        "voc": [
            Seed({"SegmentationObject/1.png": _png(objects), "Annotations/1.xml": voc.encode()}, fixed=()),
        ],
        "coco": [Seed({"truth.json": _json(ordinary)}, "truth.json")],
    }


def detections() -> Detections:
    """What some system found in the images of `truth`."""
    objects = truth().annotations
    return Detections.of(
        [
            Detection(a.image_id, a.category_id, 0.9 - i / 10, (2.0, 2.0, 9.0, 9.0), a.amodal, a.visible, i)
            for i, a in enumerate(objects)
        ]
    )


def results(folder: Path) -> list[Seed]:
    """Results in the usual form, and with masks as polygons and plain run lengths."""
    folder.mkdir()
    result_files.write(detections(), folder / "results.json")
    plain = [
        {"image_id": 1, "category_id": 2, "score": 0.5, "segmentation": [[1, 1, 9, 1, 9, 9.5, 1, 9]]},
        {"image_id": 2, "category_id": 5, "score": 1, "segmentation": {"size": [12, 16], "counts": [9, 5, 178]}},
    ]
    return [Seed.of(folder, "results.json"), Seed({"results.json": _json(plain)}, "results.json")]


def reports(folder: Path) -> list[Seed]:
    """A report with everything that an evaluation of masks gives."""
    folder.mkdir()
    found = score(truth(), detections())
    analysis = analyse(truth(), detections())
    whole = type(found)(**{**vars(found), "analysis": analysis, "about": {"data": "x"}})
    (folder / "report.json").write_text(json.dumps(whole.to_json()), encoding="utf-8")
    return [Seed.of(folder, "report.json")]


def prior() -> ShapePrior:
    """A shape prior of random numbers."""
    torch.manual_seed(0)
    book = CodeBook.from_classes([torch.rand(count, 16) for count in (3, 1)])
    return ShapePrior(MaskAutoencoder(3, channels=1), book, CATEGORIES, {"made": "for fuzzing"})


def models(folder: Path) -> dict[str, list[Seed]]:
    """A prior, a model and a completer, as safetensors."""
    folder.mkdir()
    prior().save(folder / "prior.safetensors")
    model = build(TINY, len(CATEGORIES), prior(), pretrained=False)
    checkpoint.save(folder / "model.safetensors", checkpoint.Checkpoint(model, TINY, CATEGORIES), half=True)
    completer_checkpoint.save(folder / "completer.safetensors", network.build(CompleterConfig()), {}, half=True)
    return {path.stem: [Seed({path.name: path.read_bytes()}, path.name)] for path in sorted(folder.iterdir())}


def runs(folder: Path) -> list[Seed]:
    """The folder of a run: its settings, its state, and what it noted."""
    seeds = []
    for recipe in (recipes.demo, recipes.d2sa):
        place = folder / recipe.__name__
        place.mkdir(parents=True)
        run_folder.begin(place, recipe(Path("data")))
        model, optimiser = tiny_run()
        model(torch.rand(2, 3)).sum().backward()
        optimiser.step()
        moments = optimiser.state_dict()
        run_folder.save_state(place, {"step": 2, "seconds": 1.5, "model": model.state_dict(), "optimiser": moments})
        for step in (1, 2, 3):
            run_folder.note(place, run_folder.LOSSES, {"step": step, "rate": 0.1, "loss": 2.5})
        run_folder.note(place, run_folder.SCORES, {"step": 2, "amodal AP": 0.5, "visible AP": None})
        seeds.append(Seed.of(place))
    return seeds


def tiny_run() -> tuple[nn.Module, torch.optim.Optimizer]:
    """A model and optimiser as small as can be."""
    torch.manual_seed(0)
    model = nn.Linear(3, 2)
    return model, torch.optim.AdamW(model.parameters(), lr=1e-3)


def released(folder: Path) -> dict[str, list[Seed]]:
    """Files as the paper's authors released them: a pickled code book, and an auto-encoder's weights."""
    folder.mkdir()
    codes = {0: np.ones((3, 16), np.float32), 2: np.ones((1, 16), np.float32)}
    np.save(folder / "book.npy", np.array(codes, dtype=object), allow_pickle=True)
    names = [f"mask_fcn_{part}{place}" for part in ("enc", "dec") for place in (1, 2, 3)]
    own = [*MaskAutoencoder(3, channels=1).encoder, *MaskAutoencoder(3, channels=1).decoder]
    weights = {f"{name}.{k}": v for name, layer in zip(names, own, strict=True) for k, v in layer.state_dict().items()}
    output = MaskAutoencoder(3, channels=1).output.state_dict()
    torch.save(weights | {f"outconv.0.{key}": value for key, value in output.items()}, folder / "net.pth")
    return {path.suffix: [Seed({path.name: path.read_bytes()}, path.name)] for path in sorted(folder.iterdir())}


def exported() -> list[Seed]:
    """A graph with the description of an exported model. The graph itself is the smallest there is."""
    import onnx

    values = [onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy"]
    graph = onnx.helper.make_graph([onnx.helper.make_node("Identity", ["x"], ["y"])], "g", values[:1], values[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)], ir_version=9)
    categories = json.dumps([{"id": c.id, "name": c.name} for c in CATEGORIES])
    onnx.helper.set_model_props(model, {"kind": KIND, "categories": categories})
    return [Seed({"model.onnx": model.SerializeToString()}, "model.onnx")]


def cutout_lists() -> list[Seed]:
    """The list of a folder of cut-outs: two of one photograph, none of another."""
    lines = [
        {"photograph": "photos/mug/a.jpg", "category": "mug", "files": ["mug/a-1.png", "mug/a-2.png"]},
        {"photograph": "photos/mug/b.jpg", "category": "mug", "files": [], "problem": "its background is not plain"},
    ]
    return [Seed({"cutouts.jsonl": b"".join(_json(line) + b"\n" for line in lines)}, "cutouts.jsonl")]


def pictures(folder: Path) -> list[Seed]:
    """Pictures of every format and kind of pixel, some turned by EXIF."""
    folder.mkdir()
    notes = Image.Exif()
    notes[0x0112] = 6
    colours = Image.fromarray(noise())
    for kind in ("jpg", "png", "webp", "bmp", "tiff", "gif"):
        options: dict[str, Any] = {} if kind in ("bmp", "gif") else {"exif": notes}
        colours.save(folder / f"a.{kind}", **options)
    for mode in ("L", "LA", "RGBA", "P", "1"):
        colours.convert(mode).save(folder / f"{mode}.png")
    colours.convert("CMYK").save(folder / "cmyk.jpg")
    colours.save(folder / "progressive.jpg", progressive=True)
    colours.save(folder / "packed.tiff", compression="tiff_lzw")
    Image.fromarray(noise()[..., 0].astype(np.uint16) * 257).save(folder / "sixteen.png")
    Image.fromarray(noise()[..., 0].astype(np.float32) / 255).save(folder / "float.tiff")
    return [Seed({path.name: path.read_bytes()}, path.name, fixed=()) for path in sorted(folder.iterdir())]


def videos(folder: Path) -> list[Seed]:
    """A short video."""
    folder.mkdir()
    with writing_video(folder / "a.mp4", Fraction(10)) as video:
        for place in range(4):
            video.add(noise(place, 32, 48), place / 10)
    return [Seed.of(folder, "a.mp4")]


def masks() -> list[Seed]:
    """A mask as JSON, in every form."""
    own = truth().annotations[0].amodal
    forms = [rle.to_json(own), rle.to_json(own) | {"counts": rle.runs(own).tolist()}, [[1, 1, 9, 1, 9, 9.5, 1, 9]]]
    return [Seed({"mask.json": _json({"size": [HEIGHT, WIDTH], "mask": form})}, "mask.json") for form in forms]


def write_d2sa(annotation_set: AnnotationSet, path: Path) -> None:
    """Writes what was read: what no file can hold shows here."""
    coco.write(annotation_set, path)


def _json(content: object) -> bytes:
    return json.dumps(content).encode()


def _png(pixels: np.ndarray) -> bytes:
    import io

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


Use = Callable[[Path], object]
