"""The documentation as tests see it: its pages, their code, and a small world in which the code runs."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from PIL import Image

from amodal import files
from amodal.annotations import Category
from amodal.commands.synth import SceneOutput, synth
from amodal.completion import checkpoint as completion_checkpoint
from amodal.completion.config import CompleterConfig
from amodal.completion.network import build as build_completer
from amodal.inference.predictor import load
from amodal.models import checkpoint
from amodal.models.zoo import build
from amodal.prior.autoencoder import MaskAutoencoder
from amodal.prior.codebook import CodeBook
from amodal.prior.config import PriorConfig
from amodal.prior.shape_prior import ShapePrior
from amodal.synthesis.config import SceneConfig
from amodal.synthesis.shapes import DRAWINGS
from amodal.training.config import TrainConfig
from tests.places import ROOT
from tests.small_models import SMALL, with_method

DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted(DOCS.rglob("*.md"))]
FENCE = re.compile(r"^```(?P<language>\w*)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL)
SCENES = SceneConfig(size=(64, 64), num_objects=(2, 3), min_visible_area=16)


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is the first of its code."""

    page: str
    line: int
    language: str
    code: str


def blocks(page: Path) -> list[Block]:
    text = page.read_text(encoding="utf-8")
    return [
        Block(str(page.relative_to(ROOT)), text[: m.start("code")].count("\n") + 1, m["language"], m["code"])
        for m in FENCE.finditer(text)
    ]


def command_lines(page: Path) -> list[tuple[str, list[str]]]:
    """Where each line of shell stands, and its words; comments left out, continued lines joined."""
    return [(f"{block.page}:{block.line}", words) for block in blocks(page) for words in lines_of(block)]


def lines_of(block: Block) -> list[list[str]]:
    """The words of each line of a block of shell; none of another block."""
    if block.language not in ("sh", "bash", "console", "shell"):
        return []
    joined = block.code.replace("\\\n", " ")
    lines = [part for line in joined.splitlines() for part in line.removeprefix("$ ").split("&&")]
    return [words for line in lines if (words := shlex.split(line, comments=True))]


def arguments_of(words: list[str]) -> list[str] | None:
    """What a line gives to `amodal`, up to a pipe; None for another program's line."""
    words = words[: words.index("|")] if "|" in words else words
    if Path(words[0]).name == "amodal":
        return words[1:]
    if "amodal.cli" in words:
        return words[words.index("amodal.cli") + 1 :]
    return None


def small_recipe(recipe: TrainConfig) -> TrainConfig:
    """The recipe with a model, scenes and a prior so small that a step takes no time."""
    train, val = recipe.data.train, recipe.data.val
    assert val is not None
    data = replace(recipe.data, train=replace(train, scenes=SCENES), val=replace(val, scenes=SCENES, count=2))
    fit = PriorConfig(steps=2, shapes_per_class=4, masks_per_class=8)
    return replace(
        recipe, model=SMALL, data=data, prior=replace(recipe.prior, scenes=4, fit=fit), batch_size=2, workers=0
    )


def make_world(folder: Path) -> None:
    """The files that the pages' code speaks of, all tiny."""
    for name in ("train", "val"):
        synth(SceneOutput(folder / "scenes" / name, count=2, seed=len(name)), scenes=SCENES, workers=1)
    photo = next((folder / "scenes/val/images").iterdir())
    with Image.open(photo) as picture:
        for name in ("photo.jpg", "picture.jpg"):
            picture.resize((128, 96)).save(folder / name)
    save_model(folder / "model.safetensors")
    for run in ("demo", "mine"):
        save_model(folder / "runs" / run / "model.safetensors")
    truth = files.read_json(folder / "scenes/val/annotations.json")
    predictor = load(folder / "model.safetensors", "cpu")
    records = []
    for image in truth["images"]:
        records += predictor.predict(folder / "scenes/val/images" / image["file_name"]).to_coco(image["id"])
    files.write_json(folder / "results.json", records)


def save_completer(path: Path) -> None:
    """An untrained completer."""
    torch.manual_seed(0)
    small = CompleterConfig(widths=(16, 16, 8, 8), prototypes=4, prototype_channels=2)
    completion_checkpoint.save(path, build_completer(small), {})


def save_model(path: Path) -> None:
    """An untrained model that takes everything for a mug, so that there is something to show."""
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = with_method("vrsp", reclassification=False, prior_rescoring=False)
    categories = [Category(number, name) for number, name in enumerate(DRAWINGS, start=1)]
    book = CodeBook.from_classes([torch.randn(6, 128) for _ in categories])
    model = build(config, len(categories), ShapePrior(MaskAutoencoder(3), book, categories)).eval()
    with torch.no_grad():
        model.boxes.predictor.cls_score.bias[1 + list(DRAWINGS).index("mug")] = 8.0
    checkpoint.save(path, checkpoint.Checkpoint(model, config, categories))
