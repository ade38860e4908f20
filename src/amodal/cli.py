"""The command line: which commands there are. Each one imports what it needs when it runs."""

import sys
from collections.abc import Callable
from typing import Any

import tyro

from amodal.commands.bench import bench_table1, bench_table2, bench_table3
from amodal.commands.bench_figures import bench_figure1, bench_figure3, bench_figure4, bench_figure5, bench_masks
from amodal.commands.compare import compare
from amodal.commands.complete import complete
from amodal.commands.convert import convert
from amodal.commands.data import data_check, data_prepare, data_show
from amodal.commands.declared import checked
from amodal.commands.demo import demo
from amodal.commands.evaluate import evaluate
from amodal.commands.export import export
from amodal.commands.predict import predict
from amodal.commands.prior import prior_convert, prior_fit, prior_show
from amodal.commands.push import push
from amodal.commands.synth import synth
from amodal.commands.train import train
from amodal.errors import UserError

Commands = dict[str, Callable[..., Any]]

COMMANDS: Commands = {
    "synth": synth,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "predict": predict,
    "complete": complete,
    "convert": convert,
    "export": export,
    "push": push,
    "demo": demo,
}

GROUPS: dict[str, tuple[str, Commands]] = {
    "data": (
        "Check annotations, look at a data set, get a public one ready.",
        {"check": data_check, "show": data_show, "prepare": data_prepare},
    ),
    "prior": (
        "Fit the shape prior, look at it, read the authors' files.",
        {"fit": prior_fit, "show": prior_show, "convert": prior_convert},
    ),
    "bench": (
        "The paper's tables and figures, each by one command.",
        {
            "table1": bench_table1,
            "table2": bench_table2,
            "table3": bench_table3,
            "figure1": bench_figure1,
            "figure3": bench_figure3,
            "figure4": bench_figure4,
            "figure5": bench_figure5,
            "masks": bench_masks,
        },
    ),
}
"""Commands of two words: `amodal data check`."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name; a mistake of the user's is one line on standard error, status 2."""
    given = sys.argv[1:] if arguments is None else arguments
    try:
        if given and given[0] in GROUPS:
            description, commands = GROUPS[given[0]]
            _run(commands, f"amodal {given[0]}", description, given[1:])
        else:
            headings = {name: _heading(description) for name, (description, _) in GROUPS.items()}
            description = "Amodal instance segmentation: whole objects, and which part of them is seen."
            _run(COMMANDS | headings, "amodal", description, given)
    except UserError as error:
        print(f"amodal: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except OSError as error:  # a full disk, a folder that may not be written
        print(f"amodal: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("amodal: stopped", file=sys.stderr)
        raise SystemExit(130) from None


def _run(commands: Commands, prog: str, description: str, arguments: list[str]) -> None:
    behind_checks = {name: checked(command) for name, command in commands.items()}
    tyro.extras.subcommand_cli_from_dict(behind_checks, prog=prog, description=description, args=arguments)


def _heading(description: str) -> Callable[[], None]:
    """Stands for a group in the list of commands; `main` has taken the group's own arguments before."""

    def group() -> None: ...

    group.__doc__ = description
    return group


if __name__ == "__main__":
    main()
