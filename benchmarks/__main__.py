"""Every timing, one after the other: `make bench`. Results go to `benchmarks/results`, then the page is drawn."""

import subprocess
import sys

TIMINGS = ("formats", "evaluation", "convolutions", "speed", "speed.page", "onnx", "prompts")

for name in TIMINGS:
    print(f"== {name}", flush=True)
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
