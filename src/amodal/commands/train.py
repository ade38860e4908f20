"""`amodal train`: a model from a recipe."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import tyro

from amodal.commands.declared import WRITES_IN
from amodal.commands.next_steps import after_training
from amodal.commands.train_completer import COMPLETER, train_completer
from amodal.commands.train_flags import NO_CHANGES, RECIPES_DATA, Changes, DataSet


def train(
    recipe: tyro.conf.Positional[str],
    *,
    out: Annotated[Path, WRITES_IN],
    data: Annotated[DataSet, tyro.conf.arg(name="")] = RECIPES_DATA,
    changes: Annotated[Changes, tyro.conf.arg(name="")] = NO_CHANGES,
    resume: bool = False,
    device: str = "auto",
) -> None:
    """Trains a model. The run's folder gets its checkpoint, losses and scores, and can be resumed exactly.

    Recipes are `demo`, or a data set and a method, as in d2sa_vrsp. Data sets are d2sa, kins, cocoa_cls, eth80 and
    photos, methods vrsp, vrsp_r, two_heads, orcnn, sln, aisformer, bcnet, mask_rcnn, mask_rcnn_visible and
    mask_rcnn_c8. For CPUs there are eth80_vrsp_small, photos_vrsp_small and so on. The recipe `completer` trains the
    class-agnostic completer on photographs.

    On several GPUs: torchrun --nproc-per-node 8 -m amodal.cli train d2sa_vrsp --out runs/d2sa

    Args:
        recipe: Its name, or FILE.py:FUNCTION for one of your own, as in my_recipes.py:shelf.
        out: The run's folder.
        data: What is trained on.
        changes: What differs from the recipe.
        resume: Go on from the folder's last checkpoint, with the same recipe and flags.
        device: auto, cpu, cuda or cuda:1.
    """
    if recipe == COMPLETER:
        train_completer(out, data, changes, resume=resume, device=device)
        return
    from amodal.training import loop, recipes

    config = changed(recipes.recipe(recipe, data.data, own_data(data)), changes)
    config = replace(config, data=cached(config.data, data.cache))
    if loop.train(config, out, resume=resume, device_name=device):  # empty in all but the lead process
        print("\n".join(after_training(out, config)))


def own_data(own: DataSet) -> Any:
    """The DataConfig of the files, or None where there are none. Raises UserError for validation without training."""
    from amodal.data.config import DataConfig, FileSource
    from amodal.errors import UserError

    if not own.train:
        if own.val or own.images:
            raise UserError("--val and --images go with --train", remedy="Name the annotations to train on, too")
        return None
    return DataConfig(FileSource(own.train, own.images), FileSource(own.val, own.images) if own.val else None)


def cached(data: Any, cache: Path | None) -> Any:
    """The DataConfig with the folder in which annotations are kept. Raises UserError where there are none."""
    from amodal.data.config import FileSource
    from amodal.errors import UserError

    if cache is None:
        return data
    if not isinstance(data.train, FileSource):
        raise UserError("--cache is for annotated images", remedy="Leave it out: what this recipe reads is composed")
    place = str(cache.absolute())
    val = replace(data.val, cache=place) if isinstance(data.val, FileSource) else data.val
    return replace(data, train=replace(data.train, cache=place), val=val)


def changed(config: Any, changes: Changes) -> Any:
    """The TrainConfig with the changes."""
    from amodal.inference.model_files import checkpoint_file
    from amodal.training.config import with_iterations, with_seed

    if changes.iterations is not None:
        config = with_iterations(config, changes.iterations)
    if changes.seed is not None:
        config = with_seed(config, changes.seed)
    prior = None if changes.prior is None else str(changes.prior)
    start = changes.start_from
    if start not in (None, "coco"):
        start = str(checkpoint_file(start))
    return _replaced(
        config,
        optimiser=_replaced(config.optimiser, lr=changes.lr),
        prior=_replaced(config.prior, file=prior),
        validation=_replaced(config.validation, every=changes.validate_every),
        start_from=start,
        batch_size=changes.batch_size,
        checkpoint_every=changes.checkpoint_every,
        workers=changes.workers,
        mixed_precision=changes.mixed_precision,
        compile=changes.compile,
    )


def _replaced(settings: Any, **values: Any) -> Any:
    return replace(settings, **{name: value for name, value in values.items() if value is not None})
