"""Every timing, one after the other: `make bench`. Each writes its own file below `benchmarks/results`."""

import subprocess
import sys
from pathlib import Path

TIMINGS = ("formats", "evaluation")

for name in TIMINGS:
    path = Path(__file__).parent / f"{name}.py"
    print(f"== {path.name}", flush=True)
    subprocess.run([sys.executable, str(path)], check=True)
