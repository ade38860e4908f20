"""Whether training waits for its data."""

import tempfile
from pathlib import Path
from time import perf_counter

from amodal.data.loading import batches
from benchmarks.speed import small
from benchmarks.speed.harness import Measured, Row, centre

TITLE = "Data loading"
RECIPE = "demo recipe: 8 scenes of 160 pixels a step"


def measure(quick: bool) -> Measured:
    """Steps with scenes composed on the way, in the process itself and by workers. The first step is not counted."""
    num_steps, choices = (1, (0, 1)) if quick else (10, (0, 1, 2))
    profile, rows = [], []
    with tempfile.TemporaryDirectory() as folder:
        run = small.opened(Path(folder), quick=quick)
        for workers in choices:
            waits, computes = [], []
            asked = perf_counter()
            for batch in batches(run.items, range(num_steps + 1), workers=workers):
                given = perf_counter()
                small.step(run, batch)
                waits.append(given - asked)
                asked = perf_counter()
                computes.append(asked - given)
            waits, computes = waits[1:], computes[1:]
            profile.append({"workers": workers, "waiting": waits, "computing": computes})
            shares = [wait / (wait + compute) for wait, compute in zip(waits, computes, strict=True)]
            who = "1 worker" if workers == 1 else f"{workers} workers"
            name = f"Share of a training step spent waiting for data, {who}"
            details = {"seconds": centre(waits)[0], "rival_seconds": centre(computes)[0], "ratios": shares}
            aim = 0.02 if workers else None
            rows.append(Row(name, f"the step, {RECIPE}", *centre(shares), "share", aim, details))
    return Measured(rows, facts={"profile": profile})


def describe(measured: Measured) -> str:
    alone, *helped = measured.rows
    seconds = helped[0].details["seconds"]
    shares = ", ".join(f"{100 * row.ratio:.1f} % with {number}" for number, row in enumerate(helped, start=1))
    return f"""Batches are composed by worker processes while the step before runs; batch n is a function of the seed
and n. A step of the smallest model ({RECIPE}) takes {alone.details["rival_seconds"]:.2f} s on one thread;
without a worker {100 * alone.ratio:.0f} % of the time would go into its scenes. With workers the loop waits
{1e3 * seconds:.0f} ms for a batch, as a share: {shares}.

![Each step's time, and in it the wait for its data](pictures/speed-loading.svg)"""
