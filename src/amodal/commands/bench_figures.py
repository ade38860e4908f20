"""`amodal bench figure...`: the paper's figures 1, 3, 4 and 5, each by one command."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from amodal.arguments import COUNT, FROM_ZERO, SHARE, Within
from amodal.commands.declared import READS, WRITES_IN

if TYPE_CHECKING:
    import numpy as np

    from amodal.paper.trained import Trained
    from amodal.training.config import TrainConfig


@dataclass(frozen=True)
class FigureSettings:
    """Which models are shown, and where they are."""

    recipe: str = "eth80_small"
    """The recipe of the models' runs; the figure is made of its validation data."""
    data: Annotated[Path, READS] = Path("data")
    """Folder that holds the recipe's data set."""
    out: Annotated[Path, WRITES_IN] = Path("benchmarks/results")
    """Folder of the figures."""
    runs: Annotated[Path | None, READS] = None
    """Folder of the bench's runs. OUT/runs by default."""
    seed: Annotated[int, FROM_ZERO] = 0
    """The runs' seed."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    photographs: bool = True
    """Draw over the images; without, over grey silhouettes of the true objects: where images may not be published."""
    overwrite: bool = False
    """Replace files of the figures' names that no earlier `amodal bench` wrote."""


Figures = Annotated[FigureSettings, tyro.conf.arg(name="")]


def bench_figure1(
    *,
    models: Annotated[tuple[str, ...], READS] = ("mask_rcnn", "orcnn", "vrsp"),
    count: Annotated[int, COUNT] = 40,
    occluders: Annotated[int, Within(2)] = 4,
    shown: Annotated[int, COUNT] = 2,
    settings: Figures = FigureSettings(),
) -> None:
    """Figure 1 of the paper: one object, the same part of it hidden by different occluders.

    For each model the agreement of its completions of the invisible part behind different occluders, as IoU, and their
    IoU with the truth.

    Args:
        models: Names of the bench's models, or model files.
        count: Objects to measure on.
        occluders: Occluders of each.
        shown: How many of the objects are drawn.
        settings: Where models and data are.
    """
    from amodal.errors import UserError
    from amodal.paper import figure1, subjects

    config, trained = _open("figure1", models, settings)
    stage = subjects.open_stage(config)
    if tuple(category.name for category in trained[0].categories) != stage.cutouts.categories:
        raise UserError("the models know other categories than the data", remedy="Name the recipe of their training")
    found = subjects.subjects(stage, count, occluders, settings.seed)
    rows = figure1.measure(trained, found)
    trimmed = sum(sum(subject.trimmed) for subject in found) / (count * occluders)
    details = {"objects": count, "occluders": occluders, "trimmed": round(trimmed, 4)}
    picture = figure1.picture(trained, found[:shown], photographs=settings.photographs)
    _write("figure1", settings, _array(picture), {"rows": rows}, **details)
    for row in rows:
        print(f"{row['method']}: agreement {row['agreement']:.3f}, IoU with the truth {row['hidden_iou']:.3f}")


