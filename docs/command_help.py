"""The `help` macro of the documentation's pages: what a command says of itself, taken from the command."""

import contextlib
import io
import os
import re
import textwrap
from typing import Any
from unittest import mock

from amodal.cli import main

WIDTH = 92
"""Columns of the text."""


def define_env(env: Any) -> None:
    """Called by the site's builder: makes `help` known to the pages."""
    env.macro(describe, "help")


def describe(command: str) -> str:
    """What `amodal COMMAND --help` says as Markdown: its description, and its options to open on a click."""
    text = help_text(command)
    parts = re.fullmatch(
        rf"(usage: amodal {command} .*?)\n\n(.*?)\n\n( (?:positional arguments|options)\n.*)", text, re.DOTALL
    )
    if parts is None:
        raise ValueError(f"no command '{command}', or one without description or options:\n{text}")
    usage, description, options = parts.groups()
    block = textwrap.indent(f"{usage}\n\n{options}", "    ")
    return f'{description}\n\n??? note "All options of amodal {command}"\n\n    ```text\n{block}\n    ```\n'


def help_text(command: str) -> str:
    """What `amodal COMMAND --help` prints."""
    out = io.StringIO()
    width = mock.patch.dict(os.environ, {"COLUMNS": str(WIDTH)})
    with width, contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
        main([*command.split(), "--help"])
    return "\n".join(line.rstrip() for line in out.getvalue().strip("\n").splitlines())
