"""The command line: which commands there are. Each one imports what it needs when it runs."""

import inspect
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import tyro

from amodal import __version__
from amodal.commands.bench import bench_table1, bench_table2, bench_table3
from amodal.commands.bench_figures import (
    bench_figure1,
    bench_figure3,
    bench_figure4,
    bench_figure5,
    bench_trained_masks,
)
from amodal.commands.bench_masks import bench_masks
from amodal.commands.compare import compare
from amodal.commands.complete import complete
from amodal.commands.convert import convert
from amodal.commands.cutouts import cutouts
from amodal.commands.data import data_check, data_prepare, data_show
from amodal.commands.declared import checked
from amodal.commands.demo import demo
from amodal.commands.evaluate import evaluate
from amodal.commands.export import export
from amodal.commands.join import join
from amodal.commands.predict import predict
from amodal.commands.prior import prior_convert, prior_fit, prior_show
from amodal.commands.push import push
from amodal.commands.synth import synth
from amodal.commands.train import train
from amodal.errors import Stopped, UserError, ended_gently, signal_of, unknown

Commands = dict[str, Callable[..., Any]]

COMMANDS: Commands = {
    "synth": synth,
    "cutouts": cutouts,
    "train": train,
    "evaluate": evaluate,
    "compare": compare,
    "predict": predict,
    "complete": complete,
    "join": join,
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
            "trained-masks": bench_trained_masks,
        },
    ),
}
"""Commands of two words: `amodal data check`."""


LESS_MEMORY = "Give a smaller --batch-size, smaller images or fewer --workers, or --device cpu"

DEBUG = "AMODAL_DEBUG"
"""Set in the environment, it shows tracebacks."""


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name; a mistake of the user's is one line on standard error, status 2.

    What nobody foresaw is one line too, status 1, with its traceback in a file.
    """
    given = sys.argv[1:] if arguments is None else arguments
    try:
        with ended_gently():
            _dispatch(given)
            sys.stdout.flush()
    except UserError as error:
        _stop(str(error), 2)
    except Stopped as stopped:
        print(f"amodal: {stopped.reason}. {_how_to_go_on(given, stopped)}", file=sys.stderr)
        raise
    except KeyboardInterrupt as interruption:
        _stop("stopped", 128 + signal_of(interruption))
    except BrokenPipeError:  # whoever reads the output has heard enough, as `head` does
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(141) from None
    except OSError as error:  # a full disk, a folder that may not be written
        _reveal()
        _stop(f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error), 2)
    except Exception as error:
        _reveal()
        said = (str(error).strip() or "it says no more").splitlines()[0]
        if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":  # torch's, which is not loaded
            _stop(f"out of memory ({said}). {LESS_MEMORY}", 2)
        _stop(f"a mistake of the program: {type(error).__name__}: {said}. The details are in {_traceback_file()}", 1)


def _stop(message: str, status: int) -> NoReturn:
    print(f"amodal: {message}", file=sys.stderr)
    raise SystemExit(status) from None


def _reveal() -> None:
    """Raises the error at hand as it is, if the environment asks for it."""
    if os.environ.get(DEBUG):
        raise  # noqa: PLE0704 - called where an error is handled


def _traceback_file() -> str:
    """A new file with the traceback of the error at hand."""
    with tempfile.NamedTemporaryFile("w", prefix="amodal-", suffix=".txt", delete=False, encoding="utf-8") as file:
        file.write(f"amodal {__version__}, Python {sys.version}\n{traceback.format_exc()}")
    return file.name


def _dispatch(given: list[str]) -> None:
    first = given[0] if given else "--help"
    if first == "--version":
        print(f"amodal {__version__}")
    elif first in GROUPS:
        description, commands = GROUPS[first]
        _require_known(given[1:], commands, f"amodal {first}")
        _run(commands, f"amodal {first}", description, given[1:] or ["--help"])
    else:
        headings = {name: _heading(description) for name, (description, _) in GROUPS.items()}
        _require_known(given, COMMANDS | headings, "amodal")
        description = "Amodal instance segmentation: whole objects, and which part of them is visible."
        _run(COMMANDS | headings, "amodal", description, given or ["--help"])


def _require_known(given: list[str], commands: Commands, prog: str) -> None:
    """Raises UserError unless the first word, if it is no flag, is one of the commands."""
    if given and not given[0].startswith("-") and given[0] not in commands:
        raise unknown(f"no command is called '{prog} {given[0]}'", given[0], commands)


def _how_to_go_on(given: list[str], stopped: Stopped) -> str:
    again = _going_on(given) if stopped.resumable else given
    place = os.environ
    if "TORCHELASTIC_RUN_ID" not in place:
        return f"{'Go on' if stopped.resumable else 'Start again'} with: {shlex.join(['amodal', *again])}"
    nodes = ["--nnodes", place["GROUP_WORLD_SIZE"], "--node-rank", place["GROUP_RANK"]]
    nodes += ["--master-addr", place["MASTER_ADDR"], "--master-port", place["MASTER_PORT"]]
    several = place["GROUP_WORLD_SIZE"] != "1"
    torchrun = ["torchrun", *(nodes if several else []), "--nproc-per-node", place["LOCAL_WORLD_SIZE"]]
    where = " (each machine has its own --node-rank)" if several else ""
    return f"Go on with: {shlex.join([*torchrun, '-m', 'amodal.cli', *again])}{where}"


def _going_on(given: list[str]) -> list[str]:
    """The words that go on with what these began. A command without `--resume`, as the bench's, does so by itself."""
    commands, name = (GROUPS[given[0]][1], given[1]) if given[0] in GROUPS else (COMMANDS, given[0])
    if "resume" not in inspect.signature(commands[name]).parameters:
        return given
    kept = [word for word in given if word not in ("--overwrite", "--resume")]  # to start anew is what nobody wants now
    return [*kept, "--resume"]


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