def bench_figure3(
    *,
    model: Annotated[str, READS] = "vrsp",
    images: Annotated[int, COUNT] = 100,
    score_threshold: Annotated[float, SHARE] = 0.3,
    shown: Annotated[int, COUNT] = 4,
    settings: Figures = FigureSettings(),
) -> None:
    """Figure 3 of the paper: pairs of overlapping candidates whose order in suppression re-scoring turned round.

    Args:
        model: Name of one of the bench's VRSP models, or a model file.
        images: How many validation images to look through.
        score_threshold: Pairs whose old winner has a lower class score are left out.
        shown: How many pairs to draw: those that the shape prior turned alone first, largest change first.
        settings: Where model and data are.
    """
    from tqdm import tqdm

    from amodal.paper import figure3

    config, (trained,) = _open("figure3", (model,), settings)
    samples = _samples(config, trained)
    chosen = range(min(images, len(samples)))
    found = [
        turn for index in tqdm(chosen, unit="image") for turn in figure3.turns(trained, samples[index], score_threshold)
    ]
    found.sort(key=lambda turn: -turn.change)
    by_id = {samples[index]["image_id"]: index for index in chosen} if found else {}
    summary = figure3.summarise(found, len(chosen))
    numbers = {"summary": summary, "pairs": [turn.to_json() for turn in found]}
    picture = None
    if found:
        pairs = [(samples[by_id[turn.image_id]], turn) for turn in found[:shown]]
        picture = _array(figure3.picture(pairs, photographs=settings.photographs))
    if picture is None:
        _paths("figure3", settings)[1].unlink(missing_ok=True)  # an earlier one is of other pairs
    _write("figure3", settings, picture, numbers, model=trained.label, score_threshold=score_threshold)
    print(f"{summary['turned_pairs']} pairs turned round in {summary['images']} images")
    if found:
        print(f"for the better: {summary['better']:.2f} of them; mean gain of IoU {summary['mean_iou_gain']:+.3f}")


def bench_figure4(
    *,
    models: Annotated[tuple[str, ...], READS] = ("mask_rcnn", "orcnn", "vrsp"),
    images: Annotated[tuple[int, ...], FROM_ZERO] = (0, 1, 2, 3),
    settings: Figures = FigureSettings(),
) -> None:
    """Figure 4 of the paper: image, truth, and each model's answer side by side.

    Args:
        models: Names of the bench's models, or model files.
        images: Which validation images, counted from 0.
        settings: Where models and data are.
    """
    from amodal.errors import UserError
    from amodal.paper import figure4

    config, trained = _open("figure4", models, settings)
    samples = _samples(config, trained[0])
    if not images or min(images) < 0 or max(images) >= len(samples):
        raise UserError(f"images {images} are not all there", remedy=f"Give some of 0 to {len(samples) - 1}")
    chosen = [samples[index] for index in images]
    picture, rows = figure4.compare(trained, chosen, photographs=settings.photographs)
    _write("figure4", settings, _array(picture), {"rows": rows})


def bench_figure5(
    prior: Annotated[Path, tyro.conf.Positional, READS],
    *,
    categories: tuple[str, ...] = (),
    out: Annotated[Path, WRITES_IN] = Path("benchmarks/results"),
    name: str = "figure5",
    seed: Annotated[int, FROM_ZERO] = 0,
    overwrite: bool = False,
) -> None:
    """Figure 5 of the paper: a category's code book laid out by t-SNE, decoded shapes at their places.

    Args:
        prior: A prior.safetensors: of a run, or made by `amodal prior fit`.
        categories: Which categories; the first three by default.
        out: Folder of the figure.
        name: Of its files.
        seed: Of t-SNE.
        overwrite: Replace files of that name that no earlier `amodal bench` wrote.
    """
    from amodal.errors import UserError

    try:
        from amodal.paper.figure5 import first_categories, lay_out, picture
    except ModuleNotFoundError as error:
        package = (error.name or "").split(".")[0]
        if package not in ("matplotlib", "sklearn"):
            raise
        problem = f"{package} is not installed, which this figure is made with"
        raise UserError(problem, remedy="pip install 'amodal[paper]'") from error
    from amodal.files import write_json
    from amodal.paper.about import about, claim_own
    from amodal.pictures import write_image
    from amodal.prior.shape_prior import ShapePrior

    claim_own([out / f"{name}.json", out / f"{name}.png"], out / f"{name}.json")
    loaded = ShapePrior.load(prior)
    wanted = categories or first_categories(loaded, 3)
    layouts = [lay_out(loaded, category, seed) for category in wanted]
    write_image(out / f"{name}.png", picture(layouts))
    origin = about(f"amodal bench figure5 PRIOR --categories {' '.join(wanted)}")
    write_json(
        out / f"{name}.json", {"categories": [layout.numbers() for layout in layouts], "about": origin}, indent=1
    )
    print(f"{out / name}.png\n{out / name}.json")


