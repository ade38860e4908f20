"""Measures speed and writes it down.

    python -m benchmarks.speed                    # every part: about 12 minutes
    python -m benchmarks.speed codebook masks     # some
    python -m benchmarks.speed --quick --out FILE # every path, with sizes that mean nothing

Each part runs in a process of its own, on one thread, and replaces its rows in benchmarks/results/speed.json.
`python -m benchmarks.speed.page` then draws docs/performance.md.
"""

import argparse
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from time import perf_counter

from benchmarks.speed import PARTS
from benchmarks.speed.harness import RESULTS, run


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", help=f"of {', '.join(PARTS)}; all if none is named")
    parser.add_argument("--quick", action="store_true", help="tiny sizes, a few seconds: do the parts run?")
    parser.add_argument("--out", type=Path, default=RESULTS)
    given = parser.parse_args()
    if given.quick and given.out == RESULTS:
        parser.error("--quick measures nothing worth keeping: give --out")
    if unknown := set(given.parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))
    failed = []
    for part in given.parts or PARTS:
        print(f"== {part}", flush=True)
        began = perf_counter()
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as process:
            error = process.submit(run, part, given.quick, given.out).exception()
        if error:
            print(error.__cause__ or error)
            failed.append(part)
        print(f"   {perf_counter() - began:.0f} s", flush=True)
    if failed:
        parser.exit(1, f"failed: {', '.join(failed)}; the others are written\n")


if __name__ == "__main__":
    main()
