"""Two processes beside one at the same global batch, under torchrun on a CPU.

python -m benchmarks.speed.scaling FOLDER STEPS IMAGES  # the run itself, alone or below torchrun
"""

import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import torch

from amodal.data.config import DataConfig
from amodal.files import read_json
from amodal.training import loop, recipes, run_folder
from amodal.training.config import PriorSource, ValidationConfig, with_iterations
from benchmarks.speed.harness import Measured, Timing
from benchmarks.speed.small import packaged_prior

TITLE = "Processes"


def measure(quick: bool) -> Measured:
    steps, images, repetitions = (1, 2, 1) if quick else (12, 8, 2)
    ours, rivals = [], []
    with tempfile.TemporaryDirectory() as name:
        for repetition in range(repetitions):
            # One where nothing is measured: two are `tests/training/test_loop_in_two_processes.py`.
            ours.append(seconds(Path(name) / f"two{repetition}", 1 if quick else 2, (steps, images)))
            rivals.append(seconds(Path(name) / f"one{repetition}", 1, (steps, images), here=quick))
    cores = len(os.sched_getaffinity(0))
    row = Timing(ours, rivals).row(
        "Training with two processes, demo recipe, 8 images a step", "one process, the same 8 images", cores=cores
    )
    return Measured([row], facts={"cores": cores, "steps": steps})


def seconds(folder: Path, processes: int, size: tuple[int, int], *, here: bool = False) -> float:
    """What the run's metrics.json says that its steps took, the wait for the first batch included.

    `size` is steps, and images of a step; `here` runs one process in this one.
    """
    folder.mkdir()
    if here:
        main(folder, *size)
    else:
        torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
        command = [sys.executable, *torchrun, "-m", "benchmarks.speed.scaling", str(folder), *map(str, size)]
        environment, root = os.environ | {"OMP_NUM_THREADS": "1"}, Path(__file__).parents[2]
        subprocess.run(command, env=environment, check=True, capture_output=True, cwd=root, timeout=600)
    return float(read_json(folder / "run" / run_folder.METRICS)["seconds"])


def main(folder: Path, steps: int, images: int) -> None:
    torch.set_num_threads(1)
    prior = folder / f"prior{os.environ.get('RANK', '0')}.safetensors"
    packaged_prior().save(prior)
    config = with_iterations(recipes.demo(folder), steps)
    config = replace(
        config,
        data=DataConfig(config.data.train),
        prior=PriorSource(file=str(prior)),
        batch_size=images,
        validation=ValidationConfig(every=0, at_end=False, pictures=0),
        workers=0,
    )
    loop.train(config, folder / "run", device_name="cpu")


def describe(measured: Measured) -> str:
    (row,) = measured.rows
    return f"""Each process takes its share of a step's images and the gradients are averaged (gloo). On
{measured.facts["cores"]} cores two processes of one thread take {row.details["seconds"]:.1f} s for
{measured.facts["steps"]} steps, one takes {row.details["rival_seconds"]:.1f} s: {row.ratio:.2f} x."""


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
