"""The command line: which commands there are. Each one imports what it needs when it runs."""

import sys
from collections.abc import Callable

import tyro

from amodal.errors import UserError


def commands() -> dict[str, Callable[..., None]]:
    """The commands by name. Their modules import nothing heavy."""
    from amodal.commands.evaluate import evaluate
    from amodal.commands.synth import synth
    from amodal.commands.train import train

    return {"synth": synth, "train": train, "evaluate": evaluate}


def main(arguments: list[str] | None = None) -> None:
    """Runs the command that the arguments name; a mistake of the user's is one line on standard error, status 2."""
    try:
        tyro.extras.subcommand_cli_from_dict(
            commands(),
            prog="amodal",
            description="Amodal instance segmentation: whole objects, and which part of them is seen.",
            args=arguments,
        )
    except UserError as error:
        print(f"amodal: {error}", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("amodal: stopped", file=sys.stderr)
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
