"""A command that is stopped says a line that goes on with it, of flags that it has."""

import re
import shlex
import signal

import pytest

from amodal import cli
from amodal.cli import COMMANDS, GROUPS, main
from amodal.errors import Stopped

EVERY = [[name] for name in COMMANDS] + [[group, name] for group, (_, names) in GROUPS.items() for name in names]


@pytest.mark.parametrize("words", EVERY, ids=" ".join)
def test_the_line_has_no_flag_that_the_command_lacks(words, capsys, monkeypatch):
    with pytest.raises(SystemExit):
        main([*words, "--help"])
    known = set(re.findall(r"--[a-z][a-z-]*", capsys.readouterr().out))

    def stopped(_: list[str]) -> None:
        raise Stopped(signal.SIGINT, "step 1 of 2 is saved", resumable=True)

    monkeypatch.setattr(cli, "_dispatch", stopped)
    with pytest.raises(Stopped):
        main([*words, "--out", "folder"])
    line = capsys.readouterr().err.partition("Go on with: ")[2]
    program, *again = shlex.split(line)
    assert [program, *again[: len(words)]] == ["amodal", *words]
    assert {word for word in again if word.startswith("--")} - {"--out"} == known & {"--resume"}
