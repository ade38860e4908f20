"""`amodal push`: a checkpoint to the Hugging Face hub."""

from pathlib import Path
from typing import Annotated

import tyro

from amodal.commands.declared import READS


def push(
    checkpoint: Annotated[str, tyro.conf.Positional, READS],
    repository: tyro.conf.Positional[str],
    *,
    report: Annotated[Path | None, READS] = None,
    private: bool = False,
) -> None:
    """Puts a checkpoint on the Hugging Face hub, from where `amodal.load("hf://USER/MODEL")` has it.

    A model card is written from what the checkpoint says of itself: method, categories, data, settings. Log in before,
    with `hf auth login`, or set HF_TOKEN.

    Args:
        checkpoint: A checkpoint that `amodal train` wrote, or the name of a model in the package.
        repository: USER/MODEL; made if it is not there.
        report: The JSON of `amodal evaluate --out`: its numbers are put on the card.
        private: Hide a new repository from others.
    """
    from amodal.inference.hub import push_to_hub
    from amodal.inference.model_files import checkpoint_file

    print(push_to_hub(checkpoint_file(checkpoint), repository, report=report, private=private))
