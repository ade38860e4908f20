"""The command: `python -m benchmarks.fuzz --help`."""

import shlex
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import tyro

from amodal.files import write_json
from amodal.paper.about import about
from benchmarks.fuzz.readers import all_readers
from benchmarks.fuzz.workers import Limits, Outcome, Reader, Worker, attempt, keep

WRITE_EVERY = 60.0
"""Seconds between two states of the results' file, so that a run that is ended leaves what it found."""


@dataclass
class Tally:
    """What one reader made of its inputs so far."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    faults: int = 0
    processor_seconds: float = 0.0
    slowest: float = 0.0

    def add(self, outcome: Outcome) -> None:
        """Counts one more."""
        self.inputs += 1
        self.read += outcome.kind == "read"
        self.refused += outcome.kind == "refused"
        self.faults += outcome.is_fault
        self.processor_seconds += outcome.seconds
        self.slowest = max(self.slowest, outcome.seconds)


@dataclass(frozen=True)
class Args:
    """Damaged files for every reader."""

    seed: int = 0
    """Of all inputs."""
    count: int = 1_000_000
    """Stop after so many..."""
    seconds: float = 3600.0
    """...or after so long."""
    first: int = 0
    """Number of each reader's first input."""
    readers: tuple[str, ...] = ()
    """Only those whose names begin so."""
    number: int | None = None
    """Try only this input, in this process, and show where it ends."""
    keep: Path | None = None
    """A folder for the inputs that found a fault."""
    out: Path | None = None
    """The counts as JSON."""


def main(args: Args) -> int:
    """Runs; gives how many faults there were, at most 1."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        known = all_readers(Path(folder))
    readers = {one.name: one for one in known if not args.readers or one.name.startswith(args.readers)}
    for reader in readers.values():
        _check_whole(reader)
    if args.number is not None:
        return sum(_look_at(reader, args) for reader in readers.values())
    return min(1, len(_run(readers, args)))


def _check_whole(reader: Reader) -> None:
    for seed in reader.seeds:
        outcome = attempt(reader, seed.files, seed.target, Limits(60))
        if outcome.kind != "read":
            raise SystemExit(f"{reader.name}: whole files are not read: {outcome.kind}\n{outcome.trace}")


def _look_at(reader: Reader, args: Args) -> int:
    assert args.number is not None
    files, target = reader.input(args.seed, args.number)
    outcome = attempt(reader, files, target, Limits())
    print(f"{reader.name} {args.number}: {outcome.kind}\n{outcome.trace}")
    if args.keep:
        keep(files, args.keep / f"{reader.name}-{args.number}")
    return outcome.is_fault


def _run(readers: dict[str, Reader], args: Args) -> list[dict[str, Any]]:
    """The faults. Readers take turns so that each has as much of the processor."""
    tallies = {name: Tally() for name in readers}
    faults: list[dict[str, Any]] = []
    worker = Worker(readers, args.seed)
    began = written = time.monotonic()
    for _ in range(args.count):
        name = min(tallies, key=lambda one: (tallies[one].processor_seconds, tallies[one].inputs))
        number = args.first + tallies[name].inputs
        outcome = worker.attempt(name, number)
        tallies[name].add(outcome)
        if outcome.is_fault:
            faults.append({"reader": name, "number": number, "kind": outcome.kind})
            print(f"{name} {number}: {outcome.kind}\n{_place(outcome.trace)}", flush=True)
            if args.keep:
                keep(readers[name].input(args.seed, number)[0], args.keep / f"{name}-{number}")
        now = time.monotonic()
        if args.out and now - written > WRITE_EVERY:
            _write(args, tallies, faults, now - began)
            written = now
        if now - began > args.seconds:
            break
    worker.stop()
    total = sum(tally.inputs for tally in tallies.values())
    print(f"{total:,} inputs for {len(readers)} readers, {len(faults)} faults, {time.monotonic() - began:.0f} seconds")
    if args.out:
        _write(args, tallies, faults, time.monotonic() - began)
    return faults


def _place(trace: str) -> str:
    """The last lines of a trace."""
    return "\n".join(trace.splitlines()[-6:])


def _write(args: Args, tallies: dict[str, Tally], faults: list[dict[str, Any]], seconds: float) -> None:
    assert args.out is not None
    columns = ("inputs", "read", "refused", "faults", "processor_seconds", "slowest")
    details = {
        "seed": args.seed,
        "first": args.first,
        "inputs": sum(tally.inputs for tally in tallies.values()),
        "faults": faults,
        "seconds": round(seconds),
        "limits": {"processor_seconds": Limits().seconds, "bytes": Limits().num_bytes},
        "readers": {
            name: {column: round(getattr(tally, column), 3) for column in columns} for name, tally in tallies.items()
        },
    }
    command = shlex.join(["python", "-m", "benchmarks.fuzz", *sys.argv[1:]])
    write_json(args.out, about(command, **details), indent=1)


if __name__ == "__main__":
    sys.exit(main(tyro.cli(Args)))
