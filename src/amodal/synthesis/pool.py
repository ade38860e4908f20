"""Work spread over processes, its answers in the order of the items and the same however many there are."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import Any, TypeVar

from amodal.errors import UserError

Item = TypeVar("Item")
Answer = TypeVar("Answer")

CHUNK = 4
"""Items handed over at a time."""


def answers(work: Callable[[Item], Answer], items: Sequence[Item], workers: int, *, doing: str) -> Iterator[Answer]:
    """What `work` gives for each item, in turn.

    Args:
        work: Is sent to each process once; it and the items can be pickled.
        items: What is worked on.
        workers: Processes; with one or none the work is done in this one.
        doing: What a worker does, for the message: "composes scenes".

    Raises:
        UserError: A worker was killed.
    """
    if workers <= 1:
        yield from map(work, items)
        return
    # A fresh interpreter for each process: forking one that runs threads (torch's, for one) can lock up.
    with ProcessPoolExecutor(workers, get_context("spawn"), _keep, (work,)) as pool:
        try:
            yield from pool.map(_work, items, chunksize=CHUNK)
        except BrokenProcessPool:
            remedy = "There may be too little memory: give fewer --workers"
            raise UserError(f"a process that {doing} was killed", remedy=remedy) from None


_kept: list[Callable[[Any], Any]] = []  # in a worker process: what it was started with


def _keep(work: Callable[[Any], Any]) -> None:
    _kept.append(work)


def _work(item: Any) -> Any:
    return _kept[0](item)
