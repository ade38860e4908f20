"""`amodal bench masks`: mask branches trained and measured on one frozen detector's features."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import tyro

from amodal.arguments import COUNT, FROM_ZERO, Within
from amodal.commands.declared import READS, WRITES_IN

VARIANTS = ("two_heads", "mask_rcnn", "mask_rcnn_visible", "orcnn", "sln", "vrsp", "vrsp_unguided")


@dataclass(frozen=True)
class MaskSettings:
    """What is trained, on what, and how."""

    recipe: str = "eth80_small"
    """eth80_small, eth80, or demo (drawn objects, no files)."""
    data: Annotated[Path, READS] = Path("data")
    """Folder that holds the recipe's data set."""
    out: Annotated[Path, WRITES_IN] = Path("benchmarks/results")
    """Folder of the rows. Rows that are there are not trained again."""
    runs: Annotated[Path | None, WRITES_IN] = None
    """Folder of the detector, the shape prior and the features. OUT/runs/masks by default."""
    boxes: Literal["true", "own"] = "true"
    """Boxes and classes of the truth, or the detector's own, of those objects that it found."""
    width: Annotated[int, COUNT] = 32
    """Channels of every mask head."""
    training_scenes: Annotated[int, COUNT] = 1000
    """Scenes that branches learn from."""
    test_scenes: Annotated[int, COUNT] = 300
    """Scenes that they are measured on."""
    device: str = "auto"
    """auto, cpu, cuda or cuda:1. Numbers differ a little from device to device."""
    overwrite: bool = False
    """Replace files of the rows' names that no earlier `amodal bench` wrote."""


Masks = Annotated[MaskSettings, tyro.conf.arg(name="")]


def bench_masks(
    *,
    variants: tuple[str, ...] = VARIANTS,
    steps: Annotated[tuple[int, ...], COUNT] = (300,),
    lr: Annotated[tuple[float, ...], Within(0, above=True)] = (),
    seeds: Annotated[tuple[int, ...], FROM_ZERO] = (0,),
    against: tuple[str, ...] = ("two_heads", "vrsp"),
    settings: Masks = MaskSettings(),
) -> None:
    """The mask branches alone: each trained on the features of one frozen detector, in a minute, and compared.

    AP mixes boxes, classes, scores and masks. Here every variant learns the same objects in the same order and answers
    for the same others, so that differences are taken in pairs, with 95 % intervals by a bootstrap over images and
    seeds. Can be stopped at any time: called again, it goes on where it was.

    Args:
        variants: Methods of `amodal train`'s recipes (two_heads, orcnn, ...) and VRSP's variants (vrsp_unguided, ...).
        steps: Lengths of training; every variant is trained anew for each.
        lr: Highest learning rates; every variant is trained anew for each, since a rate may suit one better. The
            recipe's where none is given.
        seeds: A training of every variant for each.
        against: Variants that the others are compared to, as `two_heads`; as `two_heads@1200` for those steps, or
            `two_heads@1200@0.004` for those steps and that rate.
        settings: What is trained, on what, and how.
    """
    from tqdm import tqdm

    from amodal.errors import UserError
    from amodal.files import read_json, replacing, write_json
    from amodal.outputs import own
    from amodal.paper import branch_rows
    from amodal.paper import variants as known
    from amodal.paper.about import about, claim_own
    from amodal.paper.branch_table import markdown

    if not seeds or not steps or not variants:
        raise UserError("no variants, steps or seeds given", remedy="Give --variants vrsp --steps 300 --seeds 0")
    bases = [branch_rows.Base.of(one) for one in against]
    bench = _bench(settings)
    for name in variants:
        known.variant(bench.config, name)
    path = settings.out / f"masks_{known.data_set(settings.recipe)}.json"
    table = path.with_suffix(".md")
    claim_own([path, table], path)
    bench.check()
    own([bench.runs])
    shared = branch_rows.settings(bench)
    content: dict[str, Any] = {"rows": [], "differences": [], "about": {"settings": shared}}
    if path.exists():
        content = read_json(path)
        if content["about"].get("settings") != shared:
            raise UserError("holds rows of other settings", file=path, remedy="Name another --out")

    def write() -> None:
        command = f"amodal bench masks --recipe {settings.recipe} --data DATA"
        content["about"] = about(command, recipe=settings.recipe, settings=shared)
        write_json(path, content, indent=1)

    training = [(count, rate, seed) for count in steps for rate in lr or (None,) for seed in seeds]
    wanted = [branch_rows.Asked(name, count, seed, rate) for count, rate, seed in training for name in variants]
    todo = branch_rows.missing(content["rows"], bench, wanted)
    for row in tqdm(branch_rows.run(bench, todo), total=len(todo), desc="masks", unit="row"):
        content["rows"].append(row)
        write()
    content["differences"] = [one for base in bases for one in branch_rows.differences(content["rows"], bench, base)]
    write()
    with replacing(table) as temporary:
        temporary.write_text(markdown(content, bases[0].variant if bases else ""), encoding="utf-8")
    print(table.read_text(encoding="utf-8"))
    print(f"{path}\n{table}")


def _bench(settings: MaskSettings) -> Any:
    from amodal.paper import variants
    from amodal.paper.branch_rows import Amount, Bench
    from amodal.paper.branches import Plan

    return Bench(
        variants.base(settings.recipe, settings.data),
        settings.runs or settings.out / "runs" / "masks",
        Plan(width=settings.width, boxes=settings.boxes),
        Amount(settings.training_scenes, settings.test_scenes),
        settings.device,
    )
