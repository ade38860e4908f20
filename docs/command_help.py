"""Writes into `commands.md` what each command says of itself. Run it after a change to a command's help.

    python docs/command_help.py

A section holds, after its examples, a mark with the command's name; what follows the mark, up to the next heading,
is this script's. A test compares it to the commands.
"""

import contextlib
import io
import os
import re
from pathlib import Path
from unittest import mock

from amodal.cli import main

PAGE = Path(__file__).parent / "commands.md"
WIDTH = 92
"""Columns of the text."""
SECTION = re.compile(r"(<!-- help: (?P<command>.+?) -->\n).*?(?=^#|\Z)", re.MULTILINE | re.DOTALL)


def written(page: str) -> str:
    """The page with the help of every command that it marks."""
    whole = SECTION.sub(lambda found: f"{found[1]}\n{describe(found['command'])}\n", page)
    return whole.rstrip("\n") + "\n"


def describe(command: str) -> str:
    """What `amodal COMMAND --help` says as Markdown: its description, and its options to open on a click."""
    text = help_text(command)
    parts = re.fullmatch(
        rf"(usage: amodal {command} .*?)\n\n(.*?)\n\n( (?:positional arguments|options)\n.*)", text, re.DOTALL
    )
    if parts is None:
        raise ValueError(f"no command '{command}', or one without description or options:\n{text}")
    usage, description, options = parts.groups()
    # A forge takes the attribute for nothing, and the site's builder reads what is inside as Markdown for its sake.
    head = f'<details markdown="1">\n<summary>All options of amodal {command}</summary>'
    return f"{description}\n\n{head}\n\n```text\n{usage}\n\n{options.rstrip()}\n```\n\n</details>\n"


def help_text(command: str) -> str:
    """What `amodal COMMAND --help` prints."""
    out = io.StringIO()
    width = mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH)})
    with width, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines())


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
