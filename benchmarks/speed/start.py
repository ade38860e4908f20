"""How long the command line takes to say something."""

import subprocess
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from unittest.mock import patch

from amodal import cli, sample
from benchmarks.speed.harness import Measured, Row, centre, compare, timed

TITLE = "Starting"
HELP = [sys.executable, "-m", "amodal.cli", "--help"]
MODEL = [sys.executable, "-c", "import amodal; amodal.load('demo', 'cpu')"]
TORCH = [sys.executable, "-c", "import torch"]
NOTHING = [sys.executable, "-c", ""]
LOADED = """
import sys
from amodal.cli import main
sys.argv = ["amodal", "--help"]
try:
    main()
except SystemExit:
    pass
print("torch" in sys.modules, file=sys.stderr)
"""


def run(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


def here(command: list[str]) -> str:
    """The same in this process, which has imported most of it."""
    kind, what, *arguments = command[1:]
    with redirect_stderr(StringIO()) as said, redirect_stdout(StringIO()), patch.object(sys, "argv", [what]):
        try:
            exec(what, {}) if kind == "-c" else cli.main(arguments)
        except SystemExit as ended:
            if ended.code:
                raise
    return said.getvalue()


def measure(quick: bool) -> Measured:
    repetitions, rival, run_it = (1, NOTHING, here) if quick else (7, TORCH, run)
    help_seconds = [timed(lambda: run_it(HELP)) for _ in range(repetitions)]
    imports = compare(
        lambda: run_it([sys.executable, "-c", "import amodal"]),
        lambda: run_it(rival),
        repetitions=max(repetitions // 2, 1),
    )
    with tempfile.TemporaryDirectory() as folder:
        answer = [sys.executable, "-m", "amodal.cli", "predict", str(sample()), "--model", "demo"]
        answer += ["--device", "cpu", "--overwrite", "--out", folder]
        first, whole = (
            compare(lambda ours=ours: run_it(ours), lambda: run_it(rival), repetitions=repetitions)
            for ours in (MODEL, answer)
        )
    rows = [
        Row("`amodal --help`, seconds", "-", *centre(help_seconds), "seconds", 1.0, {"ratios": help_seconds}),
        Row("`import amodal`, seconds", "-", *centre(imports.ours), "seconds", 1.0, {"ratios": imports.ours}),
        imports.row("`import amodal`", "`import torch`"),
        first.row('`amodal.load("demo")`, in a new process', "`import torch`", 1.5, sense="times as long"),
        whole.row("`amodal predict PICTURE`, the whole command", "`import torch`", 2, sense="times as long"),
    ]
    return Measured(rows, facts={"help_loads_torch": run_it([sys.executable, "-c", LOADED]).strip() == "True"})


def describe(measured: Measured) -> str:
    shown, imported, against, *first = measured.rows
    loaded = "loads" if measured.facts["help_loads_torch"] else "does not load"
    text = f"""`amodal --help` answers in {shown.ratio:.2f} s and {loaded} torch; `import amodal` takes
{imported.ratio:.2f} s, `import torch` {against.details["rival_seconds"]:.1f} s. What needs torch imports it when it is
called."""
    if not first:  # measured before the first answer was
        return text
    model, answer = first
    return f"""{text} A new process has the packaged model loaded in {model.ratio:.2f} times the
time of `import torch`, and the whole command `amodal predict PICTURE` takes {answer.ratio:.2f} times as long. Python
compiles what it imports the first time: install with `--compile-bytecode`, or the first command takes twice as long."""
