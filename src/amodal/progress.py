"""What goes on: a bar where something can be counted; else a line when it begins, and one every few seconds after."""

import sys
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")
EVERY = 5.0
"""Seconds of silence, at most."""


def counted(items: Iterable[Item], words: str, unit: str, total: int | None = None) -> Iterable[Item]:
    """The items, with a bar on standard error from the third second on, where that is a terminal."""
    if not sys.stderr.isatty():
        return items  # tqdm shows none either, but makes a lock for all processes first
    return tqdm(items, words, total, unit=f" {unit}", delay=2, leave=False, disable=None)


@contextmanager
def announced(words: str, every: float = EVERY) -> Iterator[None]:
    """Says on standard error what the `with` block does, and that it still does it."""
    done, begun = threading.Event(), monotonic()
    _say(f"{words} ...")

    def go_on() -> None:
        while not done.wait(every):
            _say(f"still {words}, for {monotonic() - begun:.0f} s")

    speaker = threading.Thread(target=go_on, daemon=True)
    speaker.start()
    try:
        yield
    finally:
        done.set()
        speaker.join()


def _say(words: str) -> None:
    print(f"amodal: {words}", file=sys.stderr, flush=True)
