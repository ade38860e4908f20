"""One process is a world of one; devices that are not there are refused."""

import os
import platform
import subprocess
import sys

import pytest
import torch

from amodal import processes
from amodal.errors import UserError


def test_one_process_needs_no_torchrun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with processes.joined("cpu") as device:
        assert device == torch.device("cpu")
        assert (processes.rank(), processes.world_size(), processes.is_lead()) == (0, 1, True)
        assert processes.gather({"a": 1}) == [{"a": 1}]
        processes.wait()


@pytest.mark.parametrize("name", ["tpu9", "cuda:99", "xpu:7"])
def test_a_device_that_is_not_there_is_refused(name: str) -> None:
    with pytest.raises(UserError, match=f"device '{name}' cannot be used.*Pass --device cpu or cuda"):
        processes.choose_device(name)


def test_auto_takes_this_processes_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCAL_RANK", "0")
    expected = torch.device("cuda", 0) if torch.cuda.is_available() else torch.device("cpu")
    assert processes.choose_device() == expected


AGAIN = """
import resource, sys
import torch
from amodal import processes

def step():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    held = [torch.ones(2**18 * number) for number in (8, 5, 7, 3)]
    del held
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

kept = processes.keep_memory()
print(int(kept), [step() for _ in range(12)][-1])
"""


AFTERWARDS = """
import resource, torch
from pathlib import Path
from amodal import processes

def resident():
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()

def freed():
    held = [torch.ones(2**26), torch.ones(2**20)]
    last = torch.ones(16)  # behind them, so that the heap cannot shrink by itself
    before = resident()
    del held
    return before - resident(), last

with processes.keeping_memory(torch.device("cpu")):
    kept = freed()
print(kept[0] < 2**20, freed()[0] > 2**27)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
def test_after_a_training_memory_goes_back_to_the_system() -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    done = subprocess.run([sys.executable, "-c", AFTERWARDS], env=own, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "True"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such setting")
@pytest.mark.parametrize("set_by_user", [False, True])
def test_memory_that_a_process_frees_stays_its_own(set_by_user: bool) -> None:
    own = {name: value for name, value in os.environ.items() if not name.startswith("MALLOC_")}
    if set_by_user:
        own["MALLOC_MMAP_THRESHOLD_"] = "65536"
    done = subprocess.run([sys.executable, "-c", AGAIN], env=own, capture_output=True, text=True, check=True)
    kept, faults = map(int, done.stdout.split())
    assert kept == (not set_by_user)
    assert (faults < 100) == bool(kept)  # a step's 23 MB are 5,888 pages
