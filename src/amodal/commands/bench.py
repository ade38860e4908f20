"""`amodal bench table...`: the paper's tables, each by one command."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import tyro

from amodal.arguments import COUNT, FROM_ZERO
from amodal.commands.declared import READS, WRITES_IN

if TYPE_CHECKING:
    from amodal.paper.variants import Table


@dataclass(frozen=True)
class TableSettings:
    """What is trained, on what, and how."""

    recipe: str = "eth80_small"
    """eth80_small (two CPU cores), eth80, d2sa, kins, cocoa_cls, or demo (drawn objects, no files)."""
    data: Annotated[Path, READS] = Path("data")
    """Folder that holds the recipe's data set."""
    out: Annotated[Path, WRITES_IN] = Path("benchmarks/results")
    """Folder of the tables."""
    runs: Annotated[Path | None, WRITES_IN] = None
    """Folder of the runs: finished ones in it are used, interrupted ones resumed. OUT/runs by default."""
    seeds: Annotated[tuple[int, ...], FROM_ZERO] = (0,)
    """A run of every model for each seed."""
    methods: tuple[str, ...] = ()
    """Rows of the table by their methods, as mask_rcnn two_heads vrsp; all of them by default."""
    iterations: Annotated[int | None, COUNT] = None
    """Steps of every run, if not the recipe's."""
    workers: Annotated[int | None, FROM_ZERO] = None
    """Processes that prepare batches, for each run."""
    at_once: Annotated[int | None, COUNT] = None
    """Runs at a time: one for each GPU by default, and one on a CPU."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1."""
    overwrite: bool = False
    """Replace files of the tables' names that no earlier `amodal bench` wrote, and tables with more rows."""


Tables = Annotated[TableSettings, tyro.conf.arg(name="")]


def bench_table1(*, settings: Tables = TableSettings()) -> None:
    """Table 1 of the paper: Mask R-CNN, with 8 convolutions too, ORCNN, SLN and VRSP, trained and measured alike.

    Trains what is not yet trained, evaluates it on all validation images, and writes the table as JSON, CSV and
    Markdown, after every run; the paper's numbers stand beside ours where the data set is the paper's. Can be stopped
    at any time: called again, it goes on where it was.

    Args:
        settings: What is trained, on what, and how.
    """
    _table("table1", settings)


def bench_table2(*, settings: Tables = TableSettings()) -> None:
    """Table 2 of the paper: VRSP without one part at a time. Works as table1, whose VRSP runs it uses.

    Args:
        settings: What is trained, on what, and how.
    """
    _table("table2", settings)


def bench_table3(*, settings: Tables = TableSettings()) -> None:
    """Table 3 of the paper: four ways for masks to attend to one another, without prior and re-classification.

    Works as table1.

    Args:
        settings: What is trained, on what, and how.
    """
    _table("table3", settings)


def _table(table: Literal["table1", "table2", "table3"], settings: TableSettings) -> None:
    from tqdm import tqdm

    from amodal.errors import UserError
    from amodal.outputs import own
    from amodal.paper import runs, tables, variants
    from amodal.paper.about import about
    from amodal.training.config import with_iterations
    from amodal.training.run_folder import CONFIG

    if not settings.seeds:
        raise UserError("no seeds given", remedy="Give --seeds 0, or --seeds 0 1 2")
    chosen = variants.table(table, settings.methods)
    config = variants.base(settings.recipe, settings.data)
    if settings.iterations is not None:
        config = with_iterations(config, settings.iterations)
    if settings.workers is not None:
        config = replace(config, workers=settings.workers)
    folder = settings.runs or settings.out / "runs"
    stem = settings.out / f"{table}_{variants.data_set(settings.recipe)}"
    origin = about(_command(table, settings), recipe=settings.recipe, seeds=settings.seeds)
    _claim(stem, chosen, settings)

    def write() -> list[Path]:
        found = tables.rows(chosen, config, folder, settings.seeds)
        return tables.write(stem, chosen, variants.data_set(settings.recipe), found, origin)

    todo = runs.jobs(chosen, config, folder, settings.seeds)
    runs.check_all(todo)
    own(job.folder for job in todo if (job.folder / CONFIG).is_file())  # they are used, or resumed
    runs.share_priors(todo, folder)
    failures = []
    with tqdm(total=len(todo), desc=table, unit="run") as progress:
        for job, error in runs.finish_all(todo, _devices(settings)):
            if error:
                failures.append(f"{job.folder.name}: {error}")
            write()
            progress.update()
    paths = write()
    print(paths[2].read_text(encoding="utf-8"))
    print("\n".join(str(path) for path in paths))
    if failures:
        raise UserError(f"{len(failures)} of {len(todo)} runs failed: {'; '.join(failures)}")


def _claim(stem: Path, table: "Table", settings: TableSettings) -> None:
    from amodal.paper import tables
    from amodal.paper.about import claim_own

    if not settings.overwrite:
        tables.refuse_loss(stem, table, settings.recipe, settings.seeds)
    claim_own(tables.paths(stem), tables.paths(stem)[-1])


def _command(table: str, settings: TableSettings) -> str:
    """The command that makes the table, with the user's own folders left out."""
    seeds = " ".join(map(str, settings.seeds))
    steps = f" --iterations {settings.iterations}" if settings.iterations is not None else ""
    methods = f" --methods {' '.join(settings.methods)}" if settings.methods else ""
    return f"amodal bench {table} --recipe {settings.recipe} --data DATA --seeds {seeds}{steps}{methods}"


def _devices(settings: TableSettings) -> list[str]:
    """A device for each run that goes at a time."""
    import torch

    use_all = settings.device in ("auto", "cuda") and torch.cuda.is_available()
    names = [f"cuda:{i}" for i in range(torch.cuda.device_count())] if use_all else [settings.device]
    count = len(names) if settings.at_once is None else settings.at_once
    return [names[i % len(names)] for i in range(count)]
