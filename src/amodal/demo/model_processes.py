"""The model in processes of its own, so that work that takes too long is ended and not only waited for no longer."""

import multiprocessing
import queue
import signal
import traceback
from collections.abc import Callable, Sequence
from typing import Any, Self

from amodal.annotations import Category
from amodal.boxed_masks import BoxedMasks, Prompts
from amodal.errors import UserError
from amodal.inference.model import Pixels
from amodal.inference.predictor import Predictor

LOADING = 600.0
"""Seconds that a process may take until its model is loaded, as from a slow disk."""
SECONDS = 120.0
"""Of one look. A picture of the page's working size takes 1 s on two cores."""
_SPAWNED = multiprocessing.get_context("spawn")  # a fork would copy locks that other threads hold, and a GPU's state


class ModelProcesses:
    """A model as `amodal.inference.predictor.Model`. Any thread may ask; each waits for a process that is free.

    A process that passes its time, or breaks, is ended and another one takes its place.

    Args:
        load: Gives the model; called in each process, so it is pickled.
        count: Processes, and with them models in memory.
        seconds: Of one look.

    Raises:
        UserError: What `load` raises.
    """

    def __init__(self, load: Callable[[], Predictor], count: int, seconds: float = SECONDS) -> None:
        self._load, self._seconds = load, seconds
        self._free: queue.Queue[_Worker] = queue.Queue()
        workers = [_Worker(load) for _ in range(count)]
        for worker in workers:
            self._free.put(worker)
        try:
            self._model = workers[0].about()
        except BaseException as error:
            self.close()
            if not isinstance(error, _Late | EOFError):
                raise
            raise UserError("the model's process ended while it loaded", remedy="Is there enough memory?") from error

    @property
    def categories(self) -> Sequence[Category]:
        """Of the model."""
        return self._model[0]

    @property
    def is_class_agnostic(self) -> bool:
        """As the model is."""
        return self._model[1]

    def detect(
        self, images: Sequence[Pixels], *, score_threshold: float = 0.0, coarse: bool = False
    ) -> list[BoxedMasks]:
        """As the model's. Raises UserError where it takes too long."""
        return self._ask("detect", images, score_threshold=score_threshold, coarse=coarse)

    def complete(self, image: Pixels, prompts: Prompts) -> BoxedMasks:
        """As the model's. Raises UserError where it takes too long."""
        return self._ask("complete", image, prompts)

    def close(self) -> None:
        """Ends the processes that are free, which are all when nobody asks any more."""
        while not self._free.empty():
            self._free.get().end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ask(self, method: str, *given: Any, **options: Any) -> Any:
        worker = self._free.get()
        try:
            worker.about()
            return worker.ask((method, given, options), self._seconds)
        except (_Late, EOFError, OSError) as error:
            worker.end()
            worker = _Worker(self._load)
            if isinstance(error, _Late):
                problem = f"This takes longer than {error.seconds:g} s and was stopped"
            else:
                problem = "The model broke on this picture"
            raise UserError(problem, remedy="Give a smaller picture") from error
        finally:
            self._free.put(worker)


class _Late(Exception):
    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class _Worker:
    """A process with a model, and the way to talk to it."""

    def __init__(self, load: Callable[[], Predictor]) -> None:
        self._pipe, theirs = _SPAWNED.Pipe()
        self._about: tuple[tuple[Category, ...], bool] | None = None
        self._process = _SPAWNED.Process(target=_work, args=(theirs, load), daemon=True)
        self._process.start()
        theirs.close()

    def about(self) -> tuple[tuple[Category, ...], bool]:
        """The model's categories, and whether it is class-agnostic; waits until it is loaded."""
        about = self._about or self._answer(LOADING)
        self._about = about
        return about

    def ask(self, request: tuple[str, tuple[Any, ...], dict[str, Any]], seconds: float) -> Any:
        self._pipe.send(request)
        return self._answer(seconds)

    def _answer(self, seconds: float) -> Any:
        if not self._pipe.poll(seconds):
            raise _Late(seconds)
        answer = self._pipe.recv()
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _work(pipe: Any, load: Callable[[], Predictor]) -> None:
    """What the process does until nobody is at the other end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl+C goes to all processes of a terminal; the page ends this one
    try:
        model = load().model
        pipe.send((tuple(model.categories), model.is_class_agnostic))
        while True:
            method, given, options = pipe.recv()
            pipe.send(_tried(lambda: getattr(model, method)(*given, **options)))  # noqa: B023 (called at once)
    except (EOFError, BrokenPipeError):
        return
    except UserError as error:
        pipe.send(error)


def _tried(work: Callable[[], Any]) -> Any:
    """What the work gives, or an exception that can be sent."""
    try:
        return work()
    except (UserError, MemoryError) as error:
        return error
    except Exception as error:
        traceback.print_exc()
        return RuntimeError(repr(error))
