"""This process among those that torchrun started: its rank, its device, and what they tell each other.

    amodal train demo --out runs/demo                                          one process
    torchrun --nproc-per-node 8 -m amodal.cli train d2sa_vrsp --out runs/d2sa    eight, on one machine
    torchrun --nnodes 2 --node-rank 0 --master-addr HOST --nproc-per-node 8 -m amodal.cli train ...    two machines

Without torchrun every function answers for a world of one, so callers need no second path.
"""

import ctypes
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
from torch import distributed
from torch.distributed.rendezvous import rendezvous

from amodal.errors import UserError

T = TypeVar("T")

PATIENCE = timedelta(hours=3)
"""How long the others wait while one process works alone, as when it fits a shape prior."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def rank() -> int:
    """This process's number, from 0."""
    return distributed.get_rank() if distributed.is_initialized() else 0


def world_size() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if distributed.is_initialized() else 1


def is_lead() -> bool:
    """Whether this is the process that writes files and talks to the user."""
    return rank() == 0


def wait() -> None:
    """Returns when every process has come here."""
    if distributed.is_initialized():
        distributed.barrier()


def highest(number: int) -> int:
    """The highest of all processes' numbers, in every process. Never waits for a GPU."""
    if not distributed.is_initialized():
        return number
    shared = torch.tensor(number)
    distributed.all_reduce(shared, distributed.ReduceOp.MAX)
    return int(shared)


def gather(value: T) -> list[T]:
    """Every process's `value`, by rank, in every process. Values travel pickled."""
    if not distributed.is_initialized():
        return [value]
    values: list[T | None] = [None] * world_size()
    distributed.all_gather_object(values, value)
    return values  # type: ignore[return-value]


def choose_device(name: str = "auto") -> torch.device:
    """`auto` is this process's own GPU where there is one, and the CPU otherwise; else the device so named.

    Raises:
        UserError: A device that this machine does not have.
    """
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda" and device.index is None:
            device = torch.device("cuda", local_rank)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device '{name}' cannot be used ({reason})", remedy="Pass --device cpu or cuda") from error
    return device


def keep_memory() -> bool:
    """Has this process keep for itself what it frees, if its C library can be told so. Gives whether it was.

    A training step frees what the next one takes. Given back to the system in between, every page of it is cleared and
    mapped anew: a fifteenth of a step on a CPU. The peak stays the same. Where the environment has settings for malloc,
    they hold.
    """
    if not sys.platform.startswith("linux") or any(name.startswith("MALLOC_") for name in os.environ):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "mallopt"):  # musl
        return False
    return all(library.mallopt(*option) for option in ((_MMAP_THRESHOLD, 2**30), (_TRIM_THRESHOLD, -1)))


@contextmanager
def keeping_memory(device: torch.device) -> Iterator[None]:
    """`keep_memory` for as long as a training on a CPU lasts.

    Who called it gets the memory back, and malloc then gives large blocks back as it does after a while by itself.
    """
    kept = device.type == "cpu" and keep_memory()
    try:
        yield
    finally:
        if kept:
            library = ctypes.CDLL(None)
            for option in ((_MMAP_THRESHOLD, 2**25), (_TRIM_THRESHOLD, 2**26)):  # where glibc's own adjusting ends
                library.mallopt(*option)
            library.malloc_trim(0)


@contextmanager
def joined(device_name: str = "auto") -> Iterator[torch.device]:
    """Joins the process group that torchrun announces, if any, and leaves it in the end. Gives the device to use."""
    device = choose_device(device_name)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "WORLD_SIZE" not in os.environ or distributed.is_initialized():
        yield device
        return
    # What is on the CPU goes by gloo, which tells at once when a process is gone; NCCL waits for it.
    backend, own = ("cpu:gloo,cuda:nccl", device) if device.type == "cuda" else ("gloo", None)
    store, rank, world = next(rendezvous("env://", timeout=PATIENCE))
    # torchrun hands the same store to processes that it starts again: addresses of the dead ones are in it.
    start = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
    store = distributed.PrefixStore(f"start {start}", store)  # type: ignore[attr-defined]
    distributed.init_process_group(backend, store=store, rank=rank, world_size=world, timeout=PATIENCE, device_id=own)
    try:
        yield device
    except RuntimeError as error:
        if not isinstance(error, distributed.DistError) and "gloo" not in str(error):
            raise
        reason = re.sub(r"^\[[^]]*\] ", "", str(error).splitlines()[0]).partition(". ")[0]  # no source file, no advice
        raise UserError(
            f"another process of this run has ended or was lost ({reason})",
            remedy="Its own message says why. The last checkpoint is whole: start all of them again with --resume",
        ) from error
    finally:
        distributed.destroy_process_group()
