"""`amodal join`: shards of predictions as one file of COCO results."""

from pathlib import Path
from typing import Annotated

import tyro

from amodal.commands.declared import READS, WRITES


def join(
    shards: Annotated[Path, tyro.conf.Positional, READS],
    *,
    out: Annotated[Path, WRITES],
    images: Annotated[Path | None, WRITES] = None,
    overwrite: bool = False,
) -> None:
    """Makes one file of COCO results of the shards that `amodal predict --ray` has written.

    Memory holds one shard. Pictures that could not be predicted are named, as `amodal predict` has named them; they
    are no mistake of this command, whose exit status is 0.

    Args:
        shards: The folder of the shards.
        out: The results to write, as JSON.
        images: Also write the pictures with their ids and sizes, and the categories, as JSON. Called images.json and
            beside the results, it lets `amodal evaluate` match both by their names.
        overwrite: Replace files that are there.
    """
    import sys

    from amodal.formats.predicted import IMAGES
    from amodal.scale.prediction import join as join_shards
    from amodal.scale.shards import ShardFolder

    joined = join_shards(ShardFolder(shards), out, images)
    for line in joined.lines():
        print(f"amodal: {line}", file=sys.stderr)
    if joined.failed:
        print(f"amodal: {joined.failed:,} pictures failed, which have no results", file=sys.stderr)
    if images is None or images.absolute() != out.absolute().with_name(IMAGES):
        remedy = f"with --images {out.with_name(IMAGES)} by their names"
        print(f"amodal: `amodal evaluate` will match pictures by these results' numbers; {remedy}", file=sys.stderr)
    print(f"{out}: {joined.objects:,} objects in {joined.images:,} images")