def bench_trained_masks(
    *,
    models: Annotated[tuple[str, ...], READS] = ("vrsp", "mask_rcnn", "orcnn", "sln"),
    coarse: Annotated[tuple[str, ...], READS] = (),
    images: Annotated[int | None, COUNT] = None,
    settings: Figures = FigureSettings(),
) -> None:
    """Masks of trained models, where the true boxes and classes are given: IoU with the truth, object by object.

    AP mixes boxes, classes, scores and masks. Here every model answers for the same objects, so that differences to
    the first model are taken in pairs, with 95 % intervals by a bootstrap over images.

    Args:
        models: Names of the bench's models, or model files; the others are compared to the first.
        coarse: Those of them whose coarse masks are measured too.
        images: How many validation images; all by default.
        settings: Where models and data are. There is no picture.
    """
    from amodal.paper import mask_quality

    config, trained = _open("trained_masks", models, settings)
    samples = _samples(config, trained[0])
    count = min(images or len(samples), len(samples))
    rows: list[dict[str, Any]] = []
    base = None
    for name, one in zip(models, trained, strict=True):
        for is_coarse in (False, True)[: 1 + (name in coarse)]:
            quality, places = mask_quality.measure(one, samples, count, coarse=is_coarse)
            base = base or quality
            label = f"{one.label}, coarse" if is_coarse else one.label
            rows.append(mask_quality.row(label, quality, base, places))
    _write("trained_masks", settings, None, {"rows": rows}, images=count, models=models, coarse=coarse)
    for row in rows:
        print(", ".join(f"{k} {v}" for k, v in row.items() if not k.endswith("difference")))


def _open(figure: str, models: tuple[str, ...], settings: FigureSettings) -> "tuple[TrainConfig, list[Trained]]":
    """Claims the figure's files; the recipe's settings, and the models."""
    from amodal import processes
    from amodal.paper import variants
    from amodal.paper.about import claim_own
    from amodal.paper.trained import load

    claim_own(_paths(figure, settings), _paths(figure, settings)[0])
    config = variants.base(settings.recipe, settings.data)
    runs = settings.runs or settings.out / "runs"
    return config, load(models, runs, settings.seed, processes.choose_device(settings.device))


def _samples(config: "TrainConfig", trained: "Trained") -> Any:
    """The recipe's validation samples."""
    from amodal.data.sources import open_source
    from amodal.errors import UserError
    from amodal.paper.trained import check_categories

    if config.data.val is None:
        raise UserError(f"recipe '{config.recipe}' has no validation data", remedy="Choose another recipe")
    samples = open_source(config.data.val)
    check_categories([trained], samples.categories)
    return samples


def _array(picture: Any) -> "np.ndarray":
    import numpy as np

    return np.asarray(picture)


def _write(
    figure: str, settings: FigureSettings, picture: "np.ndarray | None", numbers: dict[str, Any], **details: Any
) -> None:
    """Writes a figure's PNG, if there is one, and its numbers as JSON; prints their paths."""
    from amodal.files import write_json
    from amodal.paper.about import about
    from amodal.pictures import write_image

    numbers_path, picture_path = _paths(figure, settings)
    command = f"amodal bench {figure.replace('_', '-')} --recipe {settings.recipe} --data DATA --seed {settings.seed}"
    origin = about(command, recipe=settings.recipe, **details)
    write_json(numbers_path, {**numbers, "about": origin}, indent=1)
    if picture is not None:
        write_image(picture_path, picture)
        print(picture_path)
    print(numbers_path)


def _paths(figure: str, settings: FigureSettings) -> tuple[Path, Path]:
    """The JSON and the PNG of a figure."""
    from amodal.paper import variants

    stem = settings.out / f"{figure}_{variants.data_set(settings.recipe)}"
    return stem.with_suffix(".json"), stem.with_suffix(".png")
