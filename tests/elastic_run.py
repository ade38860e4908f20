"""A training under torchrun whose second process is killed in the middle of a step, twice; and goes on each time."""

import os
import signal
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from amodal.cli import main
from amodal.training import loop, recipes
from tests.training.test_loop import tiny_run

KILLED = {"0": 7, "1": 12}
"""The step in which the process of each start is killed."""


def main_killed() -> None:
    advance, start = loop.advance, os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")

    def advancing(run: loop.Run, *rest: Any) -> Any:
        if os.environ["RANK"] == "1" and KILLED.get(start) == run.step + 1 and "KILLS" in os.environ:
            Path(os.environ["KILLS"], f"{start}-{run.step}").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return advance(run, *rest)

    torch.set_num_threads(1)
    loop.advance = advancing
    config = replace(tiny_run(16), checkpoint_every=5)
    recipes.recipe = lambda *_: config  # type: ignore[assignment]
    main(sys.argv[1:])


if __name__ == "__main__":
    main_killed()
