"""Damaged files for every reader, for some seconds; and that the harness tells every way of going wrong."""

import os
import subprocess
import sys
from pathlib import Path
from time import process_time
from typing import Any

import pytest
from benchmarks.fuzz.mutators import mutated
from benchmarks.fuzz.workers import Limits, Reader, Seed, Worker

from amodal.errors import UserError
from tests.places import ROOT

SECONDS = 10
LIMITS = Limits(seconds=0.5, num_bytes=2**27, patience=10.0)


def test_every_reader_gives_its_object_or_one_line() -> None:
    pytest.importorskip("av")
    pytest.importorskip("onnxruntime")
    command = [sys.executable, "-m", "benchmarks.fuzz", "--seconds", str(SECONDS), "--seed", "1"]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, env=environment)
    assert done.returncode == 0, done.stdout + done.stderr
    assert " 0 faults" in done.stdout


def refusing(path: Path) -> None:
    raise UserError("no such thing", file=path)


def raising(path: Path) -> None:
    raise KeyError(path.name)


def chattering(path: Path) -> None:
    error = UserError("fine")
    error.args = ("two\nlines",)
    raise error


def looping(_: Path) -> None:
    began = process_time()
    while process_time() - began < 0.7:
        pass


def hoarding(_: Path) -> int:
    return len(b"x" * 2**28)


def overreaching(path: Path) -> None:
    try:
        bytearray(2**40)
    except MemoryError as error:
        raise UserError("cannot be read", file=path) from error


def forbidden(path: Path) -> None:
    try:
        raise OSError(12, "Cannot allocate memory", str(path))
    except OSError as error:
        raise UserError(f"cannot be read ({error})", file=path) from error


def crashing(_: Path) -> None:
    os.abort()


@pytest.mark.parametrize(
    ("read", "kind"),
    [
        (Path.read_bytes, "read"),
        (refusing, "refused"),
        (forbidden, "refused"),
        (raising, "KeyError: 'a.json'"),
        (chattering, "not one printable line"),
        (looping, "seconds of the processor"),
        (hoarding, "MiB of memory"),
        (overreaching, "memory was asked for in vain"),
        (crashing, "died of signal 6"),
    ],
)
def test_every_way_of_going_wrong_is_told(read: Any, kind: str) -> None:
    worker = Worker({"it": Reader("it", read, [Seed({"a.json": b"{}"}, "a.json")])}, 0, LIMITS)
    outcome = worker.attempt("it", 0)
    worker.stop()
    assert kind in outcome.kind
    assert outcome.is_fault == (kind not in ("read", "refused"))


def test_an_input_is_the_same_for_the_same_seed_and_number() -> None:
    folder = Seed({"a.json": b'{"a": [1, 2, {"b": "text"}]}', "b.txt": b"1 2 3\n4 5 6", "c.png": b"fixed"})
    reader = Reader("it", Path.read_bytes, [folder])
    first = [reader.input(0, number)[0] for number in range(200)]
    assert first == [reader.input(0, number)[0] for number in range(200)]
    assert first != [reader.input(1, number)[0] for number in range(200)]
    assert {files["c.png"] for files in first} == {b"fixed"}
    assert sum(files != folder.files for files in first) > 180


def test_damage_reaches_json_in_headers() -> None:
    import json
    import random
    import struct

    about = {"config": {"box_width": 16}}
    header = json.dumps({"__metadata__": {"kind": "x", "about": json.dumps(about)}, "w": {"shape": [2]}}).encode()
    content = struct.pack("<Q", len(header)) + header + bytes(8)
    found = [mutated(content, random.Random(seed)) for seed in range(200)]
    texts = [one.decode("latin1") for one in found]
    assert sum('\\"box_width\\"' in text and "16}" not in text for text in texts) > 5
    assert sum('"shape": [2]' not in text and "box_width" in text for text in texts) > 5
