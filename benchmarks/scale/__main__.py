"""What a cluster costs: `--ray local` beside the plain command, with more and more rows, and with a worker killed.

    python -m benchmarks.scale rows        # amodal predict --ray on 1,000, 10,000 and 100,000 pictures
    python -m benchmarks.scale overhead    # amodal evaluate with --ray and without
    python -m benchmarks.scale recovery    # a worker is killed by SIGKILL in the middle
    python -m benchmarks.scale sizes       # bytes a picture and a detection in the command's memory
    python -m benchmarks.scale picture     # the packaged detector on a photograph
    python -m benchmarks.scale annotations # memory of many processes that hold the same annotations
    python -m benchmarks.scale.page        # writes the table in docs/how-to/scale.md from the figures

Each part is added to benchmarks/results/scale.json. Pictures are tiny (32 x 32) and the model is a small ORCNN of
random weights, so that what is measured is the machinery and not the model. `cpu` is the processors' time, in seconds,
of the command and all that it starts; that is what is compared, since a wall clock says nothing on a busy machine. A
cluster costs a part that is the same for any number of rows (its own processes, and the model in each worker) and a
part for each row: both come of two sizes. A part runs for some minutes; `--small` is for a look at whether it runs, and
writes nothing.
"""

import os
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from amodal.files import read_json, write_json
from amodal.paper.about import about
from benchmarks.scale import annotations, runs, sizes

RESULTS = Path(__file__).parents[1] / "results" / "scale.json"
PARTS = {
    "rows": runs.rows,
    "overhead": runs.overhead,
    "recovery": runs.recovery,
    "picture": runs.picture,
    "sizes": sizes.measure,
    "annotations": annotations.measure,
}


def main(part: str, *, small: bool) -> None:
    """Measures a part and adds it to the results."""
    load = os.getloadavg()[0]
    with TemporaryDirectory() as name:
        measured = PARTS[part](Path(name), small=small)
    details = {"cores": os.cpu_count(), "load_average": load, "small": small}
    measured["about"] = about(f"python -m benchmarks.scale {part}", **details)
    print(measured)
    if not small:
        known = read_json(RESULTS) if RESULTS.exists() else {}
        write_json(RESULTS, {**known, part: measured}, indent=1)


if __name__ == "__main__":
    main(sys.argv[1], small="--small" in sys.argv)
