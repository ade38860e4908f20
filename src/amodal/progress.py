"""What goes on while nothing can be counted: a line when it begins, and one every few seconds until it ends."""

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic

EVERY = 5.0
"""Seconds of silence, at most."""


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
