"""What `amodal train` is told beside the recipe: on which data, and what differs."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from amodal.arguments import COUNT, FROM_ZERO, Within
from amodal.commands.declared import READS, WRITES_IN


@dataclass(frozen=True)
class DataSet:
    """What is trained on."""

    data: Annotated[Path, READS] = Path("data")
    """Folder that holds the recipe's data set."""
    train: Annotated[tuple[str, ...], READS] = ()
    """Annotations of your own to train on, in any known format, in place of the recipe's data set; or WebDataset's
    shards, by path or address: 'shard-{000..099}.tar', s3://BUCKET/shards."""
    val: Annotated[tuple[str, ...], READS] = ()
    """Annotations of your own to validate on, with the same categories."""
    images: Annotated[str | None, READS] = None
    """Image folder of both, if it is not found near the annotations; or archives (.tar) that hold the images."""
    cache: Annotated[Path | None, WRITES_IN] = None
    """A folder on this machine's own disk. The annotations are kept there in a file that all processes of the machine
    map into memory, in place of a copy in each: for millions of objects."""


@dataclass(frozen=True)
class Changes:
    """What differs from the recipe."""

    iterations: Annotated[int | None, COUNT] = None
    """Steps of the run; warm-up, milestones and validations move in proportion."""
    batch_size: Annotated[int | None, COUNT] = None
    """Images of a step, in all processes together."""
    lr: Annotated[float | None, Within(0, above=True)] = None
    """Highest learning rate."""
    seed: Annotated[int | None, FROM_ZERO] = None
    """Of all random numbers but those of the validation scenes."""
    prior: Annotated[Path | None, READS] = None
    """A shape prior made by `amodal prior fit`; otherwise a VRSP run fits its own."""
    start_from: Annotated[str | None, READS] = None
    """A checkpoint, hf://USER/MODEL or photos to start from, of which all that fits is taken; or `coco`, torchvision's
    detector."""
    validate_every: Annotated[int | None, FROM_ZERO] = None
    """Steps between validations; 0 validates only in the end."""
    checkpoint_every: Annotated[int | None, COUNT] = None
    """Steps between checkpoints."""
    workers: Annotated[int | None, FROM_ZERO] = None
    """Processes that prepare batches, for each process that trains."""
    mixed_precision: bool | None = None
    """Whether the forward pass runs in bfloat16 on a GPU."""
    compile: bool | None = None
    """Whether the backbone is compiled (torch.compile) first, for long runs on a GPU."""


RECIPES_DATA = DataSet()
NO_CHANGES = Changes()
