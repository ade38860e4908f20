"""The one error a user is meant to read, and the end that a signal brings."""

import os
import re
import signal
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

MOST_CHARACTERS = 600
"""Of a problem's text: what a file holds may be quoted, but not at length."""
MOST_NAMES = 60
"""Names that a message lists at most."""

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class UserError(Exception):
    """Something that the user can mend: says what is wrong, where, and the way out.

    It is one line that any terminal can show, whatever is quoted in it. The command line prints it and exits with
    status 2; a library caller can catch it.
    """

    def __init__(
        self, problem: str, *, file: str | Path | None = None, record: str | None = None, remedy: str | None = None
    ) -> None:
        problem, record = _quoting(problem), None if record is None else _quoting(record)
        remedy = None if remedy is None else one_line(remedy)
        where = ": ".join(one_line(str(part)) for part in (file, record) if part is not None)
        text = f"{where}: {problem}" if where else problem
        super().__init__(f"{text}. {remedy}" if remedy else text)
        self.problem, self.file, self.record, self.remedy = problem, file, record, remedy


def unknown(
    problem: str, name: str, known: Iterable[str], *, file: str | Path | None = None, otherwise: str | None = None
) -> UserError:
    """The error for a name that is none of the known ones: with the one that was meant, if one is near, or a list.

    Args:
        problem: What is wrong, with the name in it.
        name: As given.
        known: The names that there are.
        file: Where the name stands.
        otherwise: Another way out, in place of the list.
    """
    names = list(known)
    lowered = {one.lower(): one for one in names}
    near = [lowered[one] for one in get_close_matches(name.lower(), lowered, n=3, cutoff=0.6)]
    if near:
        otherwise = f"Did you mean {' or '.join(near)}?" + (f" {otherwise}" if otherwise else "")
    elif otherwise is None:
        shown = names if len(names) <= MOST_NAMES else [*names[:MOST_NAMES], f"... ({len(names)} in all)"]
        otherwise = f"Known are {', '.join(shown)}"
    return UserError(problem, file=file, remedy=otherwise)


def one_line(text: str) -> str:
    """Text with escapes in place of what no line of a terminal can hold."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


def _quoting(text: str) -> str:
    return one_line(text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…")


class Ended(KeyboardInterrupt):
    """A signal that ends programs, taken as Ctrl+C is: what is open is closed, what is half written is removed.

    Attributes:
        number: The signal's.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def signal_of(interruption: KeyboardInterrupt) -> int:
    """The number of the signal that an interruption came of."""
    return interruption.number if isinstance(interruption, Ended) else signal.SIGINT


@contextmanager
def ended_gently() -> Iterator[None]:
    """Raises Ended in the `with` block where a signal would end the process.

    These are SIGTERM, of service managers and containers, and SIGHUP, of a terminal that closes. A signal that is
    handled otherwise, or ignored as under nohup, stays so.
    """
    main = os.getpid()

    def end(number: int, _frame: object) -> None:
        if os.getpid() != main:  # a process forked since then, for which nobody waits
            os._exit(128 + number)
        raise Ended(number)

    is_main = threading.current_thread() is threading.main_thread()  # only there does Python take handlers
    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if is_main and hasattr(signal, name)]
    taken = [number for number in numbers if signal.getsignal(number) is signal.SIG_DFL]
    for number in taken:
        signal.signal(number, end)
    try:
        yield
    finally:
        for number in taken:
            signal.signal(number, signal.SIG_DFL)


class Stopped(SystemExit):
    """A signal ended work that can be gone on with; the process's status is 128 + the signal's number, as in shells.

    Attributes:
        reason: The signal, and what is saved.
        resumable: Whether the same command goes on with `--resume`, or starts again without.
    """

    def __init__(self, number: int, saved: str = "", *, resumable: bool = False) -> None:
        super().__init__(128 + number)
        self.reason = f"stopped by {signal.Signals(number).name}" + (f"; {saved}" if saved else "")
        self.resumable = resumable
